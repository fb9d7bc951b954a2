//! NACLIP (Hajimiri et al., "Pay Attention to Your Neighbours: Training-Free Open-Vocabulary Semantic Segmentation", WACV 2025;
//! arXiv 2404.08181).

use burn::tensor::{Device, Tensor, TensorData};

use super::last_block::{LastAttention, LastLayer};

/// Published standard deviation of the neighborhood in patches.
pub(super) const NEIGHBORHOOD_STD: f64 = 5.0;

impl LastLayer {
    /// Keys attend to keys, near ones more, without residual and perceptron.
    pub fn naclip() -> Self {
        Self {
            attention: LastAttention::KeyKeyPlusNeighborhood { std: NEIGHBORHOOD_STD },
            residual: false,
            feed_forward: false,
        }
    }
}

/// What is added to the products of tokens before the softmax: exp(−distance² / (2 · std²)) between two patches, 0 to and from the
/// class token. `[1 + patches, 1 + patches]`.
pub fn neighborhood(grid: [usize; 2], std: f64, device: &Device) -> Tensor<2> {
    let [height, width] = grid;
    let tokens = 1 + height * width;
    // The Gaussian is a product of one along rows and one along columns.
    let along = |length: usize| -> Vec<f64> {
        (0..length)
            .map(|distance| (-((distance * distance) as f64) / (2.0 * std * std)).exp())
            .collect()
    };
    let (down, right) = (along(height), along(width));
    let mut values = vec![0f32; tokens * tokens];
    for (from, row) in values.chunks_exact_mut(tokens).skip(1).enumerate() {
        for (to, value) in row.iter_mut().skip(1).enumerate() {
            let (rows, columns) = ((from / width).abs_diff(to / width), (from % width).abs_diff(to % width));
            *value = (down[rows] * right[columns]) as f32;
        }
    }
    Tensor::from_data(TensorData::new(values, [tokens, tokens]), device)
}
