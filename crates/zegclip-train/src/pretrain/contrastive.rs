//! The symmetric contrastive loss (Radford et al. 2021, figure 3).

use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};
use zegclip_model::clip::l2_normalize;

/// Added to the logit of an excluded pair.
const MASKED_LOGIT: f32 = -1e9;

/// CLIP's loss: the mean of the cross-entropies of images to texts and of texts to images, with logits
/// `exp(log_scale) · cosine`.
///
/// `false_negative_mask` marks pairs of an image and another image's caption that is true of it too, as "a photo of a cat" is
/// of every cat of the batch. They count neither as negatives nor as positives.
///
/// # Shapes
/// - `images`, `texts`: `[batch, embed_dim]`, not normalized
/// - `log_scale`: `[1]`
/// - `false_negative_mask`: `[batch · batch]`, `[image, text]` row by row; the diagonal is ignored
/// - output: `[1]`
pub fn contrastive_loss(
    images: Tensor<2>,
    texts: Tensor<2>,
    log_scale: Tensor<1>,
    false_negative_mask: &[bool],
) -> Tensor<1> {
    let batch = images.dims()[0];
    let device = images.device().without_autodiff();
    let logits = l2_normalize(images).matmul(l2_normalize(texts).transpose()) * log_scale.exp().unsqueeze::<2>();
    let diagonal = |index: usize| index / batch == index % batch;
    let penalty: Vec<f32> = false_negative_mask
        .iter()
        .enumerate()
        .map(|(index, &masked)| if masked && !diagonal(index) { MASKED_LOGIT } else { 0.0 })
        .collect();
    let logits = logits + Tensor::<2>::from_data(TensorData::new(penalty, [batch, batch]), &device);
    let own: Vec<f32> = (0..batch * batch)
        .map(|index| f32::from(u8::from(diagonal(index))))
        .collect();
    let own = Tensor::<2>::from_data(TensorData::new(own, [batch, batch]), &device);
    let both = log_softmax(logits.clone(), 1) + log_softmax(logits, 0);
    (both * own).sum() * (-0.5 / batch as f64)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn loss(images: [[f32; 2]; 2], texts: [[f32; 2]; 2], false_negative_mask: [bool; 4]) -> f64 {
        let device = Device::flex();
        let scale = Tensor::<1>::from_data(TensorData::from([2f32.ln()]), &device);
        let images = Tensor::<2>::from_data(TensorData::from(images), &device);
        let texts = Tensor::<2>::from_data(TensorData::from(texts), &device);
        let data = contrastive_loss(images, texts, scale, &false_negative_mask).into_data();
        data.iter::<f64>().next().unwrap()
    }

    #[test]
    fn two_pairs_by_hand() {
        // Cosines 1 and 0 at a scale of 2: −ln(e² / (e² + 1)) in every row and column.
        let expected = (1.0 + (-2f64).exp()).ln();
        let value = loss([[3.0, 0.0], [0.0, 0.5]], [[1.0, 0.0], [0.0, 2.0]], [false; 4]);
        assert!((value - expected).abs() < 1e-6, "{value} {expected}");
    }

    #[test]
    fn false_negatives_do_not_count() {
        let twins = [[1.0, 0.0], [1.0, 0.0]];
        let value = loss(twins, twins, [false; 4]);
        assert!((value - 2f64.ln()).abs() < 1e-6, "{value}");
        let value = loss(twins, twins, [true; 4]);
        assert!(value.abs() < 1e-6, "{value}");
    }
}
