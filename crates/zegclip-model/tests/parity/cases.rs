//! Recorded cases and their tensors on a device.

use burn::tensor::{Device, Tensor, TensorData};
pub use test_support::{Case, Recorded, cases};

/// Recorded values as a tensor.
pub trait OnDevice {
    fn tensor<const D: usize>(&self, device: &Device) -> Tensor<D>;
}

impl OnDevice for Recorded {
    fn tensor<const D: usize>(&self, device: &Device) -> Tensor<D> {
        Tensor::from_data(TensorData::new(self.values.clone(), self.shape.clone()), device)
    }
}

/// Values of a tensor on any device.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}
