//! Means of the iterations between two lines of `metrics.jsonl`.

use crate::metrics_line::MetricsLine;
use crate::observer::Step;

/// Sums since the last line.
#[derive(Debug, Default)]
pub(crate) struct RunningMeans {
    steps: f64,
    mask: f64,
    dice: Option<f64>,
    seconds: f64,
}

impl RunningMeans {
    pub(crate) fn add(&mut self, step: &Step) {
        self.steps += 1.0;
        self.mask += step.losses.mask;
        if let Some(dice) = step.losses.dice {
            *self.dice.get_or_insert(0.0) += dice;
        }
        self.seconds += step.seconds;
    }

    /// The line that ends with `last`; the next one starts anew.
    pub(crate) fn take(&mut self, last: &Step, batch_size: usize) -> MetricsLine {
        let Self {
            steps,
            mask,
            dice,
            seconds,
        } = std::mem::take(self);
        let steps = steps.max(1.0);
        MetricsLine {
            iteration: last.iteration,
            loss_mask: Some(mask / steps),
            loss_dice: dice.map(|dice| dice / steps),
            lr: Some(last.rate),
            seconds: Some(seconds / steps),
            images_per_second: Some(batch_size as f64 * steps / seconds.max(f64::MIN_POSITIVE)),
            ..MetricsLine::default()
        }
    }
}
