//! Training batches, made ahead by threads: the same ones whatever the number of threads, from any iteration on.

use std::ops::Range;
use std::sync::Arc;

use crate::datasets::{DatasetError, TrainingSet};
use crate::transforms::{TrainingPipeline, TrainingSample, shuffled};
use crate::{DataError, Prefetch};

/// How a [`Loader`] works. Only `seed`, `batch_size` and the iterations change what it yields.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoaderSettings {
    /// Samples a batch.
    pub batch_size: usize,
    /// Threads that read and transform.
    pub threads: usize,
    /// Batches made ahead at most. Memory is this many batches: 3.5 MiB a sample of 512 × 512.
    pub batches_ahead: usize,
    /// Seed of the order and of every transform.
    pub seed: u64,
    /// The first iteration: that of a checkpoint, to resume there.
    pub start_iteration: u64,
    /// The iteration to stop before.
    pub end_iteration: u64,
}

impl Default for LoaderSettings {
    /// The published batch of 16, without an end.
    fn default() -> Self {
        Self {
            batch_size: 16,
            threads: 2,
            batches_ahead: 2,
            seed: 0,
            start_iteration: 0,
            end_iteration: u64::MAX,
        }
    }
}

/// Samples of one iteration.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Which iteration it is for.
    pub iteration: u64,
    /// Normalized images, `[batch, 3, size, size]`.
    pub images: Vec<f32>,
    /// Labels as [`TrainingLabels::as_raw`](crate::TrainingLabels::as_raw) writes them, `[batch, size, size]`.
    pub labels: Vec<u16>,
    /// Names of the samples, `[batch]`.
    pub ids: Vec<String>,
    /// Width and height.
    pub size: u32,
}

/// Batches in order of their iterations. A file that cannot be read ends it with an error that names the file.
///
/// Which samples a batch has and what is done to them is a function of seed and iteration: epochs follow one another
/// without a gap, each in an order of its own, and a batch may span two.
#[derive(Debug)]
pub struct Loader {
    samples: Prefetch<(String, TrainingSample), DatasetError>,
    iterations: Range<u64>,
    batch_size: usize,
    size: u32,
}

impl Loader {
    /// Starts the threads.
    ///
    /// # Errors
    /// [`DatasetError::NoSamples`] for an empty training set, [`DataError::Setting`] for senseless transforms,
    /// [`DataError::Io`] if the system starts no thread.
    pub fn start(
        training_set: Arc<TrainingSet>,
        pipeline: TrainingPipeline,
        settings: &LoaderSettings,
    ) -> Result<Self, DatasetError> {
        pipeline.validate()?;
        if training_set.is_empty() {
            return Err(DatasetError::NoSamples {
                dataset: training_set.name().to_owned(),
                split: training_set.split().to_owned(),
                patterns: "the split".to_owned(),
            });
        }
        let batch_size = settings.batch_size.max(1);
        let iterations = settings.start_iteration..settings.end_iteration;
        let (per_batch, seed, size) = (batch_size as u64, settings.seed, pipeline.crop_size);
        let make = move |position: u64| {
            let count = training_set.len() as u64;
            let index = shuffled(seed, position / count, position % count, count) as usize;
            let (image, labels) = training_set.load(index)?;
            let sample = pipeline.sample(&image, &labels, seed, position / per_batch, position % per_batch);
            Ok((training_set.id(index).unwrap_or_default().to_owned(), sample))
        };
        let positions = iterations.start.saturating_mul(per_batch)..iterations.end.saturating_mul(per_batch);
        let ahead = settings.batches_ahead.max(1).saturating_mul(batch_size);
        let samples = Prefetch::start(settings.threads, ahead, positions, make)
            .map_err(DataError::io("start", "a thread that reads samples"))?;
        Ok(Self {
            samples,
            iterations,
            batch_size,
            size,
        })
    }
}

impl Iterator for Loader {
    type Item = Result<Batch, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        let iteration = self.iterations.next()?;
        let pixels = (self.size as usize).pow(2);
        let mut batch = Batch {
            iteration,
            images: Vec::with_capacity(3 * pixels * self.batch_size),
            labels: Vec::with_capacity(pixels * self.batch_size),
            ids: Vec::with_capacity(self.batch_size),
            size: self.size,
        };
        for _ in 0..self.batch_size {
            match self.samples.next()? {
                Ok((id, sample)) => {
                    batch.images.extend_from_slice(&sample.image);
                    batch.labels.extend_from_slice(&sample.labels);
                    batch.ids.push(id);
                }
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(batch))
    }
}
