//! Bilinear interpolation as two matrix products.
//!
//! Equal to PyTorch's `interpolate(mode="bilinear", align_corners=False)` without antialiasing, differentiable on every
//! device, without the border errors of the built-in operator on some GPU interfaces.

use burn::tensor::{Device, Tensor, TensorData};
use zegclip_kernels::bilinear_weights;
pub use zegclip_kernels::{Tap, bilinear_taps};

/// The matrix `[output, input]` that resamples a line of `input` samples to `output` samples (half-pixel centers, border
/// values repeated). Every row sums to one.
pub fn bilinear_matrix(input: usize, output: usize, device: &Device) -> Tensor<2> {
    let weights = bilinear_weights(input, output);
    Tensor::from_data(TensorData::new(weights, [output, input]), device)
}

/// Resizes the last two axes.
///
/// # Shapes
/// - input: `[batch, channels, height, width]`
/// - output: `[batch, channels, size[0], size[1]]`
pub fn resize_bilinear(input: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    let [_, _, height, width] = input.dims();
    let device = input.device();
    let dtype = input.dtype();
    let mut output = input;
    if height != size[0] {
        let rows = bilinear_matrix(height, size[0], &device).cast(dtype);
        output = rows.unsqueeze::<4>().matmul(output);
    }
    if width != size[1] {
        let columns = bilinear_matrix(width, size[1], &device).cast(dtype);
        output = output.matmul(columns.transpose().unsqueeze::<4>());
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upsampling_two_to_four_gives_the_known_weights() {
        let device = Device::flex();
        let matrix = bilinear_matrix(2, 4, &device).into_data();
        let expected = [[1.0f32, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]];
        matrix.assert_eq(&TensorData::from(expected), true);
    }

    #[test]
    fn a_constant_stays_constant_at_any_size() {
        let device = Device::flex();
        for (input, output) in [(1, 5), (5, 1), (14, 32), (33, 7)] {
            let sums = bilinear_matrix(input, output, &device).sum_dim(1);
            let values: Vec<f32> = sums.into_data().iter::<f32>().collect();
            assert_eq!(values.len(), output);
            assert!(
                values.iter().all(|sum| (sum - 1.0).abs() < 1e-6),
                "{input} -> {output}: {values:?}"
            );
        }
    }
}
