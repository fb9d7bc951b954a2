//! The loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::tensor::Device;
use zegclip_data::{Batch, Loader, LoaderSettings};
use zegclip_kernels::on_worker;
use zegclip_model::ZegClip;

use crate::checkpoint::{Best, Checkpoint};
use crate::model_setup::ModelSetup;
use crate::observer::{Snapshot, Step, TrainObserver};
use crate::replica::Replica;
use crate::report::write_report;
use crate::running_means::RunningMeans;
use crate::shares::{Share, compute};
use crate::step::{Losses, Objective};
use crate::text_feature_cache::TextFeatureCache;
use crate::{Configuration, MetricsLine, Optimiser, RunDirectory, TrainConfig, TrainData, TrainError};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All iterations are done and the model file lies in the run directory.
    Finished,
    /// It was interrupted; the state after `iteration` iterations is saved.
    Interrupted {
        /// Iterations done.
        iteration: u64,
    },
}

/// A run between two iterations.
#[derive(Debug)]
pub struct Trainer {
    config: TrainConfig,
    config_text: String,
    data: TrainData,
    run: RunDirectory,
    device: Device,
    setup: ModelSetup,
    model: ZegClip,
    replicas: Vec<Replica>,
    optimiser: Optimiser,
    objective: Objective,
    iteration: u64,
    best: Option<Best>,
    interrupted: Arc<AtomicBool>,
}

impl Trainer {
    /// A run from its beginning, or from the newest checkpoint in `run` where there is one.
    ///
    /// Random numbers come from the device's generator, of which a process has one a kind of device: two runs in one process
    /// must not run at the same time.
    ///
    /// # Errors
    /// [`TrainError::OtherConfig`] if `run` was made with another configuration, [`TrainError::DamagedCheckpoint`], and
    /// whatever keeps the model from being made.
    pub fn new(config: TrainConfig, data: TrainData, run: RunDirectory, device: &Device) -> Result<Self, TrainError> {
        config.validate()?;
        run.config::<TrainConfig>()?.require_same(&config, &run.config_path())?;
        let device = device.clone().without_autodiff();
        let cache = TextFeatureCache::new(run.text_features_path());
        let (setup, mut model) = ModelSetup::new(&config, data.vocabulary(), cache, &device)?;
        let mut optimiser = Optimiser::new(config.optimiser.clone());
        let (mut iteration, mut best) = (0, None);
        if let Some(checkpoint) = run.latest()? {
            let path = run.checkpoint_path(checkpoint.iteration);
            let origin = format!("`{}`", path.display());
            TrainConfig::from_toml(&checkpoint.config, &origin, &[])?.require_same(&config, &path)?;
            let (restored, moments) = checkpoint.restore(model, &path, &device)?;
            model = restored;
            optimiser = optimiser.with_moments(moments);
            (iteration, best) = (checkpoint.iteration, checkpoint.best);
        }
        run.cut_metrics(iteration)?;
        let objective = Objective {
            loss: config.loss.clone(),
            unseen: data.pseudo_labelled(),
            label_stride: config.label_stride,
        };
        let config_text = config.to_toml()?;
        let interrupted = Arc::new(AtomicBool::new(false));
        Ok(Self {
            config,
            config_text,
            data,
            run,
            device,
            setup,
            model,
            replicas: Vec::new(),
            optimiser,
            objective,
            iteration,
            best,
            interrupted,
        })
    }

    /// Shares each batch with further devices: every one computes an equal part, the sums and M are added on the first device,
    /// which updates the parameters and sends them back. The result is that of one device but for the order of additions.
    ///
    /// # Errors
    /// [`TrainError::Value`] if the batch cannot be shared equally, or a device does not compute in the type asked for;
    /// [`TrainError::Device`] if one fails.
    pub fn with_further_devices(mut self, devices: &[Device]) -> Result<Self, TrainError> {
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
            self.replicas
                .push(Replica::new(&self.model, &self.setup.text_features, device)?);
        }
        Ok(self)
    }

    /// Set it to `true`, from a signal handler for example, to end the run after the iteration in work.
    pub fn interrupter(&self) -> Arc<AtomicBool> {
        self.interrupted.clone()
    }

    /// Iterations done.
    pub fn iteration(&self) -> u64 {
        self.iteration
    }

    /// The run directory.
    pub fn run_directory(&self) -> &RunDirectory {
        &self.run
    }

    /// The model as it is now.
    pub fn snapshot(&self) -> Snapshot<'_> {
        let model = crate::freeze::plain(&self.model);
        Snapshot {
            iteration: self.iteration,
            model,
            setup: &self.setup,
            whole: &self.data.whole,
        }
    }

    /// Trains to the end or until it is interrupted.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`], [`TrainError::Dataset`] for a file that cannot be read, [`TrainError::Data`] or
    /// [`TrainError::Io`] if the run cannot be written (its last checkpoint is whole), [`TrainError::Device`].
    pub fn run(&mut self, observer: &mut impl TrainObserver) -> Result<Outcome, TrainError> {
        match self.iterate(observer) {
            Ok(outcome) => {
                self.report(observer)?;
                Ok(outcome)
            }
            Err(error) => {
                // Curves up to here; what went wrong is worth more than a report that cannot be written.
                let _ = write_report(&self.run, &self.config, &[]);
                Err(error)
            }
        }
    }

    fn iterate(&mut self, observer: &mut impl TrainObserver) -> Result<Outcome, TrainError> {
        let start = (Instant::now(), self.iteration);
        let mut loader = self.loader()?;
        let mut means = RunningMeans::default();
        while self.iteration < self.config.iterations {
            let begun = Instant::now();
            let Some(batch) = loader.next().transpose()? else { break };
            let waited = begun.elapsed().as_secs_f64();
            let rate = self
                .config
                .schedule
                .rate(self.config.base_rate(), self.iteration, self.config.iterations);
            let losses = self.update(&batch, rate)?;
            self.iteration += 1;
            let seconds = begun.elapsed().as_secs_f64();
            let step = Step {
                iteration: self.iteration,
                iterations: self.config.iterations,
                losses,
                rate,
                seconds,
                waited,
                images_per_second: self.config.batch_size as f64 / seconds.max(f64::MIN_POSITIVE),
                remaining: remaining(start, self.iteration, self.config.iterations),
                samples: batch.ids,
            };
            observer.step(&step);
            means.add((step.losses.mask, step.losses.dice), seconds);
            let last = self.iteration == self.config.iterations;
            if last || self.iteration.is_multiple_of(self.config.run.log_interval) {
                let ((mask, dice), times) = means.take(self.config.batch_size);
                self.run.log(&MetricsLine {
                    iteration: self.iteration,
                    loss_mask: Some(mask),
                    loss_dice: dice,
                    lr: Some(rate),
                    ..times
                })?;
            }
            let interrupted = self.interrupted.load(Ordering::Relaxed);
            self.evaluate(last, observer)?;
            if last || interrupted || self.iteration.is_multiple_of(self.config.run.checkpoint_interval) {
                let path = self.run.save(&self.checkpoint()?, self.config.run.keep)?;
                observer.saved(self.iteration, &path);
            }
            if self.iteration == self.config.half_way() {
                self.checkpoint()?.write(&self.run.half_way_path())?;
            }
            if interrupted && !last {
                return Ok(Outcome::Interrupted {
                    iteration: self.iteration,
                });
            }
        }
        self.setup
            .write(&self.model, &self.data.whole, &self.run.model_path())?;
        Ok(Outcome::Finished)
    }

    fn report(&self, observer: &mut impl TrainObserver) -> Result<(), TrainError> {
        let examples = observer.examples(&self.snapshot());
        write_report(&self.run, &self.config, &examples)
    }

    fn loader(&self) -> Result<Loader, TrainError> {
        let settings = LoaderSettings {
            batch_size: self.config.batch_size,
            threads: self.config.data.threads,
            batches_ahead: self.config.data.batches_ahead,
            seed: self.config.seed,
            start_iteration: self.iteration,
            end_iteration: self.config.iterations,
        };
        Ok(Loader::start(
            self.data.set.clone(),
            self.config.data.pipeline.clone(),
            &settings,
        )?)
    }

    /// One update. Nothing is changed if the loss is no number.
    fn update(&mut self, batch: &Batch, rate: f64) -> Result<Losses, TrainError> {
        let first = Share {
            device: &self.device,
            model: &self.model,
            text_features: &self.setup.text_features,
        };
        let further = self.replicas.iter().map(|replica| Share {
            device: &replica.device,
            model: &replica.model,
            text_features: &replica.text_features,
        });
        let shares: Vec<Share<'_>> = std::iter::once(first).chain(further).collect();
        let place = (self.config.seed, self.iteration);
        let sums = compute(&shares, batch, self.config.accumulation, place, &self.objective)?;
        let (losses, mut gradients) = sums.finish();
        if !losses.total().is_finite() {
            return Err(self.not_finite(losses, batch));
        }
        if let Some(longest) = self.config.optimiser.clip_norm {
            gradients = gradients.clipped(longest)?;
        }
        self.model = on_worker(|| self.optimiser.step(self.model.clone(), &gradients, rate));
        for replica in &mut self.replicas {
            replica.update(&self.model)?;
        }
        Ok(losses)
    }

    /// Names the newest checkpoint that does not lead here at once. The state itself is not worth saving: its loss is none.
    fn not_finite(&self, losses: Losses, batch: &Batch) -> TrainError {
        let iterations = match self.run.checkpoints() {
            Ok(iterations) => iterations,
            Err(error) => return error,
        };
        let before = iterations
            .into_iter()
            .rev()
            .find(|iteration| *iteration < self.iteration);
        let checkpoint = before.map(|iteration| self.run.checkpoint_path(iteration));
        let state = match &checkpoint {
            Some(path) => format!(
                "the last good state is `{}`, which `model.initial` takes",
                path.display()
            ),
            None => "no checkpoint was written before it".to_owned(),
        };
        let samples = batch
            .ids
            .iter()
            .map(|id| format!("`{id}`"))
            .collect::<Vec<_>>()
            .join(", ");
        TrainError::NotFinite {
            iteration: self.iteration,
            loss: losses.total(),
            samples,
            checkpoint,
            state,
        }
    }

    fn evaluate(&mut self, last: bool, observer: &mut impl TrainObserver) -> Result<(), TrainError> {
        let interval = self.config.run.evaluation_interval;
        if interval == 0 || !(last || self.iteration.is_multiple_of(interval)) {
            return Ok(());
        }
        let Some(scores) = observer.evaluate(&self.snapshot()) else {
            return Ok(());
        };
        self.run.log(&MetricsLine {
            iteration: self.iteration,
            scores: Some(scores),
            ..MetricsLine::default()
        })?;
        let better = scores
            .hiou
            .filter(|hiou| self.best.is_none_or(|best| *hiou > best.hiou));
        if let Some(hiou) = better {
            self.best = Some(Best {
                iteration: self.iteration,
                hiou,
            });
            self.checkpoint()?.write(&self.run.best_path())?;
        }
        if last { Ok(()) } else { self.report(observer) }
    }

    fn checkpoint(&self) -> Result<Checkpoint, TrainError> {
        Checkpoint::of(
            &self.model,
            self.optimiser.moments(),
            self.iteration,
            self.config_text.clone(),
            self.best,
        )
    }
}

pub(crate) fn remaining((begun, first): (Instant, u64), iteration: u64, iterations: u64) -> f64 {
    let done = iteration.saturating_sub(first).max(1) as f64;
    begun.elapsed().as_secs_f64() / done * iterations.saturating_sub(iteration) as f64
}
