//! A data set as training may see it.

use image::RgbImage;

use super::dataset::Dataset;
use super::error::DatasetError;
use super::sample::Sample;
use crate::{TrainingLabels, TrainingSetting, Vocabulary};

/// The samples of a split with the labels that a [`TrainingSetting`] allows.
///
/// It owns the data set without giving access to it: an inductive training set has no way to yield an unseen label, and a
/// transductive one none to tell unseen classes apart.
#[derive(Clone, Debug)]
pub struct TrainingSet {
    dataset: Dataset,
    setting: TrainingSetting,
    vocabulary: Vocabulary,
}

impl Dataset {
    /// The training set of a setting. It consumes the data set, whose labels are not accessible from it.
    ///
    /// # Errors
    /// [`DatasetError::Incomplete`], and [`DatasetError::NoImage`] for a data set without images.
    pub fn into_training(self, setting: TrainingSetting) -> Result<TrainingSet, DatasetError> {
        TrainingSet::new(self, setting)
    }
}

impl TrainingSet {
    fn new(dataset: Dataset, setting: TrainingSetting) -> Result<Self, DatasetError> {
        let dataset = dataset.complete()?;
        if !dataset.has_images() {
            // Its first image is as absent as all others, and says where images would be.
            dataset.image(0)?;
        }
        let vocabulary = match setting {
            TrainingSetting::Inductive => dataset.vocabulary().seen_only(),
            TrainingSetting::Transductive | TrainingSetting::Full => dataset.vocabulary().clone(),
        };
        Ok(Self {
            dataset,
            setting,
            vocabulary,
        })
    }

    /// What the data set is called.
    pub fn name(&self) -> &str {
        self.dataset.name()
    }

    /// Which split it is.
    pub fn split(&self) -> &str {
        self.dataset.split()
    }

    /// What training knows of the unseen classes.
    pub const fn setting(&self) -> TrainingSetting {
        self.setting
    }

    /// The classes that labels are positions in: in inductive training those seen, without a trace of the others.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.dataset.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.dataset.is_empty()
    }

    /// The name of a sample.
    pub fn id(&self, index: usize) -> Option<&str> {
        self.dataset.samples().get(index).map(Sample::id)
    }

    /// The samples.
    pub fn samples(&self) -> &[Sample] {
        self.dataset.samples()
    }

    /// Reads an image `[height, width, 3]` and its labels of the same size.
    ///
    /// # Errors
    /// Those of [`Dataset::load`].
    pub fn load(&self, index: usize) -> Result<(RgbImage, TrainingLabels), DatasetError> {
        let (image, labels) = self.dataset.load(index)?;
        let labels = TrainingLabels::new(self.setting, self.dataset.vocabulary().seen(), labels)?;
        Ok((image, labels))
    }
}
