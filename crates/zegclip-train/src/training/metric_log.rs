//! `metrics.jsonl`: burn-train's metrics, a line every so many iterations and one for each evaluation.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use burn::train::logger::MetricLogger;
use burn::train::metric::store::{EpochSummary, MetricsUpdate, Split};
use burn::train::metric::{MetricDefinition, MetricId, NumericEntry};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::FailureSlot;
use super::metrics::{ITERATION, Summary};
use crate::RunDirectory;

/// A line of `metrics.jsonl`: a summary of the iterations since the line before, or an evaluation.
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

/// Writes the lines. burn-train calls it on a thread of its own.
pub(crate) struct MetricLog {
    run: RunDirectory,
    interval: u64,
    iterations: u64,
    /// Keys and summaries of training metrics by their names.
    train: BTreeMap<String, (String, Summary)>,
    /// Paths of keys of scores by their names, such as `scores/hiou`.
    valid: BTreeMap<String, String>,
    names: HashMap<MetricId, String>,
    sums: BTreeMap<String, Sum>,
    newest: u64,
    evaluated: Arc<Mutex<Option<MetricsLine>>>,
    failures: Arc<FailureSlot>,
}

#[derive(Debug, Clone, Copy)]
struct Sum {
    summary: Summary,
    count: f64,
    sum: f64,
    newest: f64,
}

impl Sum {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        self.newest = value;
        self.sum += match self.summary {
            Summary::Rate => value.recip(),
            Summary::Mean | Summary::Newest => value,
        };
    }

    fn value(&self) -> f64 {
        match self.summary {
            Summary::Mean => self.sum / self.count,
            Summary::Newest => self.newest,
            Summary::Rate => self.count / self.sum,
        }
    }
}

impl MetricLog {
    /// A log that goes on after `from` iterations. `evaluated` gets the line of each evaluation.
    pub(crate) fn new(
        run: RunDirectory,
        [from, interval, iterations]: [u64; 3],
        train: BTreeMap<String, (String, Summary)>,
        valid: BTreeMap<String, String>,
        evaluated: Arc<Mutex<Option<MetricsLine>>>,
        failures: Arc<FailureSlot>,
    ) -> Self {
        Self {
            run,
            interval,
            iterations,
            train,
            valid,
            names: HashMap::new(),
            sums: BTreeMap::new(),
            newest: from,
            evaluated,
            failures,
        }
    }

    fn name(&self, id: &MetricId) -> &str {
        self.names.get(id).map_or("", String::as_str)
    }

    fn train(&mut self, update: &MetricsUpdate) {
        let iteration = update
            .entries
            .iter()
            .find(|entry| self.name(&entry.metric_id) == ITERATION)
            .and_then(|entry| entry.serialized_entry.serialized.parse().ok());
        // Without one it is the end of an interval, whose final values nothing here needs.
        let Some(iteration) = iteration else { return };
        self.newest = iteration;
        for metric in &update.entries_numeric {
            let Some((key, summary)) = self.train.get(self.name(&metric.entry.metric_id)).cloned() else {
                continue;
            };
            if let Some(entry) = &metric.numeric_entry {
                let empty = Sum {
                    summary,
                    count: 0.0,
                    sum: 0.0,
                    newest: f64::NAN,
                };
                self.sums.entry(key).or_insert(empty).add(entry.current());
            }
        }
        if iteration.is_multiple_of(self.interval.max(1)) || iteration == self.iterations {
            let sums = std::mem::take(&mut self.sums);
            self.write(sums.into_iter().map(|(key, sum)| (key, sum.value())));
        }
    }

    fn valid(&mut self, update: &MetricsUpdate) {
        let finals: Vec<(String, f64)> = update
            .entries_numeric
            .iter()
            .filter_map(|metric| match metric.numeric_entry {
                Some(NumericEntry::Final(value)) => {
                    let key = self.valid.get(self.name(&metric.entry.metric_id))?;
                    Some((key.clone(), value))
                }
                _ => None,
            })
            .collect();
        if finals.is_empty() {
            return;
        }
        let line = self.write(finals.into_iter());
        *self.evaluated.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }

    /// A key `a/b` lies in an object `a`.
    fn write(&mut self, values: impl Iterator<Item = (String, f64)>) -> Option<MetricsLine> {
        let mut line = Map::from_iter([("iteration".to_owned(), self.newest.into())]);
        for (path, value) in values {
            insert(&mut line, &path, Value::from(value));
        }
        let line: MetricsLine = serde_json::from_value(Value::Object(line)).ok()?;
        if let Err(error) = self.run.log(&line) {
            self.failures.report(error);
        }
        Some(line)
    }
}

/// Puts a value at a path such as `scores/hiou`.
fn insert(line: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('/') {
        None => {
            line.insert(path.to_owned(), value);
        }
        Some((key, rest)) => {
            let inner = line.entry(key).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

impl MetricLogger for MetricLog {
    fn log(&mut self, update: MetricsUpdate, _: usize, split: &Split) {
        match split {
            Split::Train => self.train(&update),
            Split::Valid => self.valid(&update),
            Split::Test(_) => {}
        }
    }

    fn read_numeric(&mut self, _: &str, _: usize, _: &Split) -> Result<Vec<NumericEntry>, String> {
        Ok(Vec::new())
    }

    fn log_metric_definition(&mut self, definition: MetricDefinition) {
        self.names.insert(definition.metric_id, definition.name.to_string());
    }

    fn log_epoch_summary(&mut self, _: EpochSummary) {}
}
