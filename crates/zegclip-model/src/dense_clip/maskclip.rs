//! MaskCLIP (Zhou et al., "Extract Free Dense Labels from CLIP", ECCV 2022; arXiv 2112.01071), section 3.2.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;

use super::last_block::{LastAttention, LastLayer};

/// Scale of cosines in both refinements.
const REFINEMENT_SCALE: f64 = 100.0;

/// What prompt denoising makes of the scores of an absent class.
const ABSENT: f64 = -100.0;

impl LastLayer {
    /// Every token takes its own value; residual and perceptron are kept.
    ///
    /// The class token is trained to aggregate values of patches, so they are in the joint embedding of images and texts.
    pub fn maskclip() -> Self {
        Self {
            attention: LastAttention::Identity,
            residual: true,
            feed_forward: true,
        }
    }
}

/// Prompt denoising: scores of classes whose best probability over the image is below `threshold` become −100.
///
/// # Shapes
/// - `scores`: cosines, `[batch, classes, height, width]`; output the same
pub fn prompt_denoising(scores: Tensor<4>, threshold: f64) -> Tensor<4> {
    let [batch, classes, height, width] = scores.dims();
    let best = softmax(scores.clone() * REFINEMENT_SCALE, 1)
        .reshape([batch, classes, height * width])
        .max_dim(2)
        .reshape([batch, classes, 1, 1]);
    let absent = best.lower_elem(threshold).expand([batch, classes, height, width]);
    scores.mask_fill(absent, ABSENT)
}

/// Key smoothing: patches whose best probability is below `threshold` take those of all patches, weighted by the products of
/// their keys. The output holds probabilities and sums of them, not cosines.
///
/// As in the release, keys are scaled to unit length *along the patches*, channel by channel.
///
/// # Shapes
/// - `scores`: cosines, `[batch, classes, height, width]`; output the same
/// - `keys`: [`LastBlock::projected_patch_keys`](super::LastBlock::projected_patch_keys), `[batch, patches, width]`
pub fn key_smoothing(scores: Tensor<4>, keys: Tensor<3>, threshold: f64) -> Tensor<4> {
    let [batch, classes, height, width] = scores.dims();
    let patches = height * width;
    let probabilities = softmax(scores * REFINEMENT_SCALE, 1)
        .reshape([batch, classes, patches])
        .swap_dims(1, 2); // [batch, patches, classes]
    let length = keys.clone().powi_scalar(2).sum_dim(1).sqrt().clamp_min(1e-12);
    let keys = keys / length;
    let smoothed = keys.clone().matmul(keys.swap_dims(1, 2).matmul(probabilities.clone()));
    let unsure = probabilities
        .clone()
        .max_dim(2)
        .lower_elem(threshold)
        .expand([batch, patches, classes]);
    probabilities
        .mask_where(unsure, smoothed)
        .swap_dims(1, 2)
        .reshape([batch, classes, height, width])
}
