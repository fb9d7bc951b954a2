//! The scores of an evaluation as lines.

use burn::train::metric::{MetricDefinition, MetricId, NumericEntry};
use burn::train::renderer::MetricState;

/// Separates the evaluated data from the score in the name of a metric, as in `known_artists: top-1`.
const SEPARATOR: &str = ": ";

/// Collects the final values of an evaluation.
#[derive(Debug, Default)]
pub(super) struct EvaluationLines(Vec<Score>);

#[derive(Debug)]
struct Score {
    id: MetricId,
    name: String,
    value: Option<f64>,
}

impl EvaluationLines {
    pub(super) fn register(&mut self, definition: &MetricDefinition) {
        if !self.0.iter().any(|score| score.id == definition.metric_id) {
            self.0.push(Score {
                id: definition.metric_id.clone(),
                name: definition.name.to_string(),
                value: None,
            });
        }
    }

    pub(super) fn add(&mut self, state: &MetricState) {
        let MetricState::Numeric(entry, Some(NumericEntry::Final(value))) = state else {
            return;
        };
        if let Some(score) = self.0.iter_mut().find(|score| score.id == entry.metric_id) {
            score.value = Some(*value);
        }
    }

    /// One line for each evaluated data set, in order of registration.
    pub(super) fn take(&mut self, iteration: u64) -> Vec<String> {
        let mut lines: Vec<(String, String)> = Vec::new();
        for score in &mut self.0 {
            let Some(value) = score.value.take() else { continue };
            let (data, name) = match score.name.split_once(SEPARATOR) {
                Some((data, name)) => (format!("{data}{SEPARATOR}"), name),
                None => (String::new(), score.name.as_str()),
            };
            let value = match value.is_nan() {
                true => "–".to_owned(),
                false => format!("{value:.1}"),
            };
            match lines.iter_mut().find(|(other, _)| *other == data) {
                Some((_, line)) => line.push_str(&format!(", {name} {value}")),
                None => {
                    let line = format!("iteration {iteration}: {data}{name} {value}");
                    lines.push((data, line));
                }
            }
        }
        lines.into_iter().map(|(_, line)| line).collect()
    }
}
