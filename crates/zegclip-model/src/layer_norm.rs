//! Layer normalization with its parameters.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Tensor};
use zegclip_kernels::layer_norm;

/// Epsilon of PyTorch's default and of CLIP.
const EPSILON: f64 = 1e-5;

/// `(x − mean) / sqrt(variance + epsilon) · gamma + beta` along the last axis.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// `[width]`
    pub gamma: Param<Tensor<1>>,
    /// `[width]`
    pub beta: Param<Tensor<1>>,
    epsilon: f64,
}

impl LayerNorm {
    /// A norm with gamma 1 and beta 0.
    pub fn new(width: usize, device: &Device) -> Self {
        Self {
            gamma: Initializer::Ones.init([width], device),
            beta: Initializer::Zeros.init([width], device),
            epsilon: EPSILON,
        }
    }

    /// The norm with another epsilon, which is added to the variance.
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
