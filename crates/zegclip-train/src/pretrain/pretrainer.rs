//! The loop.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::module::Param;
use burn::tensor::{Device, FloatDType};
use zegclip_kernels::on_worker;
use zegclip_model::clip::Clip;
use zegclip_model::config::ClipConfig;
use zegclip_model::parameters::{load_parameters, resized_positions};
use zegclip_model::weights::WeightFile;

use super::batch::Batches;
use super::config::{PretrainConfig, StageConfig};
use super::report::write_report;
use super::source::{HeldOut, PairSource};
use super::step::{ClipBatch, ClipLosses, ClipSums, clip_forward_backward};
use super::{evaluation, model_file};
use crate::checkpoint::Checkpoint;
use crate::model_setup::drawn;
use crate::running_means::RunningMeans;
use crate::seed::{Drawn, seed_of};
use crate::trainer::remaining;
use crate::{ClipScores, Configuration, MetricsLine, Optimiser, Outcome, RunDirectory, TrainError, freeze};

/// The temperature falls to a hundredth at most, as in CLIP.
const MAX_LOG_SCALE: f64 = 4.605_170_185_988_092;
/// Its place among the state of the optimiser.
const POSITIONS: &str = "backbone.positional_embedding";

/// One iteration that was done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PretrainStep {
    /// Iterations done, this one included.
    pub iteration: u64,
    /// Iterations of the run.
    pub iterations: u64,
    /// Losses before the update.
    pub losses: ClipLosses,
    /// Learning rate of the update.
    pub rate: f64,
    /// Seconds that the iteration took, waiting for data included.
    pub seconds: f64,
    /// Seconds of these spent waiting for data.
    pub waited: f64,
    /// Images of the batch.
    pub images: usize,
    /// Seconds until the end at the mean speed since the start or the resume.
    pub remaining: f64,
}

/// Follows a run. Every method may be left out.
pub trait PretrainObserver {
    /// An iteration was done.
    fn step(&mut self, step: &PretrainStep) {
        let _ = step;
    }

    /// A checkpoint lies in `path`.
    fn saved(&mut self, iteration: u64, path: &Path) {
        let _ = (iteration, path);
    }

    /// The model was scored on the splits that are held out.
    fn evaluated(&mut self, iteration: u64, scores: &BTreeMap<String, ClipScores>) {
        let _ = (iteration, scores);
    }
}

impl<F: FnMut(&PretrainStep)> PretrainObserver for F {
    fn step(&mut self, step: &PretrainStep) {
        self(step);
    }
}

/// A run between two iterations.
#[derive(Debug)]
pub struct Pretrainer {
    config: PretrainConfig,
    config_text: String,
    source: PairSource,
    run: RunDirectory,
    device: Device,
    model: Clip,
    optimiser: Optimiser,
    iteration: u64,
    interrupted: Arc<AtomicBool>,
}

impl Pretrainer {
    /// A run from its beginning, or from the newest checkpoint in `run` where there is one.
    ///
    /// # Errors
    /// [`TrainError::OtherConfig`] if `run` was made with another configuration, [`TrainError::DamagedCheckpoint`], and
    /// whatever keeps the model from being made.
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
        let device = device.clone().without_autodiff();
        let optimiser = Optimiser::new(config.optimiser.to_optimiser()).decaying_matrices_only();
        let checkpoint = run.latest()?;
        let iteration = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.iteration);
        // Positions lie on the grid of the last iteration that was done.
        let stage = stage_of(&config, iteration.saturating_sub(1))?.0;
        let mut model = drawn(&device, seed_of(config.seed, Drawn::Clip), || {
            Clip::new(&config.clip_config(stage), &device)
        });
        if let (Some(initial), None) = (&config.model.initial, &checkpoint) {
            model = load_parameters(model, "", &WeightFile::open(initial)?, &device, FloatDType::F32)?;
        }
        let mut this = Self {
            config_text: config.to_toml()?,
            source,
            model: freeze::all_trainable(model),
            config,
            run,
            device,
            optimiser,
            iteration,
            interrupted: Arc::new(AtomicBool::new(false)),
        };
        if let Some(checkpoint) = checkpoint {
            let path = this.run.checkpoint_path(iteration);
            let origin = format!("`{}`", path.display());
            PretrainConfig::from_toml(&checkpoint.config, &origin, &[])?.require_same(&this.config, &path)?;
            let (model, moments) = checkpoint.restore(this.model, &path, &this.device)?;
            this.model = model;
            this.optimiser = this.optimiser.with_moments(moments);
        }
        this.run.cut_metrics(iteration)?;
        Ok(this)
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

    /// The model as it is now, on the plain device, and its sizes.
    ///
    /// # Errors
    /// [`TrainError::Value`] without a stage.
    pub fn snapshot(&self) -> Result<(Clip, ClipConfig), TrainError> {
        let stage = stage_of(&self.config, self.iteration.saturating_sub(1))?.0;
        let config = self.config.clip_config(stage);
        Ok((freeze::plain(&self.model), config))
    }

    /// Writes the model as it is now, as the run writes it at its end.
    ///
    /// # Errors
    /// [`TrainError::Weights`] if it cannot be written.
    pub fn write_model(&self, path: &Path) -> Result<(), TrainError> {
        let (model, config) = self.snapshot()?;
        model_file::write(&model, &config, path)
    }

    /// Trains to the end or until it is interrupted.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`], [`TrainError::Data`] or [`TrainError::Io`] if an image cannot be read or the run cannot be
    /// written (its last checkpoint is whole), [`TrainError::Device`].
    pub fn run(&mut self, observer: &mut impl PretrainObserver) -> Result<Outcome, TrainError> {
        let outcome = self.iterate(observer);
        let written = write_report(&self.run, &self.config);
        // What went wrong is worth more than a report that cannot be written.
        outcome.and_then(|outcome| written.map(|()| outcome))
    }

    fn iterate(&mut self, observer: &mut impl PretrainObserver) -> Result<Outcome, TrainError> {
        let start = (Instant::now(), self.iteration);
        let iterations = self.config.iterations();
        while self.iteration < iterations {
            let (stage, first) = stage_of(&self.config, self.iteration)?;
            let stage = stage.clone();
            if let Some(iteration) = self.run_stage(&stage, first, start, observer)? {
                return Ok(Outcome::Interrupted { iteration });
            }
        }
        self.write_model(&self.run.model_path())?;
        Ok(Outcome::Finished)
    }

    /// `Some` if it was interrupted.
    fn run_stage(
        &mut self,
        stage: &StageConfig,
        first: u64,
        start: (Instant, u64),
        observer: &mut impl PretrainObserver,
    ) -> Result<Option<u64>, TrainError> {
        self.enter(stage);
        let iterations = self.config.iterations();
        let end = first + stage.iterations;
        let mut batches = Batches::start(&self.source, &self.config, stage, [self.iteration, end])?;
        let held_out = match self.config.run.evaluation_interval {
            0 => Vec::new(),
            _ => self.source.held_out(stage, self.config.evaluation.images)?,
        };
        let mut means = RunningMeans::default();
        while self.iteration < end {
            let begun = Instant::now();
            let Some(batch) = batches.next_batch()? else { break };
            let waited = begun.elapsed().as_secs_f64();
            let rate = self
                .config
                .schedule
                .rate(self.config.optimiser.lr, self.iteration, iterations);
            let losses = self.update(&batch, stage.chunk_size(), rate)?;
            self.iteration += 1;
            let seconds = begun.elapsed().as_secs_f64();
            let step = PretrainStep {
                iteration: self.iteration,
                iterations,
                losses,
                rate,
                seconds,
                waited,
                images: stage.batch_size,
                remaining: remaining(start, self.iteration, iterations),
            };
            observer.step(&step);
            means.add((losses.contrastive, losses.patches), seconds);
            let last = self.iteration == iterations;
            if last || self.iteration.is_multiple_of(self.config.run.log_interval) {
                let scale = scalar(self.model.logit_scale.val())?.exp();
                let ((contrastive, patches), times) = means.take(stage.batch_size);
                self.run.log(&MetricsLine {
                    iteration: self.iteration,
                    loss_contrastive: Some(contrastive),
                    loss_patches: patches,
                    logit_scale: Some(scale),
                    lr: Some(rate),
                    ..times
                })?;
            }
            let interrupted = self.interrupted.load(Ordering::Relaxed);
            self.evaluate(last, &held_out, observer)?;
            if last || interrupted || self.iteration.is_multiple_of(self.config.run.checkpoint_interval) {
                let path = self.run.save(&self.checkpoint()?, self.config.run.keep)?;
                observer.saved(self.iteration, &path);
            }
            if interrupted && !last {
                return Ok(Some(self.iteration));
            }
        }
        Ok(None)
    }

    /// Brings the positions on the grid of a stage; the optimiser's state of them starts anew.
    fn enter(&mut self, stage: &StageConfig) {
        let grid = self.config.grid(stage);
        let positions = &self.model.image_encoder.positional_embedding;
        if positions.dims()[0] == 1 + grid * grid {
            return;
        }
        let resized = resized_positions(positions.val().inner(), grid);
        self.model.image_encoder.positional_embedding =
            Param::initialized(positions.id, freeze::tracked(resized, None));
        self.optimiser.forget(POSITIONS);
    }

    /// One update. Nothing is changed if the loss is no number.
    fn update(&mut self, batch: &ClipBatch, chunk: usize, rate: f64) -> Result<ClipLosses, TrainError> {
        let patches = self.config.loss.patches;
        let ClipSums { losses, mut gradients } =
            on_worker(|| clip_forward_backward(&self.model, batch, chunk, patches, &self.device))?;
        if !losses.total().is_finite() {
            return Err(TrainError::NotFinite {
                iteration: self.iteration,
                loss: losses.total(),
                samples: "that the seed draws for it".to_owned(),
                checkpoint: None,
                state: "the newest checkpoint is the last good state".to_owned(),
            });
        }
        if let Some(longest) = self.config.optimiser.clip_norm {
            gradients = gradients.clipped(longest)?;
        }
        self.model = on_worker(|| self.optimiser.step(self.model.clone(), &gradients, rate));
        let scale = &self.model.logit_scale;
        let clamped = scale.val().inner().clamp_max(MAX_LOG_SCALE);
        self.model.logit_scale = Param::initialized(scale.id, freeze::tracked(clamped, None));
        Ok(losses)
    }

    fn evaluate(
        &self,
        last: bool,
        held_out: &[HeldOut],
        observer: &mut impl PretrainObserver,
    ) -> Result<(), TrainError> {
        let interval = self.config.run.evaluation_interval;
        if held_out.is_empty() || interval == 0 || !(last || self.iteration.is_multiple_of(interval)) {
            return Ok(());
        }
        let model = freeze::plain(&self.model);
        let mut clip_scores = BTreeMap::new();
        for split in held_out {
            clip_scores.insert(split.name.clone(), evaluation::scores(&model, split, &self.device)?);
        }
        observer.evaluated(self.iteration, &clip_scores);
        self.run.log(&MetricsLine {
            iteration: self.iteration,
            clip_scores,
            ..MetricsLine::default()
        })?;
        if last {
            Ok(())
        } else {
            write_report(&self.run, &self.config)
        }
    }

    fn checkpoint(&self) -> Result<Checkpoint, TrainError> {
        Checkpoint::of(
            &self.model,
            self.optimiser.moments(),
            self.iteration,
            self.config_text.clone(),
            None,
        )
    }
}

fn stage_of(config: &PretrainConfig, iteration: u64) -> Result<(&StageConfig, u64), TrainError> {
    config.stage_of(iteration).ok_or_else(|| TrainError::Value {
        key: "stages",
        value: "[]".to_owned(),
        reason: "at least one is needed".to_owned(),
    })
}

fn scalar(value: burn::tensor::Tensor<1>) -> Result<f64, TrainError> {
    let data = value.inner().try_into_data().map_err(TrainError::device)?;
    Ok(data.iter::<f64>().next().unwrap_or(f64::NAN))
}
