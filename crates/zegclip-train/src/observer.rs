//! What a run tells while it goes on.

use std::path::Path;

use zegclip_model::ZegClip;

use crate::{EvaluationScores, Losses};

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

    /// Scores the model after `iteration` iterations, as often as the configuration asks. `model` is on the plain device.
    /// `None` is no evaluation.
    fn evaluate(&mut self, iteration: u64, model: &ZegClip) -> Option<EvaluationScores> {
        let _ = (iteration, model);
        None
    }
}

impl<F: FnMut(&Step)> TrainObserver for F {
    fn step(&mut self, step: &Step) {
        self(step);
    }
}
