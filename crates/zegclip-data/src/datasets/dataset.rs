//! A split of a data set: samples in order, and how to read them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use image::RgbImage;

use super::cross_vocabulary::{ClassMatching, Unmatched};
use super::error::DatasetError;
use super::file_index::{FileIndex, PairProblem};
use super::sample::Sample;
use crate::{DecodedLabels, ImageLimits, LabelMap, Vocabulary, read_image};

/// A split of a data set. Sharing and cloning it is cheap.
///
/// ```no_run
/// use zegclip_data::datasets::DatasetSpec;
///
/// let validation = DatasetSpec::parse("voc2012=data/VOCdevkit")?.open("val")?;
/// let (image, labels) = validation.load(0)?;
/// assert_eq!(image.dimensions(), labels.dimensions());
/// # Ok::<(), zegclip_data::datasets::DatasetError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Dataset {
    name: String,
    split: String,
    vocabulary: Arc<Vocabulary>,
    /// The classes of the label files, from which [`ClassMatching`] maps.
    source_vocabulary: Arc<Vocabulary>,
    samples: Arc<[Sample]>,
    problems: Arc<[PairProblem]>,
    images: String,
    limits: ImageLimits,
    matching: Option<Arc<ClassMatching>>,
}

impl Dataset {
    pub(super) fn new(name: &str, split: &str, index: FileIndex) -> Self {
        Self {
            name: name.to_owned(),
            split: split.to_owned(),
            source_vocabulary: index.vocabulary.clone(),
            vocabulary: index.vocabulary,
            samples: index.samples.into(),
            problems: index.problems.into(),
            images: index.images,
            limits: ImageLimits::default(),
            matching: None,
        }
    }

    /// What the data set is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which split it is.
    pub fn split(&self) -> &str {
        &self.split
    }

    /// The classes of the labels.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The samples in order.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// What was missing when the folders were looked at.
    pub fn problems(&self) -> &[PairProblem] {
        &self.problems
    }

    /// Whether there are images; without, label maps can still be scored.
    pub fn has_images(&self) -> bool {
        self.samples
            .iter()
            .any(|sample| sample.image.is_some() || sample.is_computed())
    }

    /// Where images are or would be.
    pub(crate) fn images_expected(&self) -> &str {
        &self.images
    }

    /// The same data set, if nothing is missing from it.
    ///
    /// # Errors
    /// [`DatasetError::Incomplete`], which names the first thing that is.
    pub fn complete(self) -> Result<Self, DatasetError> {
        match self.problems.first() {
            None => Ok(self),
            Some(first) => Err(DatasetError::Incomplete {
                first: first.to_string(),
                others: self.problems.len() - 1,
                dataset: self.name,
                split: self.split,
            }),
        }
    }

    /// The same data set with images of other sizes allowed.
    #[must_use]
    pub fn with_limits(self, limits: ImageLimits) -> Self {
        Self { limits, ..self }
    }

    /// The first `samples` samples.
    #[must_use]
    pub fn take(&self, samples: usize) -> Self {
        Self {
            samples: self.samples.iter().take(samples).cloned().collect(),
            ..self.clone()
        }
    }

    /// A part of the samples: those at `shard`, `shard + shards`, `shard + 2 · shards` … from 0, for evaluation on many
    /// machines. More shards than samples leave some empty.
    #[must_use]
    pub fn shard(&self, shard: usize, shards: usize) -> Self {
        let samples = self
            .samples
            .iter()
            .skip(shard)
            .step_by(shards.max(1))
            .cloned()
            .collect();
        Self {
            samples,
            ..self.clone()
        }
    }

    /// The same samples with labels mapped to the classes of `vocabulary`, which also decides which classes are seen; see
    /// [`ClassMatching::new`].
    ///
    /// # Errors
    /// Those of [`ClassMatching::new`].
    pub fn remap_to(
        &self,
        vocabulary: Vocabulary,
        table: &BTreeMap<String, String>,
        unmatched: &Unmatched,
    ) -> Result<(Self, Arc<ClassMatching>), DatasetError> {
        let matching = Arc::new(ClassMatching::new(
            &self.source_vocabulary,
            &vocabulary,
            table,
            unmatched,
        )?);
        let dataset = Self {
            vocabulary: Arc::new(vocabulary),
            matching: Some(matching.clone()),
            ..self.clone()
        };
        Ok((dataset, matching))
    }

    /// The name of a sample; empty outside the list.
    pub fn id(&self, index: usize) -> &str {
        self.samples.get(index).map_or("", |sample| sample.id())
    }

    /// Reads an image, `[height, width, 3]`.
    ///
    /// # Errors
    /// [`DatasetError::OutOfRange`], [`DatasetError::NoImage`], and [`DatasetError::Data`] for a file that cannot be read.
    pub fn image(&self, index: usize) -> Result<RgbImage, DatasetError> {
        let sample = self.sample(index)?;
        if let Some(computed) = &sample.computed {
            return Ok(computed.load().0);
        }
        let path = sample.image.as_ref().ok_or_else(|| DatasetError::NoImage {
            dataset: self.name.clone(),
            id: sample.id.clone(),
            expected: self.images.clone(),
        })?;
        Ok(read_image(path, &self.limits)?)
    }

    /// Reads labels, `[height, width]`.
    ///
    /// # Errors
    /// [`DatasetError::OutOfRange`], [`DatasetError::NoLabels`], [`DatasetError::UnknownValue`], and those of a file
    /// that cannot be read.
    pub fn labels(&self, index: usize) -> Result<LabelMap, DatasetError> {
        let decoded = self.decode(index)?;
        let sample = self.sample(index)?;
        let path = sample.label_path().unwrap_or(Path::new(""));
        DatasetError::unknown_values(&self.name, path, &decoded).map_or(Ok(decoded.labels), Err)
    }

    /// Reads an image and its labels, which have the same size.
    ///
    /// # Errors
    /// Those of [`Self::image`] and [`Self::labels`], and [`DatasetError::SizeMismatch`].
    pub fn load(&self, index: usize) -> Result<(RgbImage, LabelMap), DatasetError> {
        let sample = self.sample(index)?;
        if let Some(computed) = &sample.computed {
            let (image, labels) = computed.load();
            return Ok((image, self.matched(labels)));
        }
        let (image, labels) = (self.image(index)?, self.labels(index)?);
        if image.dimensions() == labels.dimensions() {
            return Ok((image, labels));
        }
        let path = |path: Option<&Path>| path.unwrap_or(Path::new("")).to_owned();
        Err(DatasetError::SizeMismatch {
            image: path(sample.image_path()),
            image_size: image.dimensions(),
            labels: path(sample.label_path()),
            label_size: labels.dimensions(),
        })
    }

    /// Reads labels, and values that mean nothing besides.
    pub(crate) fn decode(&self, index: usize) -> Result<DecodedLabels, DatasetError> {
        let sample = self.sample(index)?;
        if let Some(computed) = &sample.computed {
            return Ok(DecodedLabels {
                labels: self.matched(computed.load().1),
                ..DecodedLabels::default()
            });
        }
        let source = sample.labels.as_ref().ok_or_else(|| DatasetError::NoLabels {
            dataset: self.name.clone(),
            id: sample.id.clone(),
        })?;
        let decoded = source.decode(&self.limits)?;
        Ok(DecodedLabels {
            labels: self.matched(decoded.labels),
            ..decoded
        })
    }

    /// Labels under the vocabulary that samples are scored under.
    fn matched(&self, labels: LabelMap) -> LabelMap {
        match &self.matching {
            Some(matching) => matching.apply(&labels),
            None => labels,
        }
    }

    fn sample(&self, index: usize) -> Result<&Sample, DatasetError> {
        let out_of_range = || DatasetError::OutOfRange {
            dataset: self.name.clone(),
            index,
            samples: self.len(),
        };
        self.samples.get(index).ok_or_else(out_of_range)
    }
}
