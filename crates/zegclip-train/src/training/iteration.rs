//! One iteration, as metrics, displays and tests see it.

use burn::backend::ExecutionError;
use burn::tensor::{Device, Tensor};
use burn::train::ItemLazy;
use burn::train::metric::{Adaptor, LossInput};

/// An iteration that was done. The step fills in losses, images and samples; the loop of this crate adds the rest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Iteration {
    /// Iterations done, this one included.
    pub iteration: u64,
    /// Iterations of the run.
    pub iterations: u64,
    /// The parts of the loss before the update, under their keys in `metrics.jsonl`.
    pub losses: Vec<(&'static str, f64)>,
    /// Scale of the similarities before the update, the inverse of the temperature; pre-training only.
    pub logit_scale: Option<f64>,
    /// Learning rate of the update.
    pub rate: f64,
    /// Seconds that the iteration took, waiting for data included.
    pub seconds: f64,
    /// Seconds of these spent waiting for data.
    pub waited: f64,
    /// Images of the batch.
    pub images: usize,
    /// Names of the samples, as far as they have any.
    pub samples: Vec<String>,
}

impl Iteration {
    /// The loss that is minimized: the sum of its parts.
    pub fn loss(&self) -> f64 {
        self.losses.iter().map(|(_, loss)| loss).sum()
    }

    /// A part of the loss by its key.
    pub fn part(&self, key: &str) -> Option<f64> {
        self.losses
            .iter()
            .find_map(|(name, loss)| (*name == key).then_some(*loss))
    }

    /// Images a second; 0 where the loop measured no time.
    pub fn images_per_second(&self) -> f64 {
        if self.seconds > 0.0 {
            self.images as f64 / self.seconds
        } else {
            0.0
        }
    }
}

impl ItemLazy for Iteration {
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(self)
    }
}

impl Adaptor<Self> for Iteration {
    fn adapt(&self) -> Self {
        self.clone()
    }
}

/// For burn's own loss metric.
impl Adaptor<LossInput> for Iteration {
    fn adapt(&self) -> LossInput {
        LossInput::new(Tensor::from_data([self.loss()], &Device::flex()))
    }
}
