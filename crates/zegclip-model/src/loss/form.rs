//! Which loss, with which numbers.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use zegclip_kernels::mask_losses;

use super::{MaskTargets, binary_cross_entropy, cross_entropy, nel};
use crate::config::MaskActivation;
use crate::interpolate::resize_bilinear;

/// The published focus, for which upsampling and losses are one operator that never holds the upsampled masks.
const FUSED_GAMMA: f64 = 2.0;

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

/// A loss with its numbers; the defaults are those published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossConfig {
    /// Which loss.
    pub form: LossForm,
    /// Weight of the focal loss in NEL.
    pub focal_weight: f64,
    /// Weight of the dice loss in NEL.
    pub dice_weight: f64,
    /// Weight of positives in the focal loss, in `[0, 1]`; negatives have the rest.
    pub alpha: f64,
    /// Focus of the focal loss, at least 0.
    pub gamma: f64,
}

/// Losses of a part of a batch, before their division.
#[derive(Debug, Clone)]
pub struct LossTerms {
    /// The weighted focal loss, or the only loss of the baselines: `[1]`.
    pub mask: Tensor<1>,
    /// The weighted dice loss of NEL: `[1]`.
    pub dice: Option<Tensor<1>>,
    /// What to divide by once it is added up over the batch (by 1 where that is 0): M, or the number of labelled pixels.
    pub normaliser: usize,
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
        if self.form == LossForm::Nel && self.gamma == FUSED_GAMMA {
            let losses = mask_losses(masks, targets.labels().clone(), self.alpha);
            return LossTerms {
                mask: losses.clone().narrow(0, 0, 1) * self.focal_weight,
                dice: Some(losses.narrow(0, 1, 1) * self.dice_weight),
                normaliser: targets.pairs(),
            };
        }
        let logits = resize_bilinear(masks, targets.size());
        match self.form {
            LossForm::Nel => {
                let (mask, dice) = nel(logits, targets, self);
                LossTerms {
                    mask,
                    dice: Some(dice),
                    normaliser: targets.pairs(),
                }
            }
            LossForm::BinaryCrossEntropy => LossTerms {
                mask: binary_cross_entropy(logits, targets),
                dice: None,
                normaliser: targets.pairs(),
            },
            LossForm::CrossEntropy => LossTerms {
                mask: cross_entropy(logits, targets),
                dice: None,
                normaliser: targets.labelled(),
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
