//! A training run of ZegCLIP, from its configuration to its model file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::data::dataloader::DataLoader;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::optim::ModuleOptimizer;
use burn::tensor::{Device, Tensor};
use burn::train::Interrupter;
use burn::train::renderer::MetricsRenderer;
use zegclip_data::{Batch, Vocabulary};
use zegclip_model::loss::LossForm;
use zegclip_model::{Assumption, ZegClip};

use crate::config_text::RecordedConfig;
use crate::data::RunClasses;
use crate::model_setup::ModelSetup;
use crate::report::write_report;
use crate::run::{Best, Checkpoint, InputFingerprints, RunLock, with_stable_ids};
use crate::schedule::IterationSchedule;
use crate::segmentation_task::SegmentationTask;
use crate::text_feature_cache::TextFeatureCache;
use crate::training::{Column, Iteration, Launch, Outcome, Plan, Session, Task, device_memory, iteration_columns};
use crate::validation::{LabeledImage, ValidationData, score_columns};
use crate::{Configuration, RunDirectory, TrainConfig, TrainData, TrainError, freeze};

/// A training run that is ready to train.
///
/// [`run`](Self::run) trains with this crate's loop by iterations. For another loop of burn-train, use
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
    /// Prepares a run from its beginning, or from the newest checkpoint in `run`. The run directory is locked until this is
    /// dropped.
    ///
    /// # Errors
    /// [`TrainError::Value`], [`TrainError::OtherConfig`] if `run` has another configuration, [`TrainError::ChangedInput`] if
    /// CLIP or the data set has changed, [`TrainError::RunInUse`], [`TrainError::DamagedCheckpoint`], and those of building
    /// the model.
    pub fn new(config: TrainConfig, data: TrainData, run: RunDirectory, device: &Device) -> Result<Self, TrainError> {
        config.validate()?;
        run.require_same_config(&config)?;
        let lock = run.lock()?;
        let mut fingerprints = InputFingerprints::default();
        if let Some(clip) = &config.model.clip {
            fingerprints.add_file("model.clip", clip)?;
        }
        data.add_to(&mut fingerprints);
        let checkpoint = run.latest()?;
        // The initial weights are irrelevant once there is a checkpoint.
        if let (Some(initial), None) = (&config.model.initial, &checkpoint) {
            fingerprints.add_file("model.initial", &fingerprinted(initial))?;
        }
        fingerprints.require_same(&run)?;
        run.record_classes(&data.classes.all)?;
        let start = Start::of(&checkpoint);
        let mut task = task(&config, &data.classes, data.validation.clone(), &run, start, device)?;
        let mut optimizer = config.optimizer.build(&task, config.optimizer.exemption());
        let (mut iteration, mut best, mut evaluation_due) = (0, None, false);
        if let Some(checkpoint) = checkpoint {
            iteration = checkpoint.iteration();
            same_config(&checkpoint, &config, &run.checkpoint_path(iteration))?;
            let scheduler = scheduler(&config, iteration);
            (task, optimizer) = checkpoint.restore(task, optimizer, &scheduler)?;
            task = tracked(task, &config);
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

    /// Trains on further devices too: each computes an equal shard of every batch; the first device adds up gradients and M,
    /// updates the parameters and sends them back. The result equals that of one device up to the order of additions.
    ///
    /// # Errors
    /// [`TrainError::Value`] if the batch cannot be split equally, [`TrainError::UnsupportedPrecision`],
    /// [`TrainError::Device`].
    pub fn with_further_devices(self, devices: &[Device]) -> Result<Self, TrainError> {
        let parts = self.config.accumulation * (1 + devices.len());
        if !self.config.batch_size.is_multiple_of(parts) {
            let reason = format!(
                "must be a multiple of {parts} for {} devices with `accumulation` = {}",
                1 + devices.len(),
                self.config.accumulation
            );
            return Err(TrainError::value("batch_size", self.config.batch_size, reason));
        }
        for device in devices {
            self.config.model.frozen_precision.require_on(device)?;
            self.task.add_device(device)?;
        }
        Ok(self)
    }

    /// What is assumed of CLIP, because neither its file nor a configuration beside it states it. The model is trained on that.
    pub fn assumptions(&self) -> &[Assumption] {
        &self.task.setup().assumptions
    }

    /// Displays the run with a renderer of burn-train; nothing is displayed by default.
    #[must_use]
    pub fn with_renderer(mut self, renderer: Box<dyn MetricsRenderer>) -> Self {
        self.session.renderer = renderer;
        self
    }

    /// Uses an existing handle to interrupt the run.
    #[must_use]
    pub fn with_interrupter(mut self, interrupter: Interrupter) -> Self {
        self.session.interrupter = interrupter;
        self
    }

    /// Calls `hook` after every iteration.
    #[must_use]
    pub fn on_iteration(mut self, hook: impl FnMut(&Iteration) + Send + 'static) -> Self {
        self.session.on_iteration(hook);
        self
    }

    /// A handle that stops the run after the current iteration or evaluated image, for example from a signal handler.
    pub fn interrupter(&self) -> Interrupter {
        self.session.interrupter.clone()
    }

    /// Iterations completed.
    pub fn iteration(&self) -> u64 {
        self.iteration
    }

    /// The run directory.
    pub fn run_directory(&self) -> &RunDirectory {
        &self.run
    }

    /// The task.
    pub fn task(&self) -> &SegmentationTask {
        &self.task
    }

    /// The current model for inference.
    pub fn model(&self) -> ZegClip {
        freeze::for_inference(&self.task.model())
    }

    /// The optimizer.
    pub fn optimizer(&self) -> ModuleOptimizer {
        self.optimizer.0.clone()
    }

    /// The learning rate schedule; one step per iteration.
    pub fn scheduler(&self) -> ModuleLrScheduler {
        scheduler(&self.config, self.iteration)
    }

    /// The remaining batches in order.
    pub fn train_loader(&self) -> Arc<dyn DataLoader<Batch>> {
        let iterations = self.iteration..self.config.iterations;
        self.data.loader(&self.config, iterations, self.task.failures().clone())
    }

    /// The images of evaluations; none if `run.evaluation_interval` is 0.
    pub fn validation_loader(&self) -> Arc<dyn DataLoader<LabeledImage>> {
        self.data.validation.loader(self.task.failures().clone())
    }

    /// Text features of a class list: `[classes, embed_dim]`. They are computed once per run and kept in its directory.
    ///
    /// # Errors
    /// [`TrainError::NoPublishedTextFeatures`], [`TrainError::TextFeatureWidth`], [`TrainError::NoTextEncoder`], and those of
    /// the text encoder.
    pub fn text_features(&self, vocabulary: &Vocabulary) -> Result<Tensor<2>, TrainError> {
        self.task.setup().text_features_of(vocabulary)
    }

    /// Trains until the run is finished or interrupted.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`], [`TrainError::Dataset`] if a file cannot be read, [`TrainError::Io`] and
    /// [`TrainError::Weights`] if the run cannot be written, [`TrainError::Device`]. The last checkpoint is intact.
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
                // The error of the run takes precedence over that of the report.
                let _ = write_report(&self.run, &self.config, &[]);
                Err(error)
            }
        }
    }
}

/// Whether the model is initialized, or restored from a checkpoint.
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

/// The file whose fingerprint identifies `model.initial`.
fn fingerprinted(initial: &Path) -> PathBuf {
    if initial.is_dir() && Checkpoint::is_checkpoint(initial) {
        Checkpoint::state_path(initial)
    } else {
        initial.to_owned()
    }
}

/// The initial task of a run.
fn task(
    config: &TrainConfig,
    classes: &RunClasses,
    validation: ValidationData,
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
    let (setup, model) = ModelSetup::new(config, &classes.known(), cache, &device)?;
    let mut task = with_stable_ids(SegmentationTask::new(
        config, classes, validation, setup, model, &device,
    ));
    if let Some(initial) = config
        .model
        .initial
        .as_ref()
        .filter(|path| Checkpoint::is_checkpoint(path))
    {
        task = Checkpoint::open(initial)?.restore_parameters(task)?;
    }
    Ok(tracked(task, config))
}

/// The task with its trained parts on the autodiff device.
fn tracked(task: SegmentationTask, config: &TrainConfig) -> SegmentationTask {
    freeze::Trainable::default()
        .with_activation_checkpointing(config.activation_checkpointing)
        .apply_to_all(task)
}

fn scheduler(config: &TrainConfig, iteration: u64) -> ModuleLrScheduler {
    let (schedule, base, iterations) = (config.schedule.clone(), config.base_rate(), config.iterations);
    let rate = move |iteration| schedule.rate(base, iteration, iterations);
    ModuleLrScheduler::new(IterationSchedule::new(iteration, rate))
}

/// Fails for a checkpoint of another configuration.
fn same_config(checkpoint: &Checkpoint, config: &TrainConfig, path: &Path) -> Result<(), TrainError> {
    let text = &checkpoint.state.config;
    RecordedConfig { text, path }.require_same(config)
}

/// A checkpoint of a run whose model file is written. Neither the data set nor the device of the run is needed.
///
/// ```no_run
/// # fn example(config: zegclip_train::TrainConfig, device: burn::tensor::Device) -> Result<(), zegclip_train::TrainError> {
/// use std::path::Path;
/// use zegclip_train::{CheckpointExport, RunDirectory};
///
/// let export = CheckpointExport {
///     config: &config,
///     run: &RunDirectory::open(Path::new("run"))?,
///     device: &device,
/// };
/// export.write(Path::new("run/checkpoints/best"), Path::new("best.safetensors"))?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct CheckpointExport<'a> {
    /// The configuration of the run.
    pub config: &'a TrainConfig,
    /// Its directory.
    pub run: &'a RunDirectory,
    /// The device to load the model on.
    pub device: &'a Device,
}

impl CheckpointExport<'_> {
    /// Writes the model of `checkpoint` to `output`.
    ///
    /// # Errors
    /// [`TrainError::DamagedCheckpoint`], [`TrainError::CheckpointMismatch`], [`TrainError::OtherConfig`] for a checkpoint of
    /// another run, [`TrainError::Weights`] if the file cannot be written, and for runs of earlier versions, which need it, those of
    /// the data set.
    pub fn write(&self, checkpoint: &Path, output: &Path) -> Result<(), TrainError> {
        let opened = Checkpoint::open(checkpoint)?;
        same_config(&opened, self.config, checkpoint)?;
        let classes = match self.run.classes()? {
            Some(classes) => RunClasses::new(classes, self.config.setting),
            // A run of a version that did not record them.
            None => TrainData::open(self.config)?.classes,
        };
        let validation = ValidationData::none(self.config, classes.all.clone());
        let task = task(self.config, &classes, validation, self.run, Start::Resumed, self.device)?;
        opened.restore_parameters(task)?.write_model(output)
    }
}

fn columns(config: &TrainConfig) -> Vec<Column> {
    let parts = [("Mask loss", "loss_mask"), ("Dice loss", "loss_dice")];
    let count = if config.loss.form == LossForm::Nel { 2 } else { 1 };
    iteration_columns(&parts[..count])
}
