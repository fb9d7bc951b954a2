//! NEL, the non-exclusive loss (paper, section 3.4): every class has its own mask, and no class excludes another.

use burn::tensor::Tensor;
use zegclip_kernels::mask_losses;

use super::{LossConfig, LossTerms, MaskTargets, ablation};
use crate::interpolate::resize_bilinear;

/// The published focus γ, which the kernels compute. They upsample masks on the fly and never store upsampled masks.
const PUBLISHED_GAMMA: f64 = 2.0;

/// `focal_weight · focal` and `dice_weight · dice` of masks upsampled to the labels' size, to be divided by M. The loss is their
/// sum.
///
/// # Shapes
/// - `masks`: `[batch, classes, height, width]`, before σ
/// - output: two terms, each `[1]`
pub(super) fn nel(masks: Tensor<4>, targets: &MaskTargets, config: &LossConfig) -> LossTerms {
    let (focal, dice) = if config.gamma == PUBLISHED_GAMMA {
        let losses = mask_losses(masks, targets.labels().clone(), config.alpha);
        (losses.clone().narrow(0, 0, 1), losses.narrow(0, 1, 1))
    } else {
        let logits = resize_bilinear(masks, targets.size());
        let focal = ablation::focal(logits.clone(), targets, config.alpha, config.gamma);
        (focal, ablation::dice(logits, targets))
    };
    LossTerms {
        mask: focal * config.focal_weight,
        dice: Some(dice * config.dice_weight),
        normalizer: targets.pairs(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    /// γ next to 2 selects the composition, so that both implementations are compared at almost the same γ.
    #[test]
    fn kernels_and_composition_are_continuous_in_gamma() {
        let device = Device::flex();
        let masks: Vec<f32> = (0..2 * 3 * 4 * 5)
            .map(|index| (index * 37 % 23) as f32 / 3.0 - 3.5)
            .collect();
        let masks = Tensor::<4>::from_data(TensorData::new(masks, [2, 3, 4, 5]), &device);
        let labels: Vec<u16> = (0..2 * 16 * 15).map(|pixel| (pixel / 7 % 4) as u16).collect();
        let targets = MaskTargets::from_labels(&labels, [2, 16, 15], 3, &device);
        let terms = |gamma: f64| {
            let config = LossConfig {
                gamma,
                ..LossConfig::default()
            };
            let terms = nel(masks.clone(), &targets, &config);
            let dice = terms.dice.expect("NEL has a dice loss").into_scalar::<f32>();
            [terms.mask.into_scalar::<f32>(), dice]
        };
        let (kernel, composed) = (terms(2.0), terms(2.0 + 1e-6));
        test_support::assert_close("NEL", &kernel, &composed, 1e-5);
    }
}
