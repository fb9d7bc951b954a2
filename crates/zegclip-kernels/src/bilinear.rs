//! Bilinear resizing along one axis.

use burn::backend::Backend;
use burn::backend::tensor::{Device, FloatTensor};
use burn::tensor::TensorData;

mod taps;

pub use taps::{Tap, bilinear_taps, bilinear_weights};

/// [`bilinear_weights`] as a tensor `[1, 1, output, input]`.
pub(crate) fn bilinear_matrix<B: Backend>(input: usize, output: usize, device: &Device<B>) -> FloatTensor<B> {
    let weights = bilinear_weights(input, output);
    B::float_from_data(TensorData::new(weights, [1, 1, output, input]), device)
}
