//! The result of an iteration.

use burn::backend::ExecutionError;
use burn::tensor::{Device, Tensor};
use burn::train::ItemLazy;
use burn::train::metric::{Adaptor, LossInput};

/// The result of an iteration. The step sets losses, images and samples; the loop sets the rest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Iteration {
    /// Iterations completed, including this one.
    pub iteration: u64,
    /// Iterations of the run.
    pub iterations: u64,
    /// The terms of the loss before the update, with their keys in `metrics.jsonl`.
    pub losses: Vec<(&'static str, f64)>,
    /// Logit scale before the update, the inverse of the temperature; pre-training only.
    pub logit_scale: Option<f64>,
    /// Learning rate of the update.
    pub rate: f64,
    /// Seconds of the iteration, including the wait for data.
    pub seconds: f64,
    /// Seconds of the wait for data.
    pub waited: f64,
    /// Images of the batch.
    pub images: usize,
    /// Names of the samples; empty in pre-training.
    pub samples: Vec<String>,
}

impl Iteration {
    /// The loss, the sum of its terms.
    pub fn loss(&self) -> f64 {
        self.losses.iter().map(|(_, loss)| loss).sum()
    }

    /// A term of the loss by its key.
    pub fn part(&self, key: &str) -> Option<f64> {
        self.losses
            .iter()
            .find_map(|(name, loss)| (*name == key).then_some(*loss))
    }

    /// Images per second; 0 if the loop measured no time.
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

/// For burn's loss metric.
impl Adaptor<LossInput> for Iteration {
    fn adapt(&self) -> LossInput {
        LossInput::new(Tensor::from_data([self.loss()], &Device::flex()))
    }
}
