//! The configuration of the loss.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::MaskTargets;
use super::ablation::{binary_cross_entropy, cross_entropy};
use super::nel::nel;
use crate::config::MaskActivation;
use crate::interpolate::resize_bilinear;

/// The losses of the paper's ablation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossForm {
    /// Focal plus dice, published.
    #[default]
    Nel,
    /// Softmax cross-entropy.
    CrossEntropy,
    /// Cross-entropy of independent masks.
    BinaryCrossEntropy,
}

impl LossForm {
    /// What turns masks that were trained by this loss into scores.
    pub fn mask_activation(self) -> MaskActivation {
        match self {
            Self::Nel | Self::BinaryCrossEntropy => MaskActivation::Sigmoid,
            Self::CrossEntropy => MaskActivation::Softmax,
        }
    }
}

/// A loss with its parameters; the defaults are the published ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// Which loss.
    pub form: LossForm,
    /// Weight of the focal loss in NEL.
    pub focal_weight: f64,
    /// Weight of the dice loss in NEL.
    pub dice_weight: f64,
    /// Weight of positives in the focal loss, in `[0, 1]`; negatives have `1 − alpha`.
    pub alpha: f64,
    /// Focus γ of the focal loss, at least 0.
    pub gamma: f64,
}

/// Losses of a micro-batch, before their division.
#[derive(Debug, Clone)]
pub struct LossTerms {
    /// The weighted focal loss, or the only loss of the baselines: `[1]`.
    pub mask: Tensor<1>,
    /// The weighted dice loss of NEL: `[1]`.
    pub dice: Option<Tensor<1>>,
    /// Summed over the batch, the divisor of the losses (1 where the sum is 0): M, or the number of labeled pixels.
    pub normalizer: usize,
}

impl Default for LossConfig {
    fn default() -> Self {
        Self {
            form: LossForm::Nel,
            focal_weight: 100.0,
            dice_weight: 1.0,
            alpha: 0.25,
            gamma: 2.0,
        }
    }
}

impl LossConfig {
    /// Losses of masks, resized bilinearly to the labels' size first.
    ///
    /// # Shapes
    /// - `masks`: `[batch, classes, height, width]`, before σ
    pub fn forward(&self, masks: Tensor<4>, targets: &MaskTargets) -> LossTerms {
        let upsampled = |masks| resize_bilinear(masks, targets.size());
        match self.form {
            LossForm::Nel => nel(masks, targets, self),
            LossForm::BinaryCrossEntropy => LossTerms {
                mask: binary_cross_entropy(upsampled(masks), targets),
                dice: None,
                normalizer: targets.pairs(),
            },
            LossForm::CrossEntropy => LossTerms {
                mask: cross_entropy(upsampled(masks), targets),
                dice: None,
                normalizer: targets.labeled_pixels(),
            },
        }
    }
}

impl LossTerms {
    /// The sum of all terms: `[1]`.
    pub fn total(&self) -> Tensor<1> {
        match &self.dice {
            Some(dice) => self.mask.clone() + dice.clone(),
            None => self.mask.clone(),
        }
    }
}
