//! What a run tells while it goes on.

use std::path::Path;

use burn::tensor::Tensor;
use zegclip_data::Vocabulary;
use zegclip_model::{ZegClip, ZegClipConfig};

use crate::model_setup::ModelSetup;
use crate::{EvaluationScores, ExampleMasks, Losses, TrainError};

/// One iteration that was done.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Iterations done, this one included.
    pub iteration: u64,
    /// Iterations of the run.
    pub iterations: u64,
    /// Losses before the update.
    pub losses: Losses,
    /// Learning rate of the update.
    pub rate: f64,
    /// Seconds that the iteration took, waiting for data included.
    pub seconds: f64,
    /// Seconds of these spent waiting for data.
    pub waited: f64,
    /// Images a second in this iteration.
    pub images_per_second: f64,
    /// Seconds until the end at the mean speed since the start or the resume.
    pub remaining: f64,
    /// Names of the samples.
    pub samples: Vec<String>,
}

/// The model between two iterations, on the plain device.
#[derive(Debug)]
pub struct Snapshot<'a> {
    pub(crate) iteration: u64,
    pub(crate) model: ZegClip,
    pub(crate) setup: &'a ModelSetup,
    pub(crate) whole: &'a Vocabulary,
}

impl Snapshot<'_> {
    /// Iterations done.
    pub fn iteration(&self) -> u64 {
        self.iteration
    }

    /// The model.
    pub fn model(&self) -> &ZegClip {
        &self.model
    }

    /// Its sizes.
    pub fn config(&self) -> &ZegClipConfig {
        &self.setup.config
    }

    /// Text features of a class list, for example of all classes to be scored: `[classes, embed_dim]`. They never change in a
    /// run, which computes them once and keeps them in its folder.
    ///
    /// # Errors
    /// [`TrainError::NoTextFeatures`], or those of the text encoder.
    pub fn text_features(&self, vocabulary: &Vocabulary) -> Result<Tensor<2>, TrainError> {
        self.setup.text_features_of(vocabulary)
    }

    /// Writes a model file as the run writes it at its end.
    ///
    /// # Errors
    /// [`TrainError::Weights`] if it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), TrainError> {
        self.setup.write(&self.model, self.whole, path)
    }
}

/// Follows a run. Every method may be left out; a closure `FnMut(&Step)` is an observer too.
pub trait TrainObserver {
    /// An iteration was done.
    fn step(&mut self, step: &Step) {
        let _ = step;
    }

    /// A checkpoint lies in `path`.
    fn saved(&mut self, iteration: u64, path: &Path) {
        let _ = (iteration, path);
    }

    /// Scores the model after `snapshot.iteration()` iterations, as often as the configuration asks. `None` is no evaluation.
    fn evaluate(&mut self, snapshot: &Snapshot<'_>) -> Option<EvaluationScores> {
        let _ = snapshot;
        None
    }

    /// Photos with the model's masks for the report, which is written at evaluations and when the run ends or is interrupted.
    fn examples(&mut self, snapshot: &Snapshot<'_>) -> Vec<ExampleMasks> {
        let _ = snapshot;
        Vec::new()
    }
}

impl<F: FnMut(&Step)> TrainObserver for F {
    fn step(&mut self, step: &Step) {
        self(step);
    }
}
