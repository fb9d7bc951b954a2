//! CLIP as a task of burn-train.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::module::{Module, Param};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Device;
use burn::train::{InferenceStep, TrainOutput, TrainStep};
use zegclip_kernels::on_worker;
use zegclip_model::clip::Clip;
use zegclip_model::parameters::resized_positions;

use super::PretrainConfig;
use super::evaluation;
use super::pair::HeldOut;
use super::report::write_report;
use super::step::{ClipBatch, ClipLosses, ClipObjective, ClipSums, clip_forward_backward};
use crate::gradients::clip_gradients;
use crate::training::{Evaluated, FailureSlot, Iteration, Scored, Task};
use crate::{ClipScores, OptimizerConfig, RunDirectory, TrainError, freeze};

/// ln 100: CLIP's upper bound of the logit scale (Radford et al. 2021, section 2.5).
const MAX_LOG_SCALE: f64 = 4.605_170_185_988_092;

/// Both encoders of CLIP and the temperature, all of them trained.
#[derive(Module, Debug)]
pub struct ContrastiveTask {
    clip: Clip,
    #[module(skip)]
    fixed: Fixed,
}

/// A batch and the chunk size of its stage.
#[derive(Debug, Clone, PartialEq)]
pub struct StagedBatch {
    /// The pairs.
    pub batch: ClipBatch,
    /// See [`ClipObjective::chunk`].
    pub chunk: usize,
}

/// Parts of the task that training does not change.
#[derive(Clone)]
struct Fixed(Arc<FixedParts>);

struct FixedParts {
    config: PretrainConfig,
    optimizer: OptimizerConfig,
    device: Device,
    /// Patches along a side to which positions are interpolated before the next batch.
    next_grid: Mutex<Option<usize>>,
    failures: Arc<FailureSlot>,
}

impl std::fmt::Debug for Fixed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("configuration")
    }
}

/// Scores of CLIP by the name of the split.
#[derive(Debug, Clone, Default)]
pub struct SplitScores(pub BTreeMap<String, ClipScores>);

impl Evaluated for SplitScores {
    fn merge(&mut self, other: &Self) {
        self.0
            .extend(other.0.iter().map(|(split, scores)| (split.clone(), *scores)));
    }
}

impl ContrastiveTask {
    pub(crate) fn new(config: &PretrainConfig, clip: Clip, device: &Device) -> Self {
        let fixed = FixedParts {
            config: config.clone(),
            optimizer: config.optimizer.to_optimizer(),
            device: device.clone(),
            next_grid: Mutex::new(None),
            failures: Arc::default(),
        };
        Self {
            clip,
            fixed: Fixed(Arc::new(fixed)),
        }
    }

    /// The model.
    pub fn clip(&self) -> &Clip {
        &self.clip
    }

    pub(crate) fn device(&self) -> &Device {
        &self.fixed.0.device
    }

    /// Patches of a batch along a side.
    fn grid(&self, batch: &ClipBatch) -> usize {
        batch.size / self.fixed.0.config.model.vision.patch_size.max(1)
    }

    fn losses_and_gradients(&self, StagedBatch { batch, chunk }: &StagedBatch) -> Result<(ClipSums, f64), TrainError> {
        let fixed = &self.fixed.0;
        let objective = ClipObjective {
            patch_weight: fixed.config.loss.patches,
            chunk: *chunk,
        };
        let scale = self.clip.logit_scale.val().inner().exp();
        let scale = scale.try_into_data().map_err(TrainError::device)?;
        let scale = scale.iter::<f64>().next().unwrap_or(f64::NAN);
        let sums = on_worker(|| clip_forward_backward(&self.clip, batch, objective, &fixed.device))?;
        Ok((sums, scale))
    }

    /// Interpolates the position embedding to another grid and resets its optimizer state.
    fn with_grid(mut self, grid: usize, optimizer: &mut ModuleOptimizer) -> Self {
        let positions = &self.clip.image_encoder.positional_embedding;
        let resized = resized_positions(positions.val().inner(), grid);
        *optimizer = self.fixed.0.optimizer.reset_state(optimizer, positions.id);
        self.clip.image_encoder.positional_embedding = Param::initialized(positions.id, freeze::tracked(resized, None));
        self
    }

    /// Clamps the logit scale.
    fn with_bounded_temperature(mut self) -> Self {
        let scale = &self.clip.logit_scale;
        let clamped = scale.val().inner().clamp_max(MAX_LOG_SCALE);
        self.clip.logit_scale = Param::initialized(scale.id, freeze::tracked(clamped, None));
        self
    }
}

impl TrainStep for ContrastiveTask {
    type Input = StagedBatch;
    type Output = Iteration;

    fn step(&self, batch: StagedBatch) -> TrainOutput<Iteration> {
        let mut item = Iteration {
            images: batch.batch.tokens.len(),
            ..Iteration::default()
        };
        let (losses, grads) = match self.losses_and_gradients(&batch) {
            Ok((ClipSums { losses, gradients }, scale)) => {
                item.logit_scale = Some(scale);
                (losses, gradients)
            }
            Err(error) => {
                self.fixed.0.failures.report(error);
                let none = ClipLosses {
                    contrastive: f64::NAN,
                    patches: None,
                };
                (none, GradientsParams::new())
            }
        };
        item.losses.push(("loss_contrastive", losses.contrastive));
        item.losses
            .extend(losses.patches.map(|patches| ("loss_patches", patches)));
        TrainOutput { grads, item }
    }

    fn optimize(self, optimizer: &mut ModuleOptimizer, rate: ModuleLearningRate, gradients: GradientsParams) -> Self {
        let next_grid = self
            .fixed
            .0
            .next_grid
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(grid) = next_grid {
            return self.with_grid(grid, optimizer);
        }
        match clip_gradients(&self, gradients, self.fixed.0.optimizer.clip_norm) {
            Ok(gradients) => on_worker(|| optimizer.step(rate, self, gradients)).with_bounded_temperature(),
            Err(error) => {
                self.fixed.0.failures.report(error);
                self
            }
        }
    }
}

impl InferenceStep for ContrastiveTask {
    type Input = HeldOut;
    type Output = Scored<SplitScores>;

    fn step(&self, split: HeldOut) -> Scored<SplitScores> {
        let clip = freeze::for_inference(&self.clip);
        let scores = evaluation::scores(&clip, &split, &self.fixed.0.device).unwrap_or_else(|error| {
            self.fixed.0.failures.report(error);
            ClipScores::default()
        });
        Scored(SplitScores(BTreeMap::from([(split.name, scores)])))
    }
}

impl Task for ContrastiveTask {
    fn failures(&self) -> &Arc<FailureSlot> {
        &self.fixed.0.failures
    }

    /// The first batch of a stage with another image size needs another position grid.
    fn prepare(&self, batch: &StagedBatch) -> bool {
        let grid = self.grid(&batch.batch);
        if self.clip.image_encoder.positional_embedding.dims()[0] == 1 + grid * grid {
            return false;
        }
        *self.fixed.0.next_grid.lock().unwrap_or_else(PoisonError::into_inner) = Some(grid);
        true
    }

    fn report(&self, run: &RunDirectory) -> Result<(), TrainError> {
        write_report(run, &self.fixed.0.config)
    }
}
