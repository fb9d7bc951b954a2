//! Writing `metrics.jsonl` from burn-train's metrics: a line per log interval and per evaluation.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use burn::train::logger::MetricLogger;
use burn::train::metric::store::{EpochSummary, MetricsUpdate, Split};
use burn::train::metric::{MetricDefinition, MetricId, NumericEntry};
use serde_json::{Map, Value};

use super::FailureSlot;
use super::metrics::{ITERATION, Summary};
use crate::{MetricsLine, RunDirectory};

/// Writes the lines. burn-train calls it on its own thread.
pub(crate) struct MetricLog {
    run: RunDirectory,
    interval: u64,
    iterations: u64,
    /// Keys and summaries of training metrics by name.
    train: BTreeMap<String, (String, Summary)>,
    /// Paths of scores by name, such as `scores/hiou`.
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
    /// A log that continues after `from` iterations. `evaluated` receives the line of each evaluation.
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
        // An update without an iteration is the end of an interval, whose final values are not logged.
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

    /// A key `a/b` is `b` of the object `a`.
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

/// Inserts a value at a path such as `scores/hiou`.
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
