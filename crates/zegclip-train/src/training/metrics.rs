//! Metrics of burn-train: numbers of an iteration, and scores of an evaluation.

use std::sync::Arc;

use burn::tensor::{Device, TensorReadError};
use burn::train::metric::state::{FormatOptions, NumericMetricState};
use burn::train::metric::{
    Adaptor, Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes, NumericEntry,
    SerializedEntry,
};

use super::Iteration;

/// Digits behind the point.
const DIGITS: usize = 4;

/// How a line of `metrics.jsonl` sums up the iterations since the line before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Summary {
    Mean,
    Newest,
    /// Of a rate per second: the harmonic mean.
    Rate,
}

/// A metric and its place in `metrics.jsonl`.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) metric: IterationMetric,
    /// `None` for what is only shown.
    pub(crate) key: Option<&'static str>,
    pub(crate) summary: Summary,
}

/// What every run shows and logs. `parts` are names and keys of the parts of its loss.
pub(crate) fn iteration_columns(parts: &[(&'static str, &'static str)]) -> Vec<Column> {
    let column = |name, unit, key, summary, value: fn(&Iteration) -> Option<f64>| Column {
        metric: IterationMetric::new(name, unit, value),
        key,
        summary,
    };
    // A single part is the loss.
    let key = if let [(_, key)] = parts { Some(*key) } else { None };
    let loss = column("Loss", None, key, Summary::Mean, |item| Some(item.loss()));
    let parts = parts.iter().filter(|_| key.is_none()).map(|(name, key)| Column {
        metric: IterationMetric::new(*name, None, |item| item.part(key)),
        key: Some(key),
        summary: Summary::Mean,
    });
    let others = [
        column("Learning rate", None, Some("lr"), Summary::Newest, |item| {
            Some(item.rate)
        }),
        column("Iteration time", Some("s"), Some("seconds"), Summary::Mean, |item| {
            Some(item.seconds)
        }),
        column("Data wait", Some("s"), None, Summary::Mean, |item| Some(item.waited)),
        column("Images/s", None, Some("images_per_second"), Summary::Rate, |item| {
            Some(item.images_per_second())
        }),
        column("Memory", Some("GB"), None, Summary::Newest, |_| resident_gigabytes()),
    ];
    std::iter::once(loss).chain(parts).chain(others).collect()
}

/// Memory that a device has reserved in gigabytes; `None` for devices that keep no pool.
pub(crate) fn device_memory(device: &Device) -> Option<Column> {
    let gigabytes = |device: &Device| Some(device.memory_pool_usage()?.bytes_reserved as f64 / 1e9);
    gigabytes(device)?;
    let device = device.clone();
    Some(Column {
        metric: IterationMetric::new("Device memory", Some("GB"), move |_| gigabytes(&device)),
        key: None,
        summary: Summary::Newest,
    })
}

/// Reads a number from an item, if it has one.
type Reader<I> = Arc<dyn Fn(&I) -> Option<f64> + Send + Sync>;

/// A number of each iteration. burn's loss metric reads a tensor; these are numbers already.
#[derive(Clone)]
pub struct IterationMetric {
    name: MetricName,
    unit: Option<&'static str>,
    value: Reader<Iteration>,
    state: NumericMetricState,
    known: bool,
}

impl IterationMetric {
    /// A metric called `name`; `value` may have none for an iteration.
    pub fn new(
        name: impl Into<String>,
        unit: Option<&'static str>,
        value: impl Fn(&Iteration) -> Option<f64> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: Arc::new(name.into()),
            unit,
            value: Arc::new(value),
            state: NumericMetricState::new(),
            known: false,
        }
    }

    fn format(&self) -> FormatOptions {
        let options = FormatOptions::new(self.name.clone()).precision(DIGITS);
        match self.unit {
            Some(unit) => options.unit(unit),
            None => options,
        }
    }
}

impl std::fmt::Debug for IterationMetric {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("IterationMetric")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Metric for IterationMetric {
    type Input = Iteration;

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes {
            unit: self.unit.map(str::to_owned),
            higher_is_better: false,
        }
        .into()
    }

    fn update(&mut self, item: &Iteration, _: &MetricMetadata) -> Result<SerializedEntry, TensorReadError> {
        let value = (self.value)(item);
        self.known = value.is_some();
        let Some(value) = value else {
            return Ok(SerializedEntry::not_available(self.unit));
        };
        self.state.update(value, 1);
        Ok(self.state.compute_update(self.format()))
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(self.state.compute_final(self.format()))
    }

    fn clear(&mut self) {
        self.state.reset();
        self.known = false;
    }
}

impl Numeric for IterationMetric {
    fn value(&self) -> Option<NumericEntry> {
        self.known.then(|| self.state.current_value())
    }

    fn running_value(&self) -> Option<NumericEntry> {
        self.known.then(|| self.state.running_value())
    }

    fn final_value(&self) -> NumericEntry {
        self.state.final_value()
    }
}

/// The number of iterations done. It shows and logs where a run stands, also one that was resumed.
#[derive(Debug, Clone)]
pub(crate) struct IterationCount(pub(crate) u64);

/// The name of [`IterationCount`].
pub(crate) const ITERATION: &str = "Iteration";

impl Metric for IterationCount {
    type Input = ();

    fn name(&self) -> MetricName {
        Arc::new(ITERATION.to_owned())
    }

    fn update(&mut self, (): &(), metadata: &MetricMetadata) -> Result<SerializedEntry, TensorReadError> {
        let done = metadata.iteration.unwrap_or_default();
        Ok(SerializedEntry::new(format!("{done} of {}", self.0), done.to_string()))
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(SerializedEntry::not_available(None))
    }

    fn clear(&mut self) {}
}

/// What an evaluation adds up over its items, and the numbers that come of it.
pub trait Evaluated: Clone + Send + Sync + 'static {
    /// Adds what another item has.
    fn merge(&mut self, other: &Self);
}

/// A score in percent of all items of an evaluation; single items have none.
#[derive(Clone)]
pub struct ScoreMetric<E> {
    name: MetricName,
    score: Reader<E>,
    sum: Option<E>,
    computed: Option<f64>,
}

impl<E: Evaluated> ScoreMetric<E> {
    /// A metric called `name`; `score` may have none, as hIoU without unseen classes.
    pub fn new(name: impl Into<String>, score: impl Fn(&E) -> Option<f64> + Send + Sync + 'static) -> Self {
        Self {
            name: Arc::new(name.into()),
            score: Arc::new(score),
            sum: None,
            computed: None,
        }
    }
}

impl<E> std::fmt::Debug for ScoreMetric<E> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ScoreMetric")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<E: Evaluated> Metric for ScoreMetric<E> {
    type Input = E;

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes {
            unit: Some("%".to_owned()),
            higher_is_better: true,
        }
        .into()
    }

    fn update(&mut self, item: &E, metadata: &MetricMetadata) -> Result<SerializedEntry, TensorReadError> {
        // An evaluation that was given up leaves a sum behind.
        if metadata.progress.items_processed <= 1 {
            self.sum = None;
        }
        match &mut self.sum {
            Some(sum) => sum.merge(item),
            None => self.sum = Some(item.clone()),
        }
        Ok(SerializedEntry::not_available(None))
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        self.computed = self.sum.as_ref().and_then(|sum| (self.score)(sum));
        let shown = self.computed.map_or("–".to_owned(), |score| format!("{score:.1} %"));
        Ok(SerializedEntry::new(shown, self.final_value().serialize()))
    }

    fn clear(&mut self) {
        self.sum = None;
    }
}

impl<E: Evaluated> Numeric for ScoreMetric<E> {
    fn value(&self) -> Option<NumericEntry> {
        None
    }

    fn running_value(&self) -> Option<NumericEntry> {
        None
    }

    fn final_value(&self) -> NumericEntry {
        NumericEntry::Final(self.computed.unwrap_or(f64::NAN))
    }
}

/// Memory of this process in gigabytes, where the system tells it as Linux does: burn-train's metric is of the whole machine.
fn resident_gigabytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024.0 / 1e9)
}

/// Metrics take their input by way of an adaptor.
impl<E: Evaluated> Adaptor<E> for Scored<E> {
    fn adapt(&self) -> E {
        self.0.clone()
    }
}

/// What evaluating one item gave.
#[derive(Debug, Clone)]
pub struct Scored<E>(pub E);

impl<E: Evaluated> burn::train::ItemLazy for Scored<E> {
    fn sync(self) -> Result<Self, burn::backend::ExecutionError> {
        Ok(self)
    }
}
