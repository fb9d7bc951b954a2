//! A line of `metrics.jsonl`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A line of `metrics.jsonl`: a summary of the iterations since the previous line, or an evaluation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricsLine {
    /// Iterations completed.
    pub iteration: u64,
    /// Weighted focal loss, or the only loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_mask: Option<f64>,
    /// Weighted dice loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_dice: Option<f64>,
    /// Weighted contrastive loss of pre-training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_contrastive: Option<f64>,
    /// Weighted patch-text loss of pre-training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_patches: Option<f64>,
    /// Scale of the logits in pre-training, the inverse of the temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logit_scale: Option<f64>,
    /// Learning rate of the last iteration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Seconds per iteration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Images per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images_per_second: Option<f64>,
    /// Scores of an evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<EvaluationScores>,
    /// Scores of an evaluation in pre-training, by the name of the split.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub clip_scores: BTreeMap<String, ClipScores>,
}

/// Zero-shot classification and retrieval scores of CLIP on a split, in percent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ClipScores {
    /// Images of one object whose class ranks first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top1: Option<f64>,
    /// Images of one object whose class is among the first five.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top5: Option<f64>,
    /// Images whose own caption ranks first.
    pub image_to_text_r1: f64,
    /// Images whose own caption is among the first five.
    pub image_to_text_r5: f64,
    /// Captions whose own image ranks first.
    pub text_to_image_r1: f64,
    /// Captions whose own image is among the first five.
    pub text_to_image_r5: f64,
}

/// Scores in percent; `None` without such a class.
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

impl MetricsLine {
    /// Whether the line is of an evaluation.
    pub fn is_evaluation(&self) -> bool {
        self.scores.is_some() || !self.clip_scores.is_empty()
    }
}
