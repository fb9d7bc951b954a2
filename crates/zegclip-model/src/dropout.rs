//! Dropout as a layer.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use zegclip_kernels::{attention, attention_with_dropout, dropout};

/// Sets values to 0 at random in training, that is on devices with autodiff, and makes up for it in the others; elsewhere it
/// changes nothing. What is dropped depends on [`zegclip_kernels::with_dropout_seed`].
#[derive(Module, Debug)]
pub struct Dropout {
    /// Of each value, in 0..1.
    probability: f64,
}

impl Dropout {
    pub(crate) fn new(probability: f64) -> Self {
        Self { probability }
    }

    /// Whether it drops anything there.
    fn is_active(&self, device: &Device) -> bool {
        self.probability > 0.0 && device.is_autodiff()
    }

    /// Attention whose weights are dropped.
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
    /// Any, also that of the result.
    pub(crate) fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if self.is_active(&x.device()) {
            dropout(x, self.probability)
        } else {
            x
        }
    }
}
