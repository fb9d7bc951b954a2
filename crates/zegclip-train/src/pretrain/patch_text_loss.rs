//! The patch-text loss: weak supervision of patches by the class names in captions.

use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Tensor, TensorData};
use zegclip_model::clip::l2_normalize;

/// Added to the logit of a name that is not in the image's captions.
const ABSENT: f32 = -1e9;
/// Exponent of the probabilities that weight the patches of a name. At 1, small objects spread over the ground around them
/// until all names have the same area; at infinity a single patch represents each name.
const SHARPNESS: f64 = 4.0;

/// Class names in the captions of a batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BatchNames {
    /// Token ids of each name's prompt, unpadded: `[names]`.
    pub tokens: Vec<Vec<u32>>,
    /// Whether an image's captions contain a name: `[batch · names]`, row by row.
    pub present: Vec<bool>,
}

/// Classification of patches by the class names in captions, without positions.
///
/// As in GroupViT (Xu et al. 2022), names are extracted from captions and prompted one by one. With p(name | patch), the
/// softmax over all names of the batch of `exp(log_scale) · cosine`, the loss is the sum of
/// - the mean over patches of `−ln Σ p(name | patch)` over the names of the patch's image: every patch shows one of the
///   names;
/// - the mean over an image's names of `−ln p(name | patch)`, averaged over patches with weights p⁴ / Σ p⁴: every name is
///   visible in some patch.
///
/// # Shapes
/// - `patches`: `[batch, patches, embed_dim]`, `names`: `[names, embed_dim]`, not normalized
/// - `log_scale`: `[1]`
/// - `present`: `[batch · names]`, see [`BatchNames::present`]; images without names do not count
/// - output: `[1]`, at least 0
pub fn patch_text_loss(patches: Tensor<3>, names: Tensor<2>, log_scale: Tensor<1>, present: &[bool]) -> Tensor<1> {
    let [batch, _, _] = patches.dims();
    let classes = names.dims()[0];
    let device = patches.device().without_autodiff();
    let present = Tensor::<3>::from_data(
        TensorData::new(
            present.iter().map(|&present| f32::from(u8::from(present))).collect(),
            [batch, 1, classes],
        ),
        &device,
    );
    let names_per_image = present.clone().sum_dim(2);
    let counted = names_per_image.clone().clamp_max(1.0);
    let images = counted.clone().sum().clamp_min(1.0);

    let names = (l2_normalize(names) * log_scale.exp().unsqueeze::<2>()).transpose();
    let logits = l2_normalize(patches).matmul(names.unsqueeze::<3>());
    let log_probability = log_softmax(logits, 2);

    let allowed = log_probability.clone() + (present.clone() * -ABSENT + ABSENT);
    let largest = allowed.clone().max_dim(2).detach();
    let covered = (allowed - largest.clone()).exp().sum_dim(2).log() + largest;
    let covering = (covered.mean_dim(1) * counted).sum();

    let weights = softmax(log_probability.clone().detach() * SHARPNESS, 1) * (present / names_per_image.clamp_min(1.0));
    let found = (log_probability * weights).sum();
    (covering + found).neg() / images
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    /// The loss of one image with these patch features and two orthogonal names, of which the image has `present`.
    fn loss(features: &[[f32; 2]], present: [bool; 2]) -> f64 {
        let device = Device::flex();
        let data: Vec<f32> = features.iter().flatten().copied().collect();
        let patches = Tensor::<3>::from_data(TensorData::new(data, [1, features.len(), 2]), &device);
        let names = Tensor::<2>::from_data(TensorData::from([[2.0f32, 0.0], [0.0, 0.5]]), &device);
        let scale = Tensor::<1>::from_data(TensorData::from([10f32.ln()]), &device);
        let data = patch_text_loss(patches, names, scale, &present).into_data();
        data.iter::<f64>().next().unwrap()
    }

    const CAT: [f32; 2] = [1.0, 0.0];
    const SEA: [f32; 2] = [0.0, 3.0];

    #[test]
    fn two_patches_by_hand() {
        // The right name has a logit of 10, the other one 0.
        let (right, wrong) = (-(1.0 + (-10f64).exp()).ln(), -10.0 - (1.0 + (-10f64).exp()).ln());
        let weight = |share: f64, other: f64| (4.0 * share).exp() / ((4.0 * share).exp() + (4.0 * other).exp());
        // Both are visible and named: only the rest of the softmax is lost.
        let found = weight(right, wrong) * right + weight(wrong, right) * wrong;
        let value = loss(&[CAT, SEA], [true, true]);
        assert!((value + found).abs() < 1e-5, "{value} {found}");
        // The sea is visible but not named.
        let value = loss(&[CAT, SEA], [true, false]);
        let expected = -(right + wrong) / 2.0 - found;
        assert!((value - expected).abs() < 1e-4, "{value} {expected}");
        // The sea is named but not visible.
        let value = loss(&[CAT, CAT], [true, true]);
        assert!((value + (right + wrong) / 2.0).abs() < 1e-4, "{value}");
    }

    #[test]
    fn images_without_names_do_not_count() {
        assert_eq!(loss(&[CAT, SEA], [false, false]), 0.0);
    }
}
