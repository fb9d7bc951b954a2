//! The training loop: burn-train's learner by iterations instead of epochs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use burn::data::dataloader::Progress;
use burn::optim::GradientsParams;
use burn::train::metric::store::{Aggregate, EventStoreClient, Split};
use burn::train::{
    EventProcessorTraining, InferenceStep, Interrupter, Learner, LearnerEvent, LearnerModel, LearningCheckpointer,
    SupervisedLearningStrategy, SupervisedTrainingEventProcessor, TrainLoader, TrainOutput, TrainStep,
    TrainingComponents, TrainingItem, ValidLoader,
};

use super::{FailureSlot, Iteration, Outcome};
use crate::run::{CheckpointWriter, RunState};
use crate::{Best, Checkpoint, MetricsLine, RunConfig, RunDirectory, TrainError};

/// A model that the loop trains, in addition to burn's traits.
pub(crate) trait Task: LearnerModel + TrainStep<Output = Iteration> {
    /// The slot for errors of steps.
    fn failures(&self) -> &Arc<FailureSlot>;

    /// Whether the model must change before this batch. The loop then calls [`optimize`](TrainStep::optimize), the only method
    /// that gets the optimizer, without gradients.
    fn prepare(&self, batch: &<Self as TrainStep>::Input) -> bool {
        let _ = batch;
        false
    }

    /// Writes the report of a run. `self` is without autodiff.
    fn report(&self, run: &RunDirectory) -> Result<(), TrainError>;
}

/// The schedule of a run: iterations, evaluations, checkpoints.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Iterations completed before.
    pub(crate) from: u64,
    pub(crate) iterations: u64,
    pub(crate) run: RunConfig,
    /// Iterations before the half-way checkpoint.
    pub(crate) half_way: Option<u64>,
    /// The configuration as TOML, for checkpoints.
    pub(crate) config: String,
    pub(crate) best: Option<Best>,
    /// The evaluation after `from` was interrupted.
    pub(crate) evaluation_due: bool,
}

/// Called after every iteration, before the next one.
pub(crate) type Hook = Box<dyn FnMut(&Iteration) + Send>;

/// The loop as a strategy of burn-train, whose "epoch" is one evaluation interval.
pub(crate) struct Iterations {
    pub(crate) plan: Plan,
    pub(crate) directory: RunDirectory,
    pub(crate) writer: CheckpointWriter,
    pub(crate) failures: Arc<FailureSlot>,
    pub(crate) evaluated: Arc<Mutex<Option<MetricsLine>>>,
    pub(crate) hook: Mutex<Option<Hook>>,
    /// The outcome: the display may reset the interrupter before `launch` returns.
    pub(crate) ended: Arc<Mutex<Option<Result<Outcome, TrainError>>>>,
}

impl<T: Task> SupervisedLearningStrategy<T> for Iterations {
    fn fit(
        &self,
        parts: TrainingComponents<T>,
        learner: Learner<T>,
        train: TrainLoader<T>,
        valid: ValidLoader<T>,
        _: usize,
    ) -> (T, SupervisedTrainingEventProcessor<T>) {
        let mut hook = self.hook.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut run = Run {
            settings: self,
            learner,
            events: parts.event_processor,
            store: parts.event_store,
            checkpointer: parts.checkpointer,
            stop: parts.interrupter,
            valid,
            iteration: self.plan.from,
            best: self.plan.best,
        };
        let result = run.run(&train, hook.as_mut());
        // Joins the checkpointers' threads.
        drop(run.checkpointer.take());
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        (run.learner.model(), run.events)
    }
}

/// The state of the loop.
struct Run<'a, T: Task> {
    settings: &'a Iterations,
    learner: Learner<T>,
    events: SupervisedTrainingEventProcessor<T>,
    store: Arc<EventStoreClient>,
    checkpointer: Option<LearningCheckpointer<T>>,
    stop: Interrupter,
    valid: ValidLoader<T>,
    /// Iterations completed.
    iteration: u64,
    best: Option<Best>,
}

/// The outcome of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Evaluation {
    Done,
    Interrupted,
}

impl<T: Task> Run<'_, T> {
    fn run(&mut self, train: &TrainLoader<T>, mut hook: Option<&mut Hook>) -> Result<Outcome, TrainError> {
        let plan = &self.settings.plan;
        self.start_split()?;
        if plan.evaluation_due {
            if self.evaluate()? == Evaluation::Interrupted {
                return Ok(self.interrupted());
            }
            Checkpoint::record_evaluation(&self.settings.directory.checkpoint_path(self.iteration), self.best)?;
        }
        let mut batches = train.iter();
        while self.iteration < plan.iterations {
            let begun = Instant::now();
            let batch = batches.next().ok_or(TrainError::EndOfData {
                iteration: self.iteration,
                iterations: plan.iterations,
            })?;
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    self.settings.failures.check()?;
                    return Err(TrainError::Loop(error.to_string()));
                }
            };
            let waited = begun.elapsed().as_secs_f64();
            let mut item = self.update(batch)?;
            item.waited = waited;
            item.seconds = begun.elapsed().as_secs_f64();
            if let Some(hook) = hook.as_deref_mut() {
                hook(&item);
            }
            let progress = Progress::new(self.iteration as usize, plan.iterations as usize, None);
            let done = Some(self.iteration as usize);
            let item = TrainingItem::new(item, progress, done, Some(self.learner.lr_current()));
            let processed = self.events.process_train(LearnerEvent::ProcessedItem(item));
            self.check(processed)?;
            if let Some(outcome) = self.after_iteration()? {
                return Ok(outcome);
            }
        }
        Ok(Outcome::Finished)
    }

    /// One iteration. The parameters are unchanged if the loss or a gradient is not finite.
    fn update(&mut self, batch: <T as TrainStep>::Input) -> Result<Iteration, TrainError> {
        let failures = &self.settings.failures;
        if self.learner.model().prepare(&batch) {
            self.learner.optimizer_step(GradientsParams::new());
            failures.check()?;
        }
        self.learner.lr_step();
        let learner = &self.learner;
        let TrainOutput { grads, mut item } = device_work(|| learner.train_step(batch))?;
        failures.check()?;
        if !item.loss().is_finite() {
            return Err(self.not_finite("loss", item.loss(), item.samples));
        }
        let learner = &mut self.learner;
        device_work(|| learner.optimizer_step(grads))?;
        match failures.take() {
            Some(TrainError::GradientNotFinite { norm }) => {
                return Err(self.not_finite("gradient norm", norm, item.samples));
            }
            Some(error) => return Err(error),
            None => {}
        }
        self.iteration += 1;
        item.iteration = self.iteration;
        item.iterations = self.settings.plan.iterations;
        item.rate = self.learner.lr_current().base();
        Ok(item)
    }

    /// Evaluates, saves and stops as the plan or an interruption requires.
    fn after_iteration(&mut self) -> Result<Option<Outcome>, TrainError> {
        let plan = &self.settings.plan;
        let last = self.iteration == plan.iterations;
        let interval = plan.run.evaluation_interval;
        let mut evaluation_due = interval > 0 && (last || self.iteration.is_multiple_of(interval));
        if evaluation_due && !self.stop.should_stop() {
            evaluation_due = self.evaluate()? == Evaluation::Interrupted;
        }
        let interrupted = self.stop.should_stop() && (!last || evaluation_due);
        // Saved before the regular checkpoint: a killed run would otherwise resume without it.
        if plan.half_way == Some(self.iteration) {
            self.save(&self.settings.directory.half_way_path(), false)?;
        }
        if last || interrupted || self.iteration.is_multiple_of(plan.run.checkpoint_interval) {
            let path = self.settings.directory.checkpoint_path(self.iteration);
            self.save(&path, evaluation_due)?;
            self.settings.directory.prune(self.iteration, plan.run.keep)?;
            tracing::info!("iteration {} saved in {}", self.iteration, path.display());
        }
        Ok(interrupted.then(|| self.interrupted()))
    }

    /// Scores the model. A failed evaluation is logged, and training continues.
    fn evaluate(&mut self) -> Result<Evaluation, TrainError> {
        let epoch = self.epoch();
        let ended = self.events.process_train(LearnerEvent::EndSplit(epoch));
        self.check(ended)?;
        let model = self.learner.model().valid();
        let items = self.valid.num_items();
        let started = self.events.process_valid(LearnerEvent::StartSplit {
            epoch_number: epoch,
            total_items: items,
        });
        self.check(started)?;
        let valid = self.valid.clone();
        let mut failure = None;
        for (index, item) in valid.iter().enumerate() {
            self.check(Ok(()))?;
            if self.stop.should_stop() {
                return Ok(Evaluation::Interrupted);
            }
            let Ok(item) = item else {
                failure = self.settings.failures.take();
                break;
            };
            let output = device_work(|| InferenceStep::step(&model, item));
            failure = self.settings.failures.take();
            if failure.is_some() {
                break;
            }
            let output = output?;
            let progress = Progress::new(index + 1, items, None);
            let item = TrainingItem::new(output, progress, Some(self.iteration as usize), None);
            let processed = self.events.process_valid(LearnerEvent::ProcessedItem(item));
            self.check(processed)?;
        }
        match failure {
            Some(error) => tracing::warn!("the evaluation failed, training continues: {error}"),
            None => {
                let ended = self.events.process_valid(LearnerEvent::EndSplit(epoch));
                self.check(ended)?;
                self.flush()?;
                self.keep_best()?;
            }
        }
        if self.iteration < self.settings.plan.iterations {
            model.report(&self.settings.directory)?;
        }
        self.start_split()?;
        Ok(Evaluation::Done)
    }

    fn keep_best(&mut self) -> Result<(), TrainError> {
        let line = self
            .settings
            .evaluated
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let hiou = line.and_then(|line| line.scores?.hiou);
        let Some(hiou) = hiou.filter(|hiou| self.best.is_none_or(|best| *hiou > best.hiou)) else {
            return Ok(());
        };
        self.best = Some(Best {
            iteration: self.iteration,
            hiou,
        });
        self.save(&self.settings.directory.best_path(), false)
    }

    /// Returns when the checkpoint is on disk.
    fn save(&mut self, path: &std::path::Path, evaluation_due: bool) -> Result<(), TrainError> {
        self.flush()?;
        let config = self.settings.plan.config.clone();
        let state = RunState::new(self.iteration, config, self.best, evaluation_due);
        self.settings.writer.begin(path, state)?;
        if let Some(checkpointer) = &mut self.checkpointer {
            checkpointer.checkpoint(&self.learner, self.iteration as usize, &self.store);
        }
        self.settings.writer.finish()
    }

    /// Waits until all metrics are computed and logged.
    fn flush(&mut self) -> Result<(), TrainError> {
        let flushed = self.events.flush();
        self.check(flushed)?;
        // The store answers after it has processed all earlier events.
        let _ = self.store.find_metric("", 0, Aggregate::Mean, &Split::Train);
        self.settings.failures.check()
    }

    fn start_split(&mut self) -> Result<(), TrainError> {
        let started = self.events.process_train(LearnerEvent::StartSplit {
            epoch_number: self.epoch(),
            total_items: self.settings.plan.iterations as usize,
        });
        self.check(started)
    }

    /// The current evaluation interval, from 1.
    fn epoch(&self) -> usize {
        let interval = self.settings.plan.run.evaluation_interval;
        let interval = if interval == 0 { u64::MAX } else { interval };
        (self.iteration / interval) as usize + 1
    }

    /// The error of an event, of a checkpointer's thread or of the metrics file.
    fn check(&self, processed: Result<(), burn::train::EventProcessorError>) -> Result<(), TrainError> {
        processed.map_err(|error| TrainError::Loop(error.to_string()))?;
        self.settings.failures.check()?;
        self.stop
            .error()
            .map_or(Ok(()), |error| Err(TrainError::Loop(error.to_string())))
    }

    fn interrupted(&self) -> Outcome {
        Outcome::Interrupted {
            iteration: self.iteration,
        }
    }

    /// With the newest checkpoint before the current state, whose loss is not finite.
    fn not_finite(&self, quantity: &'static str, value: f64, samples: Vec<String>) -> TrainError {
        let directory = &self.settings.directory;
        let iterations = match directory.checkpoints() {
            Ok(iterations) => iterations,
            Err(error) => return error,
        };
        let before = iterations.into_iter().rev().find(|saved| *saved < self.iteration);
        let checkpoint = before.map(|saved| directory.checkpoint_path(saved));
        TrainError::NotFinite {
            iteration: self.iteration,
            quantity,
            value,
            samples,
            checkpoint,
        }
    }
}

/// burn reports a device that is lost, and much of what a driver refuses, by a panic. The parameters may be half updated then, so
/// that the run ends; its last checkpoint is complete.
fn device_work<T>(work: impl FnOnce() -> T) -> Result<T, TrainError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        TrainError::device(text.unwrap_or("it says nothing about the cause"))
    })
}
