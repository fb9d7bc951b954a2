//! The symmetric contrastive loss.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};
use zegclip_model::clip::l2_normalize;

/// Added to the similarity of a pair that does not count.
const LEFT_OUT: f32 = -1e9;

/// CLIP's loss: the mean of the cross-entropies of images to texts and of texts to images, the logits being
/// `exp(log_scale) · cosine`.
///
/// `left_out` marks pairs `[image, text]` that are no examples of anything. In a small world a caption is often true of
/// other images than its own: "a photo of a cat" fits every cat of the batch. Such pairs must not be pushed apart, and are
/// not pulled together either, since each image has its own caption.
///
/// # Shapes
/// - `images`, `texts`: `[batch, embed_dim]`, of any length
/// - `log_scale`: `[1]`
/// - `left_out`: `[batch · batch]`, row by row; the diagonal counts always
/// - output: `[1]`
pub fn contrastive_loss(images: Tensor<2>, texts: Tensor<2>, log_scale: Tensor<1>, left_out: &[bool]) -> Tensor<1> {
    let batch = images.dims()[0];
    let device = images.device().without_autodiff();
    let logits = l2_normalize(images).matmul(l2_normalize(texts).transpose()) * log_scale.exp().unsqueeze::<2>();
    let diagonal = |index: usize| index / batch == index % batch;
    let penalty: Vec<f32> = left_out
        .iter()
        .enumerate()
        .map(|(index, &out)| if out && !diagonal(index) { LEFT_OUT } else { 0.0 })
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

    fn loss(images: [[f32; 2]; 2], texts: [[f32; 2]; 2], left_out: [bool; 4]) -> f64 {
        let device = Device::flex();
        let scale = Tensor::<1>::from_data(TensorData::from([2f32.ln()]), &device);
        let images = Tensor::<2>::from_data(TensorData::from(images), &device);
        let texts = Tensor::<2>::from_data(TensorData::from(texts), &device);
        let data = contrastive_loss(images, texts, scale, &left_out).into_data();
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
    fn pairs_that_are_left_out_do_not_count() {
        let twins = [[1.0, 0.0], [1.0, 0.0]];
        let value = loss(twins, twins, [false; 4]);
        assert!((value - 2f64.ln()).abs() < 1e-6, "{value}");
        let value = loss(twins, twins, [true; 4]);
        assert!(value.abs() < 1e-6, "{value}");
    }
}
