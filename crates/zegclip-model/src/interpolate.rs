//! Bilinear and bicubic interpolation as two matrix products.
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

/// The matrix `[output, input]` that resamples a line bicubically as PyTorch does: `interpolate(mode="bicubic")`, a = −0.75, border
/// values repeated, no antialiasing. Sample `i` lies at `(i + ½) · input / (output + excess) − ½`.
pub fn bicubic_matrix(input: usize, output: usize, excess: f64, device: &Device) -> Tensor<2> {
    const A: f64 = -0.75;
    // Weights of samples that are less than 1, and 1 to 2, away.
    let near = |distance: f64| ((A + 2.0) * distance - (A + 3.0)) * distance * distance + 1.0;
    let far = |distance: f64| ((A * distance - 5.0 * A) * distance + 8.0 * A) * distance - 4.0 * A;
    let scale = input as f64 / (output as f64 + excess);
    let mut weights = vec![0f32; input * output];
    for (index, row) in weights.chunks_exact_mut(input).enumerate() {
        let position = (index as f64 + 0.5) * scale - 0.5;
        let (base, fraction) = (position.floor(), position - position.floor());
        let taps = [
            far(fraction + 1.0),
            near(fraction),
            near(1.0 - fraction),
            far(2.0 - fraction),
        ];
        for (tap, weight) in taps.into_iter().enumerate() {
            let sample = (base + tap as f64 - 1.0).clamp(0.0, (input - 1) as f64);
            row[sample as usize] += weight as f32;
        }
    }
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
    fn bicubic_weights_sum_to_one_and_keep_equal_sizes() {
        let device = Device::flex();
        for (input, output, excess) in [(14, 21, 0.1), (14, 42, 0.1), (5, 11, 0.0), (16, 3, 0.1)] {
            let sums = bicubic_matrix(input, output, excess, &device).sum_dim(1);
            assert!(sums.into_data().iter::<f32>().all(|sum| (sum - 1.0).abs() < 1e-6));
        }
        let same: Vec<f32> = bicubic_matrix(4, 4, 0.0, &device).into_data().iter::<f32>().collect();
        let identity: Vec<f32> = (0..16).map(|place| f32::from(place % 5 == 0)).collect();
        assert_eq!(same, identity);
        // PyTorch: torch.nn.functional.interpolate(torch.tensor([[[[0., 1., 2., 3.]]]]), (1, 2), mode="bicubic")
        let line = Tensor::<2>::from_data([[0.0f32], [1.0], [2.0], [3.0]], &device);
        let halved: Vec<f32> = bicubic_matrix(4, 2, 0.0, &device)
            .matmul(line)
            .into_data()
            .iter()
            .collect();
        assert!(
            (halved[0] - 0.406_25).abs() < 1e-6 && (halved[1] - 2.593_75).abs() < 1e-6,
            "{halved:?}"
        );
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
