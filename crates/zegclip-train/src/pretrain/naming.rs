//! What the patches of an image learn from the names in its captions.

use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Tensor, TensorData};
use zegclip_model::clip::l2_normalize;

/// Added to the logit of a name that the image does not have.
const ABSENT: f32 = -1e9;
/// How much more a patch counts for a name that it is more like: its probability to this power. At 1, small things would
/// grow over the ground around them until all names had the same area; at infinity one patch would stand for each.
const SHARPNESS: f64 = 4.0;

/// Names that the captions of a batch have, and whose they are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BatchNames {
    /// Token ids of a prompt for each name, unpadded: `[names]`.
    pub tokens: Vec<Vec<u32>>,
    /// Whether an image has a name: `[batch, names]`, row by row.
    pub present: Vec<bool>,
}

/// Lets each patch say which of the names it lies on, from captions alone: nobody tells where a thing is.
///
/// As GroupViT (Xu et al. 2022) does, names are taken out of captions and prompted one by one. With p(name | patch), the
/// softmax over all names of the batch of `exp(log_scale) · cosine`, the loss is the sum of
/// - the mean over patches of `−ln Σ p(name | patch)`, over the names of the patch's image: whatever lies there has been
///   named, and nothing else is there;
/// - the mean over an image's names of `−ln p(name | patch)`, over the patches that are most like it (weights are
///   p⁴ / Σ p⁴): whatever was named is somewhere.
///
/// # Shapes
/// - `patches`: `[batch, patches, embed_dim]`, `names`: `[names, embed_dim]`, of any length
/// - `log_scale`: `[1]`
/// - `present`: `[batch · names]`, see [`BatchNames::present`]; images without a name do not count
/// - output: `[1]`, at least 0
pub fn patch_naming_loss(patches: Tensor<3>, names: Tensor<2>, log_scale: Tensor<1>, present: &[bool]) -> Tensor<1> {
    let [batch, _, _] = patches.dims();
    let classes = names.dims()[0];
    let device = patches.device().without_autodiff();
    let owned = Tensor::<3>::from_data(
        TensorData::new(
            present.iter().map(|&is| f32::from(u8::from(is))).collect(),
            [batch, 1, classes],
        ),
        &device,
    );
    let named = owned.clone().sum_dim(2);
    // An image without a name says nothing of its patches.
    let counted = named.clone().clamp_max(1.0);
    let images = counted.clone().sum().clamp_min(1.0);

    let names = (l2_normalize(names) * log_scale.exp().unsqueeze::<2>()).transpose();
    let logits = l2_normalize(patches).matmul(names.unsqueeze::<3>());
    let log_share = log_softmax(logits, 2);

    let allowed = log_share.clone() + (owned.clone() * -ABSENT + ABSENT);
    let largest = allowed.clone().max_dim(2).detach();
    let covered = (allowed - largest.clone()).exp().sum_dim(2).log() + largest;
    let covering = (covered.mean_dim(1) * counted).sum();

    let weights = softmax(log_share.clone().detach() * SHARPNESS, 1) * (owned / named.clamp_min(1.0));
    let found = (log_share * weights).sum();
    (covering + found).neg() / images
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    /// Patches of one image that lie on `places`, two names at right angles, of which the image has `present`.
    fn loss(places: &[[f32; 2]], present: [bool; 2]) -> f64 {
        let device = Device::flex();
        let data: Vec<f32> = places.iter().flatten().copied().collect();
        let patches = Tensor::<3>::from_data(TensorData::new(data, [1, places.len(), 2]), &device);
        let names = Tensor::<2>::from_data(TensorData::from([[2.0f32, 0.0], [0.0, 0.5]]), &device);
        let scale = Tensor::<1>::from_data(TensorData::from([10f32.ln()]), &device);
        let data = patch_naming_loss(patches, names, scale, &present).into_data();
        data.iter::<f64>().next().unwrap()
    }

    const CAT: [f32; 2] = [1.0, 0.0];
    const SEA: [f32; 2] = [0.0, 3.0];

    #[test]
    fn two_patches_by_hand() {
        // The right name has a logit of 10, the other one 0.
        let (right, wrong) = (-(1.0 + (-10f64).exp()).ln(), -10.0 - (1.0 + (-10f64).exp()).ln());
        let weight = |share: f64, other: f64| (4.0 * share).exp() / ((4.0 * share).exp() + (4.0 * other).exp());
        // Both are there and both are named: only what is left of the softmax is lost.
        let found = weight(right, wrong) * right + weight(wrong, right) * wrong;
        let value = loss(&[CAT, SEA], [true, true]);
        assert!((value + found).abs() < 1e-5, "{value} {found}");
        // The sea is not among the names of the image, so that its patch is wrong.
        let value = loss(&[CAT, SEA], [true, false]);
        let expected = -(right + wrong) / 2.0 - found;
        assert!((value - expected).abs() < 1e-4, "{value} {expected}");
        // The sea is named but nowhere.
        let value = loss(&[CAT, CAT], [true, true]);
        assert!((value + (right + wrong) / 2.0).abs() < 1e-4, "{value}");
    }

    #[test]
    fn images_without_names_do_not_count() {
        assert_eq!(loss(&[CAT, SEA], [false, false]), 0.0);
    }
}
