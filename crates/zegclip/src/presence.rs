//! Which classes of a list are in an image at all.

use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{FloatDType, Tensor};
use zegclip_kernels::MaskActivation;

use crate::Error;

/// How strongly names are present in the windows of an image: the best score of a patch, in `[0, 1]`.
///
/// The class token has no say: on scenes of the demo it tells classes that are there from others hardly better than chance, where patches
/// are right in 95 of 100 pairs (`bench presence`).
#[derive(Debug, Clone, Default)]
pub(crate) struct Presence(Vec<f32>);

/// How masks become scores of patches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PatchScores {
    /// Factor of masks.
    pub(crate) scale: f64,
    pub(crate) activation: MaskActivation,
}

impl Presence {
    /// Adds the masks of windows: `[windows, names, height, width]`.
    pub(crate) fn add(&mut self, masks: &Tensor<4>, scores: PatchScores) -> Result<(), Error> {
        let masks = masks.clone().cast(FloatDType::F32) * scores.scale;
        // The largest of values may pass over NaN, their sum does not.
        let sum = masks.clone().sum().try_into_scalar::<f32>().map_err(Error::execution)?;
        if !sum.is_finite() {
            return Err(Error::NotFinite);
        }
        let scores = match scores.activation {
            MaskActivation::Sigmoid => sigmoid(masks),
            MaskActivation::Softmax => softmax(masks, 1),
        };
        let [windows, names, height, width] = scores.dims();
        let best = scores.reshape([windows, names, height * width]).max_dim(2).max_dim(0);
        let best = best.reshape([names]).try_into_data().map_err(Error::execution)?;
        self.0.resize(names, 0.0);
        for (known, found) in self.0.iter_mut().zip(best.iter::<f32>()) {
            *known = known.max(found);
        }
        Ok(())
    }

    /// The presence of each class, that of its best name: `[classes]`. `class_of_name` ascends.
    pub(crate) fn of_classes(&self, class_of_name: &[u16]) -> Vec<f32> {
        let classes = class_of_name.last().map_or(0, |last| usize::from(*last) + 1);
        let mut presence = vec![0.0_f32; classes];
        for (class, of_name) in class_of_name.iter().zip(&self.0) {
            if let Some(presence) = presence.get_mut(usize::from(*class)) {
                *presence = presence.max(*of_name);
            }
        }
        presence
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn the_best_patch_of_all_windows_counts() {
        let device = Device::flex();
        // [2, 3, 1, 2]: two windows, three names, two patches.
        let values = [
            [[[-9.0, 0.0]], [[-9.0, -9.0]], [[-1.0, -9.0]]],
            [[[-9.0, -9.0]], [[-9.0, 9.0]], [[-2.0, -9.0]]],
        ];
        let masks = Tensor::<4>::from_data(values, &device);
        let scores = PatchScores {
            scale: 1.0,
            activation: MaskActivation::Sigmoid,
        };
        let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
        let mut presence = Presence::default();
        presence.add(&masks, scores).unwrap();
        let close = |found: &[f32], expected: &[f32]| {
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{found} {expected}");
            }
        };
        close(&presence.of_classes(&[0, 1, 2]), &[0.5, sigmoid(9.0), sigmoid(-1.0)]);
        close(&presence.of_classes(&[0, 1, 1]), &[0.5, sigmoid(9.0)]);
        // One batch of windows after the other is the same.
        let mut apart = Presence::default();
        for window in 0..2 {
            apart.add(&masks.clone().narrow(0, window, 1), scores).unwrap();
        }
        assert_eq!(apart.of_classes(&[0, 1, 2]), presence.of_classes(&[0, 1, 2]));

        let mut probabilities = Presence::default();
        let scores = PatchScores {
            scale: 2.0,
            activation: MaskActivation::Softmax,
        };
        probabilities
            .add(&Tensor::full([1, 4, 1, 1], 0.3, &device), scores)
            .unwrap();
        close(&probabilities.of_classes(&[0, 1, 2, 3]), &[0.25; 4]);
        let nan = Tensor::full([1, 4, 1, 1], f32::NAN, &device);
        assert!(matches!(probabilities.add(&nan, scores), Err(Error::NotFinite)));
    }
}
