//! Layer normalisation with its parameters.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Tensor};
use zegclip_kernels::layer_norm;

/// Added to the variance: PyTorch's default, and CLIP's.
const EPSILON: f64 = 1e-5;

/// `(x − mean) / sqrt(variance + epsilon) · gamma + beta` along the last axis, through this project's kernels.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// `[width]`
    pub gamma: Param<Tensor<1>>,
    /// `[width]`
    pub beta: Param<Tensor<1>>,
    epsilon: f64,
}

impl LayerNorm {
    /// A norm that leaves normalised values as they are.
    pub fn new(width: usize, device: &Device) -> Self {
        Self {
            gamma: Initializer::Ones.init([width], device),
            beta: Initializer::Zeros.init([width], device),
            epsilon: EPSILON,
        }
    }

    /// The same with another number added to the variance.
    #[must_use]
    pub fn with_epsilon(self, epsilon: f64) -> Self {
        Self { epsilon, ..self }
    }

    /// # Shapes
    /// - `x`: `[…, width]`
    /// - output: `[…, width]`
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        layer_norm(x, self.gamma.val(), Some(self.beta.val()), self.epsilon)
    }
}
