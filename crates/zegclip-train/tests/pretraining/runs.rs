//! A folder with runs of a very small CLIP on composed scenes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use burn::tensor::Device;
use zegclip_train::pretrain::{ContrastiveTraining, PairSource, PretrainConfig};
use zegclip_train::{Configuration, Iteration, Outcome, RunDirectory, TrainError};

const TINY: &str = include_str!("../../../../assets/pretraining/tiny.toml");

pub(crate) struct Runs(tempfile::TempDir);

impl Runs {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Six iterations: four at 32 pixels, two at 48.
    pub(crate) fn config(&self, overrides: &[&str]) -> PretrainConfig {
        let small = [
            "stages.0.iterations=4",
            "stages.1.iterations=2",
            "stages.0.batch_size=6",
            "stages.1.batch_size=6",
            "stages.1.chunk=4",
            "run.checkpoint_interval=4",
            "run.log_interval=1",
            "run.evaluation_interval=0",
            "schedule.warmup=2",
        ];
        let all: Vec<String> = small.iter().chain(overrides).map(|text| (*text).to_owned()).collect();
        PretrainConfig::from_toml(TINY, "the test's configuration", &all).unwrap()
    }

    pub(crate) fn training(&self, name: &str, config: &PretrainConfig) -> Result<ContrastiveTraining, TrainError> {
        let path = self.path(name);
        let source = PairSource::open(config)?;
        let config = &config.clone().with_tokens(&source)?;
        let run = if path.exists() {
            RunDirectory::open(&path)?
        } else {
            RunDirectory::create(&path, config)?
        };
        ContrastiveTraining::new(config.clone(), source, run, &Device::flex())
    }

    /// The losses of a complete run.
    pub(crate) fn finish(&self, name: &str, overrides: &[&str]) -> Vec<f64> {
        let (outcome, losses) = followed(self.training(name, &self.config(overrides)).unwrap(), u64::MAX);
        assert_eq!(outcome.unwrap(), Outcome::Finished);
        losses
    }
}

/// A run that is interrupted in iteration `end`, and its losses.
pub(crate) fn followed(training: ContrastiveTraining, end: u64) -> (Result<Outcome, TrainError>, Vec<f64>) {
    let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), training.interrupter());
    let losses = seen.clone();
    let training = training.on_iteration(move |item: &Iteration| {
        losses.lock().unwrap().push(item.loss());
        if item.iteration == end {
            stop.stop(Some("the test"));
        }
    });
    let outcome = training.run();
    (outcome, std::mem::take(&mut *seen.lock().unwrap()))
}

pub(crate) fn model_bytes(run: &Path) -> Vec<u8> {
    std::fs::read(run.join("model.safetensors")).unwrap()
}
