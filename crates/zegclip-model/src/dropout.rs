//! Dropout as a layer.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use zegclip_kernels::{attention, attention_with_dropout, dropout};

/// Dropout in training, that is on devices with autodiff; the identity elsewhere. The dropout mask is a function of the seed of
/// [`zegclip_kernels::with_dropout_seed`].
#[derive(Module, Debug)]
pub struct Dropout {
    /// Probability of a value to be dropped, in `[0, 1)`.
    probability: f64,
}

impl Dropout {
    pub(crate) fn new(probability: f64) -> Self {
        Self { probability }
    }

    /// Whether values are dropped on `device`.
    fn is_active(&self, device: &Device) -> bool {
        self.probability > 0.0 && device.is_autodiff()
    }

    /// Attention with dropout of its weights.
    ///
    /// # Shapes
    /// As for [`attention`].
    pub(crate) fn attend(&self, query: Tensor<4>, key: Tensor<4>, value: Tensor<4>) -> Tensor<4> {
        if self.is_active(&query.device()) {
            attention_with_dropout(query, key, value, self.probability)
        } else {
            attention(query, key, value, None, false)
        }
    }

    /// # Shapes
    /// Any; the output has that of the input.
    pub(crate) fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if self.is_active(&x.device()) {
            dropout(x, self.probability)
        } else {
            x
        }
    }
}
