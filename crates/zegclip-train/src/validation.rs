//! Evaluation of a run on all classes, unseen ones included. Training uses nothing of it.

use std::sync::Arc;

use burn::data::dataloader::DataLoader;
use zegclip::{SegmentOptions, Segmenter};
use zegclip_data::datasets::{Dataset, DatasetError, DatasetSpec};
use zegclip_data::metrics::{Confusion, Scores};
use zegclip_data::{LabelMap, Prefetch, RgbImage, ThreadFailed, Vocabulary};
use zegclip_report::{Example, ExampleFigure, ExampleGroup};

use crate::training::{Evaluated, FailureSlot, ScoreColumn, ScoreMetric, ordered_loader};
use crate::{TrainConfig, TrainError};

/// Images of a split in the report.
const EXAMPLES: usize = 3;
/// Images that are read in advance, and threads that read them.
const AHEAD: usize = 4;
const THREADS: usize = 2;

/// An image with its ground truth.
#[derive(Debug, Clone)]
pub struct LabeledImage {
    /// The image.
    pub image: RgbImage,
    /// A class index or none for each pixel.
    pub labels: LabelMap,
}

/// A confusion matrix of images.
#[derive(Debug, Clone)]
pub struct ImageScores(pub Arc<Confusion>);

impl Evaluated for ImageScores {
    fn merge(&mut self, other: &Self) {
        // Both are counts of one class list.
        let _ = Arc::make_mut(&mut self.0).merge(&other.0);
    }
}

/// The evaluation data of a run.
#[derive(Debug, Clone)]
pub(crate) struct ValidationData {
    scored: Option<Arc<Dataset>>,
    /// Titles and example images of the report.
    shown: Vec<(String, Dataset)>,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) decoding: SegmentOptions,
}

impl ValidationData {
    /// Opens the splits that a configuration names.
    pub(crate) fn open(config: &TrainConfig, spec: &DatasetSpec) -> Result<Self, TrainError> {
        let training = config.data.split.as_deref().unwrap_or_else(|| spec.training_split());
        let wanted = config.run.evaluation_split.as_deref();
        let split = wanted.unwrap_or_else(|| spec.validation_split());
        let opened = spec.open(split).and_then(|dataset| {
            if dataset.has_images() {
                return Ok(dataset);
            }
            dataset.image(0).map(|_| dataset)
        });
        let evaluated = match opened {
            Ok(dataset) => Some(dataset),
            // Only a run with evaluations needs the split.
            Err(_) if config.run.evaluation_interval == 0 && wanted.is_none() => None,
            Err(error) => return Err(error.into()),
        };
        let mut shown = vec![(
            format!("Training images ({training})"),
            sample_evenly(&spec.open(training)?),
        )];
        if let Some(dataset) = evaluated.as_ref().filter(|_| split != training) {
            shown.push((format!("Other images ({split})"), sample_evenly(dataset)));
        }
        Ok(Self {
            scored: evaluated.filter(|_| config.run.evaluation_interval > 0).map(Arc::new),
            shown,
            vocabulary: spec.vocabulary().clone(),
            decoding: SegmentOptions::for_setting(config.setting),
        })
    }

    /// No images, for a run that is not trained further.
    pub(crate) fn none(config: &TrainConfig, vocabulary: Vocabulary) -> Self {
        Self {
            scored: None,
            shown: Vec::new(),
            vocabulary,
            decoding: SegmentOptions::for_setting(config.setting),
        }
    }

    /// The images to score in order, read in advance. An item is an image.
    pub(crate) fn loader(&self, failures: Arc<FailureSlot>) -> Arc<dyn DataLoader<LabeledImage>> {
        let Some(dataset) = self.scored.clone() else {
            return ordered_loader(0..0, failures, |_| Ok(Box::new(std::iter::empty())));
        };
        ordered_loader(0..dataset.len(), failures, move |range| {
            let dataset = dataset.clone();
            let load = move |index: u64| {
                let (image, labels) = dataset.load(index as usize)?;
                Ok(LabeledImage { image, labels })
            };
            let images = Prefetch::<_, ReadError>::start(THREADS, AHEAD, range.start as u64..range.end as u64, load)
                .map_err(TrainError::thread)?;
            Ok(Box::new(images.map(|image| image.map_err(|error| *error.0))))
        })
    }

    /// The example images of each split with their masks.
    pub(crate) fn examples(&self, segmenter: &Segmenter) -> Result<Vec<ExampleGroup>, TrainError> {
        let masks = |(title, dataset): &(String, Dataset)| {
            let images = dataset.samples().iter().enumerate().map(|(index, sample)| {
                let (image, labels) = dataset.load(index)?;
                let prediction = segmenter.segment_with(&image, &self.vocabulary, &self.decoding)?;
                let figure = ExampleFigure::new(&Example {
                    name: sample.id(),
                    image: Some(&image),
                    labels: &labels,
                    prediction: prediction.labels(),
                    vocabulary: &self.vocabulary,
                });
                Ok(figure?)
            });
            Ok(ExampleGroup {
                title: title.clone(),
                examples: images.collect::<Result<_, TrainError>>()?,
            })
        };
        self.shown.iter().map(masks).collect()
    }
}

/// The published scores with their keys in `metrics.jsonl`.
pub(crate) fn score_columns() -> Vec<ScoreColumn<ImageScores>> {
    type Column = (&'static str, &'static str, fn(&Scores) -> Option<f64>);
    let columns: [Column; 5] = [
        ("hIoU", "hiou", |scores| scores.hiou),
        ("mIoU(S)", "miou_seen", |scores| scores.miou_seen),
        ("mIoU(U)", "miou_unseen", |scores| scores.miou_unseen),
        ("mIoU", "miou", |scores| scores.miou),
        ("pAcc", "pixel_accuracy", |scores| scores.pixel_accuracy),
    ];
    let columns = columns.into_iter().map(|(name, key, score)| {
        let percent = move |counts: &ImageScores| score(&Scores::of(&counts.0)).map(|score| 100.0 * score);
        (ScoreMetric::new(name, percent), format!("scores/{key}"))
    });
    columns.collect()
}

/// A few samples at equal distances, the same ones each time.
fn sample_evenly(dataset: &Dataset) -> Dataset {
    let every = dataset.len().div_ceil(EXAMPLES).max(1);
    dataset.shard(0, every).take(EXAMPLES)
}

/// Why an image cannot be read.
struct ReadError(Box<TrainError>);

impl From<DatasetError> for ReadError {
    fn from(error: DatasetError) -> Self {
        Self(Box::new(error.into()))
    }
}

impl From<ThreadFailed> for ReadError {
    fn from(failed: ThreadFailed) -> Self {
        Self(Box::new(failed.into()))
    }
}

/// hIoU, the harmonic mean of the mean IoUs of seen and unseen classes in percent (paper, section 4.2), as a metric of
/// burn-train.
pub fn hiou() -> ScoreMetric<ImageScores> {
    ScoreMetric::new("hIoU", |counts: &ImageScores| {
        Scores::of(&counts.0).hiou.map(|score| 100.0 * score)
    })
}
