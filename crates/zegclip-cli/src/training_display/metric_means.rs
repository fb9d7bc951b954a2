//! Values of the training metrics since the last line.

use burn::train::metric::{MetricAttributes, MetricDefinition, MetricId, NumericEntry};
use burn::train::renderer::MetricState;

/// Images per second: the images of all iterations divided by their time, not the mean of the rates.
const RATE: &str = "Images/s";
/// The time of an iteration, which is registered before the rate.
const TIME: &str = "Iteration time";
/// Metrics whose newest value is shown instead of the mean.
const NEWEST: [&str; 3] = ["Learning rate", "Memory", "Device memory"];

/// One entry per metric, in order of registration.
#[derive(Debug, Default)]
pub(super) struct MetricMeans {
    metrics: Vec<Metric>,
    /// Seconds of the newest iteration.
    seconds: Option<f64>,
}

#[derive(Debug)]
struct Metric {
    id: MetricId,
    name: String,
    unit: Option<String>,
    sum: f64,
    /// Values, or of a rate the seconds.
    weight: f64,
}

impl MetricMeans {
    pub(super) fn register(&mut self, definition: &MetricDefinition) {
        let known = self.metrics.iter().any(|metric| metric.id == definition.metric_id);
        let MetricAttributes::Numeric(attributes) = &definition.attributes else {
            return;
        };
        if !known {
            self.metrics.push(Metric {
                id: definition.metric_id.clone(),
                name: definition.name.to_string(),
                unit: attributes.unit.clone(),
                sum: 0.0,
                weight: 0.0,
            });
        }
    }

    pub(super) fn add(&mut self, state: &MetricState) {
        let MetricState::Numeric(entry, Some(value)) = state else {
            return;
        };
        let (value, count) = match value {
            NumericEntry::Value(value) => (*value, 1),
            NumericEntry::Aggregated {
                aggregated_value,
                count,
            } => (*aggregated_value, *count),
            // Repeats the single values.
            NumericEntry::Final(_) => return,
        };
        let Some(metric) = self.metrics.iter_mut().find(|metric| metric.id == entry.metric_id) else {
            return;
        };
        if NEWEST.contains(&metric.name.as_str()) {
            (metric.sum, metric.weight) = (0.0, 0.0);
        }
        if metric.name == TIME {
            self.seconds = Some(value);
        }
        let weight = match self.seconds {
            Some(seconds) if metric.name == RATE => seconds,
            _ => count as f64,
        };
        metric.sum += value * weight;
        metric.weight += weight;
    }

    /// The metrics with values since the last call, as text.
    pub(super) fn take(&mut self) -> Vec<String> {
        let shown = self.metrics.iter().filter_map(Metric::shown).collect();
        for metric in &mut self.metrics {
            (metric.sum, metric.weight) = (0.0, 0.0);
        }
        shown
    }
}

impl Metric {
    fn shown(&self) -> Option<String> {
        if self.weight <= 0.0 {
            return None;
        }
        let mean = self.sum / self.weight;
        let value = match self.name.as_str() {
            "Learning rate" => format!("{mean:.2e}"),
            "Iteration time" | "Data wait" => format!("{mean:.3}"),
            "Images/s" | "Memory" | "Device memory" => format!("{mean:.2}"),
            _ => format!("{mean:.4}"),
        };
        let unit = self.unit.iter().filter(|unit| !unit.is_empty());
        let unit: String = unit.map(|unit| format!(" {unit}")).collect();
        Some(format!("{} {value}{unit}", self.name))
    }
}
