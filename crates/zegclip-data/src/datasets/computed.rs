//! Data sets whose samples are computed when they are read, such as composed scenes.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use image::RgbImage;

use crate::{LabelMap, Vocabulary};

/// A data set without files: images and labels are computed when they are read.
///
/// [`DatasetSpec::computed`](super::DatasetSpec::computed) makes one usable wherever data sets of files are.
pub trait ComputedDataset: Debug + Send + Sync {
    /// The name of the data set.
    fn name(&self) -> &str;

    /// The folder that the samples are computed from; empty if there is none.
    fn path(&self) -> &Path {
        Path::new("")
    }

    /// The classes of the labels.
    fn vocabulary(&self) -> &Vocabulary;

    /// The names of all splits.
    fn splits(&self) -> Vec<&str>;

    /// The split to train on.
    fn training_split(&self) -> &str;

    /// The split to score.
    fn validation_split(&self) -> &str;

    /// Opens one of [`Self::splits`].
    ///
    /// # Errors
    /// Whatever prevents samples from being computed.
    fn open(&self, split: &str) -> Result<Arc<dyn ComputedSplit>, Box<dyn std::error::Error + Send + Sync>>;
}

/// The samples of one split of a [`ComputedDataset`]. They are pure functions of their index.
pub trait ComputedSplit: Debug + Send + Sync {
    /// The classes of the labels.
    fn vocabulary(&self) -> Arc<Vocabulary>;

    /// The number of samples.
    fn len(&self) -> usize;

    /// Whether there is no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of the sample `index`, unique within the split.
    fn id(&self, index: usize) -> String;

    /// Image `[height, width, 3]` and labels `[height, width]` of the sample `index` below [`Self::len`].
    fn compute(&self, index: usize) -> (RgbImage, LabelMap);
}

/// One sample of a split.
#[derive(Clone, Debug)]
pub(super) struct ComputedSample {
    pub(super) split: Arc<dyn ComputedSplit>,
    pub(super) index: usize,
}

impl ComputedSample {
    pub(super) fn load(&self) -> (RgbImage, LabelMap) {
        self.split.compute(self.index)
    }
}
