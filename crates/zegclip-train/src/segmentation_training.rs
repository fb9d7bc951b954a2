//! A run of ZegCLIP from its configuration to its model file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::data::dataloader::DataLoader;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::optim::ModuleOptimizer;
use burn::tensor::{Device, Tensor};
use burn::train::Interrupter;
use burn::train::renderer::MetricsRenderer;
use zegclip_data::{Batch, Vocabulary};
use zegclip_model::ZegClip;
use zegclip_model::loss::LossForm;

use crate::model_setup::ModelSetup;
use crate::report::write_report;
use crate::run_directory::RunLock;
use crate::schedule::IterationSchedule;
use crate::segmentation_task::SegmentationTask;
use crate::text_feature_cache::TextFeatureCache;
use crate::training::{
    Best, Checkpoint, Column, Fingerprints, Iteration, Launch, Outcome, Plan, Session, Task, device_memory,
    iteration_columns, with_stable_ids,
};
use crate::validation::{LabeledImage, score_columns};
use crate::{Configuration, RunDirectory, TrainConfig, TrainData, TrainError, freeze};

/// A run between two iterations.
///
/// [`run`](Self::run) trains with this crate's loop by iterations. Those who bring a loop of burn-train's own take
/// [`task`](Self::task), [`optimizer`](Self::optimizer), [`scheduler`](Self::scheduler) and the loaders.
#[derive(Debug)]
pub struct SegmentationTraining {
    config: TrainConfig,
    data: TrainData,
    run: RunDirectory,
    _lock: RunLock,
    task: SegmentationTask,
    optimizer: ModuleOptimizerState,
    iteration: u64,
    best: Option<Best>,
    evaluation_due: bool,
    session: Session,
}

/// burn's optimizer has no `Debug`.
struct ModuleOptimizerState(ModuleOptimizer);

impl std::fmt::Debug for ModuleOptimizerState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ModuleOptimizer")
    }
}

impl SegmentationTraining {
    /// A run from its beginning, or from the newest checkpoint in `run` where there is one. Nobody else can train it until
    /// this is dropped.
    ///
    /// # Errors
    /// [`TrainError::OtherConfig`] if `run` was made with another configuration, [`TrainError::ChangedInput`] if CLIP or the
    /// data set is another one, [`TrainError::RunInUse`], [`TrainError::DamagedCheckpoint`], and what keeps the model from
    /// being made.
    pub fn new(config: TrainConfig, data: TrainData, run: RunDirectory, device: &Device) -> Result<Self, TrainError> {
        config.validate()?;
        run.config::<TrainConfig>()?.require_same(&config, &run.config_path())?;
        let lock = run.lock()?;
        let mut fingerprints = Fingerprints::default();
        if let Some(clip) = &config.model.clip {
            fingerprints.add_file("model.clip", clip)?;
        }
        data.add_to(&mut fingerprints);
        let checkpoint = run.latest()?;
        // What a run starts from plays no part once it has a state of its own.
        if let (Some(initial), None) = (&config.model.initial, &checkpoint) {
            fingerprints.add_file("model.initial", &fingerprinted(initial))?;
        }
        fingerprints.require_same(&run)?;
        let start = Start::of(&checkpoint);
        let mut task = task(&config, &data, &run, start, device)?;
        let mut optimizer = config.optimiser.build(&task, config.optimiser.exemption());
        let (mut iteration, mut best, mut evaluation_due) = (0, None, false);
        if let Some(checkpoint) = checkpoint {
            iteration = checkpoint.iteration();
            same_config(&checkpoint, &config, &run.checkpoint_path(iteration))?;
            let scheduler = scheduler(&config, iteration);
            (task, optimizer) = checkpoint.restore(task, optimizer, &scheduler)?;
            task = freeze::tracked_module(task, config.activation_checkpointing);
            best = checkpoint.best();
            evaluation_due = checkpoint.state.evaluation_due && config.run.evaluation_interval > 0;
        }
        run.truncate_metrics(iteration, evaluation_due)?;
        Ok(Self {
            config,
            data,
            run,
            _lock: lock,
            task,
            optimizer: ModuleOptimizerState(optimizer),
            iteration,
            best,
            evaluation_due,
            session: Session::default(),
        })
    }

    /// Writes the model file of any checkpoint of a run.
    ///
    /// # Errors
    /// [`TrainError::DamagedCheckpoint`], [`TrainError::CheckpointMismatch`], [`TrainError::OtherConfig`] for one of another
    /// run, and [`TrainError::Weights`] if the file cannot be written.
    pub fn export(
        config: &TrainConfig,
        data: &TrainData,
        run: &RunDirectory,
        checkpoint: &Path,
        device: &Device,
        output: &Path,
    ) -> Result<(), TrainError> {
        let opened = Checkpoint::open(checkpoint)?;
        same_config(&opened, config, checkpoint)?;
        let task = task(config, data, run, Start::Resumed, device)?;
        opened.restore_parameters(task)?.write_model(output)
    }

    /// Shares each batch with further devices: every one computes an equal part, the sums and M are added on the first device,
    /// which updates the parameters and sends them back. The result is that of one device but for the order of additions.
    ///
    /// # Errors
    /// [`TrainError::Value`] if the batch cannot be shared equally, or a device does not compute in the type asked for;
    /// [`TrainError::Device`] if one fails.
    pub fn with_further_devices(self, devices: &[Device]) -> Result<Self, TrainError> {
        let parts = self.config.accumulation * (1 + devices.len());
        if !self.config.batch_size.is_multiple_of(parts) {
            return Err(TrainError::Value {
                key: "batch_size",
                value: self.config.batch_size.to_string(),
                reason: format!(
                    "{} devices with `accumulation` = {} need a multiple of {parts}",
                    1 + devices.len(),
                    self.config.accumulation
                ),
            });
        }
        for device in devices {
            self.config.model.frozen_precision.require_on(device)?;
            self.task.add_device(device)?;
        }
        Ok(self)
    }

    /// Shows the run with a renderer of burn-train instead of nothing.
    #[must_use]
    pub fn with_renderer(mut self, renderer: Box<dyn MetricsRenderer>) -> Self {
        self.session.renderer = renderer;
        self
    }

    /// Ends the run with a handle that exists already.
    #[must_use]
    pub fn with_interrupter(mut self, interrupter: Interrupter) -> Self {
        self.session.interrupter = interrupter;
        self
    }

    /// Calls `hook` after every iteration, before the next one begins.
    #[must_use]
    pub fn on_iteration(mut self, hook: impl FnMut(&Iteration) + Send + 'static) -> Self {
        self.session.on_iteration(hook);
        self
    }

    /// Stops the run, from a signal handler for example, after the iteration or the evaluated image in work.
    pub fn interrupter(&self) -> Interrupter {
        self.session.interrupter.clone()
    }

    /// Iterations done.
    pub fn iteration(&self) -> u64 {
        self.iteration
    }

    /// The run directory.
    pub fn run_directory(&self) -> &RunDirectory {
        &self.run
    }

    /// The model that trains.
    pub fn task(&self) -> &SegmentationTask {
        &self.task
    }

    /// The model as it is now, on the plain device.
    pub fn model(&self) -> ZegClip {
        freeze::plain(&self.task.model())
    }

    /// Its optimizer.
    pub fn optimizer(&self) -> ModuleOptimizer {
        self.optimizer.0.clone()
    }

    /// Its schedule, a step of which is an iteration.
    pub fn scheduler(&self) -> ModuleLrScheduler {
        scheduler(&self.config, self.iteration)
    }

    /// The batches that are left, in order.
    pub fn train_loader(&self) -> Arc<dyn DataLoader<Batch>> {
        let iterations = self.iteration..self.config.iterations;
        self.data.loader(&self.config, iterations, self.task.failures().clone())
    }

    /// The images that the model is scored on; none unless `run.evaluation_interval` asks for scores.
    pub fn validation_loader(&self) -> Arc<dyn DataLoader<LabeledImage>> {
        self.data.validation.loader(self.task.failures().clone())
    }

    /// Text features of a class list, for example of all classes to be scored: `[classes, embed_dim]`. They never change in a
    /// run, which computes them once and keeps them in its folder.
    ///
    /// # Errors
    /// [`TrainError::NoTextFeatures`], or those of the text encoder.
    pub fn text_features(&self, vocabulary: &Vocabulary) -> Result<Tensor<2>, TrainError> {
        self.task.setup().text_features_of(vocabulary)
    }

    /// Trains to the end or until it is interrupted.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`], [`TrainError::Dataset`] for a file that cannot be read, [`TrainError::Data`] or
    /// [`TrainError::Io`] if the run cannot be written (its last checkpoint is whole), [`TrainError::Device`].
    pub fn run(self) -> Result<Outcome, TrainError> {
        let (train, valid, scheduler) = (self.train_loader(), self.validation_loader(), self.scheduler());
        let plan = Plan {
            from: self.iteration,
            iterations: self.config.iterations,
            run: self.config.run.clone(),
            half_way: Some(self.config.half_way()),
            config: self.config.to_toml()?,
            best: self.best,
            evaluation_due: self.evaluation_due,
        };
        let mut columns = columns(&self.config);
        columns.extend(device_memory(self.task.device()));
        let launch = Launch {
            label: "zegclip train",
            directory: self.run.clone(),
            plan,
            task: self.task,
            optimizer: self.optimizer.0,
            scheduler,
            train,
            valid,
            columns,
            scores: if self.config.run.evaluation_interval > 0 {
                score_columns()
            } else {
                Vec::new()
            },
        };
        let (task, ended) = launch.run(self.session);
        match ended {
            Ok(outcome) => {
                if outcome == Outcome::Finished {
                    task.write_model(&self.run.model_path())?;
                }
                task.report(&self.run)?;
                Ok(outcome)
            }
            Err(error) => {
                // Curves up to here; what went wrong is worth more than a report that cannot be written.
                let _ = write_report(&self.run, &self.config, &[]);
                Err(error)
            }
        }
    }
}

/// Whether a run begins, or a checkpoint is going to be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    New,
    Resumed,
}

impl Start {
    fn of(checkpoint: &Option<Checkpoint>) -> Self {
        match checkpoint {
            None => Self::New,
            Some(_) => Self::Resumed,
        }
    }
}

/// The file that tells one `model.initial` from another.
fn fingerprinted(initial: &Path) -> PathBuf {
    if initial.is_dir() && Checkpoint::is_checkpoint(initial) {
        Checkpoint::state_path(initial)
    } else {
        initial.to_owned()
    }
}

/// The task of a run before its first iteration.
fn task(
    config: &TrainConfig,
    data: &TrainData,
    run: &RunDirectory,
    start: Start,
    device: &Device,
) -> Result<SegmentationTask, TrainError> {
    let device = device.clone().without_autodiff();
    let cache = TextFeatureCache::new(run.text_features_path());
    let mut config = config.clone();
    if start == Start::Resumed {
        config.model.initial = None;
    }
    let config = &config;
    let (setup, model) = ModelSetup::new(config, data.vocabulary(), cache, &device)?;
    let mut task = with_stable_ids(SegmentationTask::new(config, data, setup, model, &device));
    if let Some(initial) = config
        .model
        .initial
        .as_ref()
        .filter(|path| Checkpoint::is_checkpoint(path))
    {
        task = Checkpoint::open(initial)?.restore_parameters(task)?;
    }
    Ok(freeze::tracked_module(task, config.activation_checkpointing))
}

fn scheduler(config: &TrainConfig, iteration: u64) -> ModuleLrScheduler {
    let (schedule, base, iterations) = (config.schedule.clone(), config.base_rate(), config.iterations);
    let rate = move |iteration| schedule.rate(base, iteration, iterations);
    ModuleLrScheduler::new(IterationSchedule::new(iteration, rate))
}

/// Fails for a checkpoint of another configuration.
fn same_config(checkpoint: &Checkpoint, config: &TrainConfig, path: &Path) -> Result<(), TrainError> {
    let origin = format!("`{}`", path.display());
    TrainConfig::from_toml(&checkpoint.state.config, &origin, &[])?.require_same(config, path)
}

fn columns(config: &TrainConfig) -> Vec<Column> {
    let parts = [("Mask loss", "loss_mask"), ("Dice loss", "loss_dice")];
    let count = if config.loss.form == LossForm::Nel { 2 } else { 1 };
    iteration_columns(&parts[..count])
}
