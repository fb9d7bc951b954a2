//! Launching burn-train's `SupervisedTraining` with this crate's loop.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use burn::data::dataloader::DataLoader;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::optim::ModuleOptimizer;
use burn::train::metric::Adaptor;
use burn::train::renderer::MetricsRenderer;
use burn::train::{InferenceStep, Interrupter, Learner, SupervisedTraining, TrainStep, TrainingStrategy};

use super::metric_log::MetricLog;
use super::metrics::{Evaluated, IterationCount, ScoreMetric};
use super::strategy::{Hook, Iterations, Plan, Task};
use super::{Column, Iteration, SilentRenderer};
use crate::run::{CheckpointOnRequest, CheckpointWriter, MODEL, OPTIMIZER, SCHEDULER};
use crate::{RunDirectory, TrainError};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All iterations are completed and the model file is written.
    Finished,
    /// It was interrupted and the state after `iteration` iterations is saved.
    Interrupted {
        /// Iterations completed.
        iteration: u64,
    },
}

/// Settings of a launch that are not part of the configuration.
pub(crate) struct Session {
    pub(crate) renderer: Box<dyn MetricsRenderer>,
    pub(crate) interrupter: Interrupter,
    pub(crate) hook: Option<Hook>,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            renderer: Box::new(SilentRenderer),
            interrupter: Interrupter::new(),
            hook: None,
        }
    }
}

impl Session {
    pub(crate) fn on_iteration(&mut self, hook: impl FnMut(&Iteration) + Send + 'static) {
        self.hook = Some(Box::new(hook));
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Session").finish_non_exhaustive()
    }
}

/// A score of an evaluation: its metric and the path of its key in a line of `metrics.jsonl`.
pub(crate) type ScoreColumn<E> = (ScoreMetric<E>, String);

/// A run that is ready to be launched.
pub(crate) struct Launch<T: Task, E: Evaluated>
where
    <T as InferenceStep>::Output: Adaptor<E>,
{
    pub(crate) label: &'static str,
    pub(crate) directory: RunDirectory,
    pub(crate) plan: Plan,
    pub(crate) task: T,
    pub(crate) optimizer: ModuleOptimizer,
    pub(crate) scheduler: ModuleLrScheduler,
    pub(crate) train: Arc<dyn DataLoader<<T as TrainStep>::Input>>,
    pub(crate) valid: Arc<dyn DataLoader<<T as InferenceStep>::Input>>,
    pub(crate) columns: Vec<Column>,
    pub(crate) scores: Vec<ScoreColumn<E>>,
}

impl<T: Task, E: Evaluated> Launch<T, E>
where
    <T as InferenceStep>::Output: Adaptor<E>,
{
    /// Trains until the run is finished or interrupted. Returns the task without autodiff, and the outcome.
    pub(crate) fn run(self, session: Session) -> (T, Result<Outcome, TrainError>) {
        let failures = self.task.failures().clone();
        failures.watch();
        let evaluated = Arc::new(Mutex::new(None));
        let ended = Arc::new(Mutex::new(None));
        let writer = CheckpointWriter::default();
        let log = MetricLog::new(
            self.directory.clone(),
            [self.plan.from, self.plan.run.log_interval, self.plan.iterations],
            logged(&self.columns),
            self.scores
                .iter()
                .map(|(metric, key)| (burn::train::metric::Metric::name(metric).to_string(), key.clone()))
                .collect(),
            evaluated.clone(),
            failures.clone(),
        );
        let iterations = self.plan.iterations;
        let strategy = Iterations {
            plan: self.plan,
            directory: self.directory.clone(),
            writer: writer.clone(),
            failures,
            evaluated,
            hook: Mutex::new(session.hook),
            ended: ended.clone(),
        };
        let mut training = SupervisedTraining::<T>::new(self.directory.path(), self.train, self.valid)
            .with_custom_checkpointers(writer.record(MODEL), writer.record(OPTIMIZER), writer.record(SCHEDULER))
            .with_checkpointing_strategy(CheckpointOnRequest)
            .with_metric_logger(log)
            .with_application_logger(None)
            .renderer(session.renderer)
            .with_interrupter(session.interrupter)
            .label(self.label)
            .metric_train(IterationCount(iterations))
            .with_training_strategy(TrainingStrategy::Custom(Arc::new(strategy)));
        for column in self.columns {
            training = training.metric_train_numeric(column.metric);
        }
        for (metric, _) in self.scores {
            training = training.metric_valid_numeric(metric);
        }
        let result = training.launch(Learner::new(self.task, self.optimizer, self.scheduler));
        let ended = ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        let unknown = || Err(TrainError::Loop("it did not start".to_owned()));
        (result.model, ended.unwrap_or_else(unknown))
    }
}

/// Keys and summaries of logged metrics by name.
fn logged(columns: &[Column]) -> BTreeMap<String, (String, super::Summary)> {
    let logged = columns.iter().filter_map(|column| {
        let name = burn::train::metric::Metric::name(&column.metric).to_string();
        Some((name, (column.key?.to_owned(), column.summary)))
    });
    logged.collect()
}
