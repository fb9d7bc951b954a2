//! Lines of `metrics.jsonl`.

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
