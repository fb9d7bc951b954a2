//! Metrics of burn-train for iterations and evaluations.

use std::sync::Arc;

use burn::tensor::{Device, TensorReadError};
use burn::train::metric::state::{FormatOptions, NumericMetricState};
use burn::train::metric::{
    Adaptor, Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes, NumericEntry,
    SerializedEntry,
};

use super::Iteration;

/// Decimal places.
const DIGITS: usize = 4;

/// How a line of `metrics.jsonl` summarizes the iterations since the previous line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Summary {
    Mean,
    Newest,
    /// The harmonic mean, for rates per second.
    Rate,
}

/// A metric and its key in `metrics.jsonl`.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) metric: IterationMetric,
    /// `None` if it is only displayed.
    pub(crate) key: Option<&'static str>,
    pub(crate) summary: Summary,
}

/// The columns of every run. `parts` are names and keys of the terms of its loss.
pub(crate) fn iteration_columns(parts: &[(&'static str, &'static str)]) -> Vec<Column> {
    let column = |name, unit, key, summary, value: fn(&Iteration) -> Option<f64>| Column {
        metric: IterationMetric::new(name, unit, value),
        key,
        summary,
    };
    // A single term is the loss.
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

/// Reserved memory of a device in gigabytes; `None` for devices without a memory pool.
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

/// Reads an optional number from an item.
type Reader<I> = Arc<dyn Fn(&I) -> Option<f64> + Send + Sync>;

/// A number of each iteration. burn's own loss metric needs a tensor.
#[derive(Clone)]
pub struct IterationMetric {
    name: MetricName,
    unit: Option<&'static str>,
    value: Reader<Iteration>,
    state: NumericMetricState,
    known: bool,
}

impl IterationMetric {
    /// A metric with a name; `value` is `None` for iterations without it.
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

/// The number of completed iterations, also of a resumed run.
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

/// Counts that an evaluation accumulates over its items.
pub trait Evaluated: Clone + Send + Sync + 'static {
    /// Adds the counts of another item.
    fn merge(&mut self, other: &Self);
}

/// A score in percent over all items of an evaluation.
#[derive(Clone)]
pub struct ScoreMetric<E> {
    name: MetricName,
    score: Reader<E>,
    sum: Option<E>,
    computed: Option<f64>,
}

impl<E: Evaluated> ScoreMetric<E> {
    /// A metric with a name; `score` may be undefined, as hIoU without unseen classes.
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
        // The sum may be that of an interrupted evaluation.
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

/// Resident memory of this process in gigabytes, on Linux. burn-train's metric is of the machine.
fn resident_gigabytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024.0 / 1e9)
}

impl<E: Evaluated> Adaptor<E> for Scored<E> {
    fn adapt(&self) -> E {
        self.0.clone()
    }
}

/// The result of an evaluated item.
#[derive(Debug, Clone)]
pub struct Scored<E>(pub E);

impl<E: Evaluated> burn::train::ItemLazy for Scored<E> {
    fn sync(self) -> Result<Self, burn::backend::ExecutionError> {
        Ok(self)
    }
}
