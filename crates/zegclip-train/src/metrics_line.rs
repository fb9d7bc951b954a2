//! Lines of `metrics.jsonl`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A line of `metrics.jsonl`: means over the iterations since the line before, or an evaluation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricsLine {
    /// Iterations done.
    pub iteration: u64,
    /// Weighted focal loss, or the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_mask: Option<f64>,
    /// Weighted dice loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_dice: Option<f64>,
    /// Contrastive loss of pre-training, with its share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_contrastive: Option<f64>,
    /// Loss of patches in pre-training, with its share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_patches: Option<f64>,
    /// Scale of the similarities in pre-training, the inverse of the temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logit_scale: Option<f64>,
    /// Learning rate of the last iteration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Seconds an iteration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Images a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images_per_second: Option<f64>,
    /// Scores of an evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<EvaluationScores>,
    /// Scores of an evaluation in pre-training, by the name of the split.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub clip_scores: BTreeMap<String, ClipScores>,
}

/// How well plain CLIP tells images and texts of a split, in percent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ClipScores {
    /// Images of one thing whose name is the best of all names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top1: Option<f64>,
    /// Among the five best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top5: Option<f64>,
    /// Images whose own caption is the best of all captions.
    pub image_to_text_r1: f64,
    /// Among the five best.
    pub image_to_text_r5: f64,
    /// Captions whose own image is the best of all images.
    pub text_to_image_r1: f64,
    /// Among the five best.
    pub text_to_image_r5: f64,
}

/// Scores in percent; `None` where there is no such class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct EvaluationScores {
    /// Pixel accuracy.
    pub pixel_accuracy: Option<f64>,
    /// Mean IoU of all classes.
    pub miou: Option<f64>,
    /// Mean IoU of seen classes.
    pub miou_seen: Option<f64>,
    /// Mean IoU of unseen classes.
    pub miou_unseen: Option<f64>,
    /// Harmonic mean of the last two.
    pub hiou: Option<f64>,
}
