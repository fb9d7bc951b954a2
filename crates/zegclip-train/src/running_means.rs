//! Means of the iterations between two lines of `metrics.jsonl`.

use crate::metrics_line::MetricsLine;

/// A loss, and a second one where there is one.
pub(crate) type TwoLosses = (f64, Option<f64>);

/// Sums since the last line.
#[derive(Debug, Default)]
pub(crate) struct RunningMeans {
    steps: f64,
    first: f64,
    second: Option<f64>,
    seconds: f64,
}

impl RunningMeans {
    pub(crate) fn add(&mut self, (first, second): TwoLosses, seconds: f64) {
        self.steps += 1.0;
        self.first += first;
        if let Some(second) = second {
            *self.second.get_or_insert(0.0) += second;
        }
        self.seconds += seconds;
    }

    /// The means of the losses, and a line with those of the times; the next ones start anew.
    pub(crate) fn take(&mut self, batch_size: usize) -> (TwoLosses, MetricsLine) {
        let Self {
            steps,
            first,
            second,
            seconds,
        } = std::mem::take(self);
        let steps = steps.max(1.0);
        let line = MetricsLine {
            seconds: Some(seconds / steps),
            images_per_second: Some(batch_size as f64 * steps / seconds.max(f64::MIN_POSITIVE)),
            ..MetricsLine::default()
        };
        ((first / steps, second.map(|second| second / steps)), line)
    }
}
