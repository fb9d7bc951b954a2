//! A pre-training run, from its configuration to its model file.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use burn::data::dataloader::DataLoader;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::optim::ModuleOptimizer;
use burn::tensor::{Device, FloatDType};
use burn::train::Interrupter;
use burn::train::renderer::MetricsRenderer;
use zegclip_model::clip::Clip;
use zegclip_model::config::ClipConfig;
use zegclip_model::parameters::load_parameters;
use zegclip_model::{ModelOverrides, clip_config};
use zegclip_weights::{Assumed, WeightFile};

use super::batch::StagedBatches;
use super::config::{PretrainConfig, StageConfig};
use super::model_file;
use super::pair::HeldOut;
use super::report::write_report;
use super::source::PairSource;
use super::task::{ContrastiveTask, SplitScores, StagedBatch};
use crate::config_text::RecordedConfig;
use crate::run::{InputFingerprints, RunLock, with_stable_ids};
use crate::schedule::IterationSchedule;
use crate::seed::{RngStream, init_seeded, seed_of};
use crate::training::{
    Column, Iteration, IterationMetric, Launch, Outcome, Plan, ScoreColumn, ScoreMetric, Session, Summary, Task,
    device_memory, iteration_columns, ordered_loader,
};
use crate::{ClipScores, Configuration, DecayExemption, RunDirectory, TrainError, freeze};

/// A pre-training run that is ready to train.
pub struct ContrastiveTraining {
    config: PretrainConfig,
    source: Arc<PairSource>,
    run: RunDirectory,
    _lock: RunLock,
    task: ContrastiveTask,
    optimizer: ModuleOptimizer,
    iteration: u64,
    evaluation_due: bool,
    session: Session,
}

impl std::fmt::Debug for ContrastiveTraining {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ContrastiveTraining")
            .field("run", &self.run)
            .field("iteration", &self.iteration)
            .finish_non_exhaustive()
    }
}

impl ContrastiveTraining {
    /// Prepares a run from its beginning, or from the newest checkpoint in `run`. The run directory is locked until this is
    /// dropped.
    ///
    /// # Errors
    /// [`TrainError::Value`], [`TrainError::OtherConfig`] if `run` has another configuration, [`TrainError::ChangedInput`],
    /// [`TrainError::RunInUse`], [`TrainError::DamagedCheckpoint`], and those of building the model.
    pub fn new(
        config: PretrainConfig,
        source: PairSource,
        run: RunDirectory,
        device: &Device,
    ) -> Result<Self, TrainError> {
        config.validate()?;
        let config = config.with_tokens(&source)?;
        run.require_same_config(&config)?;
        let lock = run.lock()?;
        let mut fingerprints = InputFingerprints::default();
        source.add_to(&mut fingerprints);
        let checkpoint = run.latest()?;
        // The initial weights are irrelevant once there is a checkpoint.
        if let (Some(initial), None) = (&config.model.initial, &checkpoint) {
            fingerprints.add_file("model.initial", initial)?;
        }
        fingerprints.require_same(&run)?;
        let device = device.clone().without_autodiff();
        let iteration = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.iteration());
        // The position grid is that of the last completed iteration.
        let stage = stage_of(&config, iteration.saturating_sub(1))?.0;
        let mut model = init_seeded(&device, seed_of(config.seed, RngStream::Clip), |host| {
            Clip::new(&config.clip_config(stage), host)
        });
        if let (Some(initial), None) = (&config.model.initial, &checkpoint) {
            let file = WeightFile::open(initial)?;
            require_same_encoders(&file, &config.clip_config(stage))?;
            model = load_parameters(model, "", &file, &device, FloatDType::F32)?;
        }
        let model = freeze::all_trainable(with_stable_ids(model));
        let mut optimizer = config
            .optimizer
            .to_optimizer()
            .build(&model, DecayExemption::AllButMatrices);
        let mut task = ContrastiveTask::new(&config, model, &device);
        let mut evaluation_due = false;
        if let Some(checkpoint) = checkpoint {
            let path = run.checkpoint_path(iteration);
            let recorded = RecordedConfig {
                text: &checkpoint.state.config,
                path: &path,
            };
            recorded.require_same(&config)?;
            (task, optimizer) = checkpoint.restore(task, optimizer, &scheduler(&config, iteration))?;
            task = freeze::all_trainable(task);
            evaluation_due = checkpoint.state.evaluation_due && config.run.evaluation_interval > 0;
        }
        run.truncate_metrics(iteration, evaluation_due)?;
        Ok(Self {
            config,
            source: Arc::new(source),
            run,
            _lock: lock,
            task,
            optimizer,
            iteration,
            evaluation_due,
            session: Session::default(),
        })
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

    /// A handle that stops the run after the current iteration, for example from a signal handler.
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

    /// The current model for inference, and its sizes.
    ///
    /// # Errors
    /// [`TrainError::Value`] without a stage.
    pub fn model(&self) -> Result<(Clip, ClipConfig), TrainError> {
        sized_model(&self.config, &self.task, self.iteration)
    }

    /// Writes the current model as a finished run does.
    ///
    /// # Errors
    /// [`TrainError::Weights`] if it cannot be written.
    pub fn write_model(&self, path: &Path) -> Result<(), TrainError> {
        let (model, config) = self.model()?;
        model_file::write(&model, &config, path)
    }

    /// Trains until the run is finished or interrupted.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`], [`TrainError::Data`] if an image cannot be read, [`TrainError::Io`] and
    /// [`TrainError::Weights`] if the run cannot be written, [`TrainError::Device`]. The last checkpoint is intact.
    pub fn run(self) -> Result<Outcome, TrainError> {
        let iterations = self.config.iterations();
        let done = Arc::new(AtomicU64::new(self.iteration));
        let mut session = self.session;
        let mut hook = session.hook.take();
        let seen = done.clone();
        session.on_iteration(move |item| {
            seen.store(item.iteration, Ordering::Relaxed);
            if let Some(hook) = &mut hook {
                hook(item);
            }
        });
        let failures = self.task.failures().clone();
        let (source, config) = (self.source.clone(), self.config.clone());
        let train = ordered_loader(
            self.iteration as usize..iterations as usize,
            failures.clone(),
            move |range| {
                let range = range.start as u64..range.end as u64;
                Ok(Box::new(StagedBatches::new(source.clone(), config.clone(), range)))
            },
        );
        let splits = if self.config.run.evaluation_interval > 0 {
            self.source.held_out_names()
        } else {
            Vec::new()
        };
        let (source, config) = (self.source.clone(), self.config.clone());
        let valid: Arc<dyn DataLoader<HeldOut>> = ordered_loader(0..splits.len(), failures, move |range| {
            // Evaluated at the current image size.
            let stage = stage_of(&config, done.load(Ordering::Relaxed).saturating_sub(1))?.0;
            let splits = source.held_out(stage, config.evaluation.images)?;
            Ok(Box::new(splits.into_iter().skip(range.start).take(range.len()).map(Ok)))
        });
        let mut columns = columns(&self.config);
        columns.extend(device_memory(self.task.device()));
        let launch = Launch {
            label: "zegclip pretrain",
            directory: self.run.clone(),
            plan: Plan {
                from: self.iteration,
                iterations,
                run: self.config.run.clone(),
                half_way: None,
                config: self.config.to_toml()?,
                best: None,
                evaluation_due: self.evaluation_due,
            },
            scheduler: scheduler(&self.config, self.iteration),
            task: self.task,
            optimizer: self.optimizer,
            train: train as Arc<dyn DataLoader<StagedBatch>>,
            valid,
            columns,
            scores: score_columns(&splits),
        };
        let (task, ended) = launch.run(session);
        let ended = ended.and_then(|outcome| {
            if outcome == Outcome::Finished {
                let (model, sizes) = sized_model(&self.config, &task, iterations)?;
                model_file::write(&model, &sizes, &self.run.model_path())?;
            }
            Ok(outcome)
        });
        let written = write_report(&self.run, &self.config);
        // The error of the run takes precedence over that of the report.
        ended.and_then(|outcome| written.map(|()| outcome))
    }
}

fn sized_model(
    config: &PretrainConfig,
    task: &ContrastiveTask,
    iteration: u64,
) -> Result<(Clip, ClipConfig), TrainError> {
    let stage = stage_of(config, iteration.saturating_sub(1))?.0;
    Ok((freeze::for_inference(task.clip()), config.clip_config(stage)))
}

fn scheduler(config: &PretrainConfig, iteration: u64) -> ModuleLrScheduler {
    let (schedule, base, iterations) = (config.schedule.clone(), config.optimizer.lr, config.iterations());
    let rate = move |iteration| schedule.rate(base, iteration, iterations);
    ModuleLrScheduler::new(IterationSchedule::new(iteration, rate))
}

fn columns(config: &PretrainConfig) -> Vec<Column> {
    let parts = [("Contrastive loss", "loss_contrastive"), ("Patch loss", "loss_patches")];
    let count = if config.loss.patches > 0.0 { 2 } else { 1 };
    let mut columns = iteration_columns(&parts[..count]);
    columns.push(Column {
        metric: IterationMetric::new("Logit scale", None, |item| item.logit_scale),
        key: Some("logit_scale"),
        summary: Summary::Newest,
    });
    columns
}

/// The scores of each split, with their keys in `metrics.jsonl`.
fn score_columns(splits: &[String]) -> Vec<ScoreColumn<SplitScores>> {
    type Score = (&'static str, &'static str, fn(&ClipScores) -> Option<f64>);
    let scores: [Score; 6] = [
        ("top-1", "top1", |scores| scores.top1),
        ("top-5", "top5", |scores| scores.top5),
        ("R@1 (texts)", "image_to_text_r1", |scores| {
            Some(scores.image_to_text_r1)
        }),
        ("R@1 (images)", "text_to_image_r1", |scores| {
            Some(scores.text_to_image_r1)
        }),
        ("R@5 (texts)", "image_to_text_r5", |scores| {
            Some(scores.image_to_text_r5)
        }),
        ("R@5 (images)", "text_to_image_r5", |scores| {
            Some(scores.text_to_image_r5)
        }),
    ];
    let of_split = |split: &String| {
        scores.map(|(name, key, score)| {
            let key = format!("clip_scores/{split}/{key}");
            let (name, split) = (format!("{split}: {name}"), split.clone());
            let metric = ScoreMetric::new(name, move |all: &SplitScores| score(all.0.get(&split)?));
            (metric, key)
        })
    };
    splits.iter().flat_map(of_split).collect()
}

/// Fails if the initial weights are known to have other heads or activations than the configuration: their tensors have the
/// same shapes.
fn require_same_encoders(file: &WeightFile, config: &ClipConfig) -> Result<(), TrainError> {
    let assumed = file.architecture()?.assumed;
    let found = clip_config(file, &ModelOverrides::default())?;
    let pairs = [
        (
            Assumed::VisionHeads,
            found.vision.heads.to_string(),
            config.vision.heads.to_string(),
        ),
        (
            Assumed::VisionActivation,
            found.vision.activation.to_string(),
            config.vision.activation.to_string(),
        ),
        (
            Assumed::TextHeads,
            found.text.heads.to_string(),
            config.text.heads.to_string(),
        ),
        (
            Assumed::TextActivation,
            found.text.activation.to_string(),
            config.text.activation.to_string(),
        ),
    ];
    match pairs
        .into_iter()
        .find(|(property, found, own)| found != own && !assumed.contains(property))
    {
        Some((property, found, own)) => {
            let reason = format!("has {property} = {found}, but the configuration has {own}");
            Err(TrainError::value("model.initial", file.path().display(), reason))
        }
        None => Ok(()),
    }
}

fn stage_of(config: &PretrainConfig, iteration: u64) -> Result<(&StageConfig, u64), TrainError> {
    config
        .stage_of(iteration)
        .ok_or_else(|| TrainError::value("stages", "[]", "must have at least one stage"))
}
