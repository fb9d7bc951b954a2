//! A pre-training run from its configuration to its model file.

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
use zegclip_weights::WeightFile;

use super::batch::StagedBatches;
use super::config::{PretrainConfig, StageConfig};
use super::model_file;
use super::report::write_report;
use super::source::{HeldOut, PairSource};
use super::task::{ContrastiveTask, SplitScores, StagedBatch};
use crate::model_setup::drawn;
use crate::run_directory::RunLock;
use crate::schedule::IterationSchedule;
use crate::seed::{Drawn, seed_of};
use crate::training::{
    Column, Fingerprints, Iteration, IterationMetric, Launch, Outcome, Plan, ScoreColumn, ScoreMetric, Session,
    Summary, Task, device_memory, iteration_columns, ordered_loader, with_stable_ids,
};
use crate::{ClipScores, Configuration, DecayExemption, RunDirectory, TrainError, freeze};

/// A run between two iterations.
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
    /// A run from its beginning, or from the newest checkpoint in `run` where there is one. No other process can train it
    /// until this is dropped.
    ///
    /// # Errors
    /// [`TrainError::OtherConfig`] if `run` was made with another configuration, [`TrainError::ChangedInput`],
    /// [`TrainError::RunInUse`], [`TrainError::DamagedCheckpoint`], and what keeps the model from being made.
    pub fn new(
        config: PretrainConfig,
        source: PairSource,
        run: RunDirectory,
        device: &Device,
    ) -> Result<Self, TrainError> {
        config.validate()?;
        let config = config.with_tokens(&source)?;
        run.config::<PretrainConfig>()?
            .require_same(&config, &run.config_path())?;
        let lock = run.lock()?;
        let mut fingerprints = Fingerprints::default();
        source.add_to(&mut fingerprints);
        let checkpoint = run.latest()?;
        // What a run starts from plays no part once it has a state of its own.
        if let (Some(initial), None) = (&config.model.initial, &checkpoint) {
            fingerprints.add_file("model.initial", initial)?;
        }
        fingerprints.require_same(&run)?;
        let device = device.clone().without_autodiff();
        let iteration = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.iteration());
        // Positions lie on the grid of the last iteration that was done.
        let stage = stage_of(&config, iteration.saturating_sub(1))?.0;
        let mut model = drawn(&device, seed_of(config.seed, Drawn::Clip), |host| {
            Clip::new(&config.clip_config(stage), host)
        });
        if let (Some(initial), None) = (&config.model.initial, &checkpoint) {
            model = load_parameters(model, "", &WeightFile::open(initial)?, &device, FloatDType::F32)?;
        }
        let model = freeze::all_trainable(with_stable_ids(model));
        let mut optimizer = config
            .optimiser
            .to_optimizer()
            .build(&model, DecayExemption::AllButMatrices);
        let mut task = ContrastiveTask::new(&config, model, &device);
        let mut evaluation_due = false;
        if let Some(checkpoint) = checkpoint {
            let path = run.checkpoint_path(iteration);
            let origin = format!("`{}`", path.display());
            PretrainConfig::from_toml(&checkpoint.state.config, &origin, &[])?.require_same(&config, &path)?;
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

    /// Stops the run, from a signal handler for example, after the iteration in work.
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

    /// The model as it is now, on the plain device, and its sizes.
    ///
    /// # Errors
    /// [`TrainError::Value`] without a stage.
    pub fn model(&self) -> Result<(Clip, ClipConfig), TrainError> {
        sized_model(&self.config, &self.task, self.iteration)
    }

    /// Writes the model as it is now, as the run writes it at its end.
    ///
    /// # Errors
    /// [`TrainError::Weights`] if it cannot be written.
    pub fn write_model(&self, path: &Path) -> Result<(), TrainError> {
        let (model, config) = self.model()?;
        model_file::write(&model, &config, path)
    }

    /// Trains to the end or until it is interrupted.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`], [`TrainError::Data`] or [`TrainError::Io`] if an image cannot be read or the run cannot be
    /// written (its last checkpoint is whole), [`TrainError::Device`].
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
            // Scored at the size of the images that were learned last.
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
        // What went wrong is worth more than a report that cannot be written.
        ended.and_then(|outcome| written.map(|()| outcome))
    }
}

fn sized_model(
    config: &PretrainConfig,
    task: &ContrastiveTask,
    iteration: u64,
) -> Result<(Clip, ClipConfig), TrainError> {
    let stage = stage_of(config, iteration.saturating_sub(1))?.0;
    Ok((freeze::plain(task.clip()), config.clip_config(stage)))
}

fn scheduler(config: &PretrainConfig, iteration: u64) -> ModuleLrScheduler {
    let (schedule, base, iterations) = (config.schedule.clone(), config.optimiser.lr, config.iterations());
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

/// For each split its scores, with their keys in `metrics.jsonl`.
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

fn stage_of(config: &PretrainConfig, iteration: u64) -> Result<(&StageConfig, u64), TrainError> {
    config.stage_of(iteration).ok_or_else(|| TrainError::Value {
        key: "stages",
        value: "[]".to_owned(),
        reason: "at least one is needed".to_owned(),
    })
}
