//! The confusion: how many pixels of each class were predicted as each class. Images add to it, machines' can be added.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::boundary::{self, BoundaryCounts};
use crate::{ClassIndex, DataError, LabelMap, Vocabulary, toml_table::read_text, write_atomically};

/// Counts of pixels by label and prediction, summed over images. Its size does not depend on how many images there are.
///
/// ```
/// use zegclip_data::{LabelMap, Vocabulary, metrics::{Confusion, Scores}};
///
/// let mut confusion = Confusion::new(&Vocabulary::from_names("cat, dog")?);
/// let labels = LabelMap::from_raw(4, 1, vec![0, 0, 1, LabelMap::IGNORE])?;
/// let prediction = LabelMap::from_raw(4, 1, vec![0, 1, 1, 0])?;
/// confusion.add(&labels, &prediction)?;
/// assert_eq!(Scores::of(&confusion).miou, Some(0.5));
/// # Ok::<(), zegclip_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "File", into = "File")]
pub struct Confusion {
    vocabulary: String,
    classes: Vec<ScoredClass>,
    images: u64,
    /// `[label][prediction]`; a row without pixels is empty, so that long lists of which few occur stay small. The
    /// last entry of a row is "no prediction".
    rows: Vec<Vec<u64>>,
    boundary: Option<Vec<BoundaryCounts>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ScoredClass {
    pub(super) name: String,
    pub(super) seen: bool,
}

/// A confusion as JSON: only counts that are not zero.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    vocabulary: String,
    images: u64,
    classes: Vec<ScoredClass>,
    /// `[label, prediction, pixels]`.
    pixels: Vec<(usize, usize, u64)>,
    /// `[label, pixels]` without prediction.
    unpredicted: Vec<(usize, u64)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boundary: Option<Vec<BoundaryCounts>>,
}

impl Confusion {
    /// Without pixels, for the classes of a vocabulary, of which it notes names and seen ones.
    pub fn new(vocabulary: &Vocabulary) -> Self {
        let classes = vocabulary.names().zip(vocabulary.seen().flags());
        let classes = classes.map(|(name, seen)| ScoredClass {
            name: name.to_owned(),
            seen,
        });
        Self {
            vocabulary: vocabulary.name().to_owned(),
            classes: classes.collect(),
            images: 0,
            rows: vec![Vec::new(); vocabulary.len()],
            boundary: None,
        }
    }

    /// Also counts what the boundary IoU needs (Cheng et al. 2021); about as much work again.
    #[must_use]
    pub fn with_boundary(mut self) -> Self {
        self.boundary = Some(vec![BoundaryCounts::default(); self.classes.len()]);
        self
    }

    /// Counts an image. Pixels whose label is ignored do not count; an ignored prediction is a wrong one.
    ///
    /// # Errors
    /// [`DataError::PredictionSize`] for maps of different size, [`DataError::ClassOutOfRange`] for a class that is not
    /// in the list; nothing is counted then.
    pub fn add(&mut self, labels: &LabelMap, prediction: &LabelMap) -> Result<(), DataError> {
        if labels.dimensions() != prediction.dimensions() {
            let (labels, prediction) = (labels.dimensions(), prediction.dimensions());
            return Err(DataError::PredictionSize { labels, prediction });
        }
        let classes = self.classes.len();
        let highest = labels.max_class().max(prediction.max_class()).map(ClassIndex::index);
        if let Some(index) = highest.filter(|&index| index >= classes) {
            return Err(DataError::ClassOutOfRange { index, classes });
        }
        self.images += 1;
        // Neighbors are alike: whole runs are counted at once.
        let mut run = (LabelMap::IGNORE, LabelMap::IGNORE);
        let mut length = 0;
        for pair in labels.as_raw().iter().copied().zip(prediction.as_raw().iter().copied()) {
            if pair != run {
                self.count(run, length);
                (run, length) = (pair, 0);
            }
            length += 1;
        }
        self.count(run, length);
        if let Some(counts) = &mut self.boundary {
            boundary::add(counts, labels, prediction);
        }
        Ok(())
    }

    fn count(&mut self, (label, prediction): (u16, u16), pixels: u64) {
        let classes = self.classes.len();
        let Some(row) = self.rows.get_mut(usize::from(label)) else {
            return;
        };
        if row.is_empty() {
            row.resize(classes + 1, 0);
        }
        let prediction = usize::from(prediction).min(classes);
        if let Some(count) = row.get_mut(prediction) {
            *count += pixels;
        }
    }

    /// Adds another confusion: of other images, counted elsewhere.
    ///
    /// # Errors
    /// [`DataError::Merge`] unless both have the same vocabulary, classes, seen classes and kinds of counts.
    pub fn merge(&mut self, other: &Self) -> Result<(), DataError> {
        let problem = |problem: String| Err(DataError::Merge { problem });
        if self.vocabulary != other.vocabulary {
            return problem(format!(
                "one is for vocabulary `{}`, one for `{}`",
                self.vocabulary, other.vocabulary
            ));
        }
        if self.classes.len() != other.classes.len() {
            return problem(format!(
                "one has {} classes, one {}",
                self.classes.len(),
                other.classes.len()
            ));
        }
        if let Some((class, _)) = self.classes.iter().zip(&other.classes).find(|(a, b)| a != b) {
            return problem(format!("they differ about the class `{}`", class.name));
        }
        match (&mut self.boundary, &other.boundary) {
            (Some(counts), Some(others)) => counts.iter_mut().zip(others).for_each(|(count, other)| {
                count.intersection += other.intersection;
                count.union += other.union;
            }),
            (None, None) => {}
            _ => return problem("only one of them has boundary counts".to_owned()),
        }
        self.images += other.images;
        for (row, other) in self.rows.iter_mut().zip(&other.rows) {
            if row.is_empty() {
                row.clone_from(other);
            } else {
                row.iter_mut().zip(other).for_each(|(count, other)| *count += other);
            }
        }
        Ok(())
    }

    /// Reads a file by [`Self::save`].
    ///
    /// # Errors
    /// [`DataError::Io`], [`DataError::ConfusionFile`].
    pub fn load(path: &Path) -> Result<Self, DataError> {
        serde_json::from_str(&read_text(path)?).map_err(|error| DataError::ConfusionFile {
            path: path.into(),
            problem: error.to_string(),
        })
    }

    /// Writes JSON, whole or not at all.
    ///
    /// # Errors
    /// [`DataError::Io`].
    pub fn save(&self, path: &Path) -> Result<(), DataError> {
        write_atomically(path, |file| Ok(serde_json::to_writer(file, self)?))
    }

    /// Name of the vocabulary.
    pub fn vocabulary(&self) -> &str {
        &self.vocabulary
    }

    /// Classes in the list.
    pub fn classes(&self) -> usize {
        self.classes.len()
    }

    /// Images counted.
    pub fn images(&self) -> u64 {
        self.images
    }

    /// Pixels of class `label` that were predicted as `prediction`, or as no class.
    pub fn pixels(&self, label: ClassIndex, prediction: Option<ClassIndex>) -> u64 {
        let column = prediction.map_or(self.classes.len(), ClassIndex::index);
        self.rows
            .get(label.index())
            .and_then(|row| row.get(column))
            .copied()
            .unwrap_or_default()
    }

    pub(super) fn scored_classes(&self) -> &[ScoredClass] {
        &self.classes
    }

    /// Of each class its labeled, predicted and rightly predicted pixels.
    pub(super) fn areas(&self) -> Vec<Areas> {
        let mut areas = vec![Areas::default(); self.classes.len()];
        for (label, row) in self.rows.iter().enumerate() {
            for (prediction, &pixels) in row.iter().enumerate() {
                if let Some(area) = areas.get_mut(prediction) {
                    area.predicted += pixels;
                    area.right += if label == prediction { pixels } else { 0 };
                }
            }
            if let Some(area) = areas.get_mut(label) {
                area.labeled = row.iter().sum();
            }
        }
        areas
    }

    pub(super) fn boundary(&self) -> Option<&[BoundaryCounts]> {
        self.boundary.as_deref()
    }
}

/// Pixels of a class, ignored labels aside.
#[derive(Clone, Copy, Default)]
pub(super) struct Areas {
    pub(super) labeled: u64,
    pub(super) predicted: u64,
    pub(super) right: u64,
}

impl From<Confusion> for File {
    fn from(confusion: Confusion) -> Self {
        let classes = confusion.classes.len();
        let counts = confusion.rows.iter().enumerate().flat_map(|(label, row)| {
            row.iter()
                .enumerate()
                .filter(|(_, pixels)| **pixels > 0)
                .map(move |(class, &pixels)| (label, class, pixels))
        });
        let (pixels, unpredicted) = counts.partition::<Vec<_>, _>(|&(_, prediction, _)| prediction < classes);
        Self {
            vocabulary: confusion.vocabulary,
            images: confusion.images,
            classes: confusion.classes,
            pixels,
            unpredicted: unpredicted
                .into_iter()
                .map(|(label, _, pixels)| (label, pixels))
                .collect(),
            boundary: confusion.boundary,
        }
    }
}

/// Limit of a count in a file, so that no sum of counts overflows: 2⁵³, up to which `f64` is exact.
const MAX_COUNT: u64 = 1 << 53;
/// Limit of the counts that a file makes the reader allocate, 512 MiB: 8,000 classes that all occur.
const MAX_CELLS: usize = 1 << 26;

impl TryFrom<File> for Confusion {
    type Error = String;

    fn try_from(file: File) -> Result<Self, String> {
        let classes = file.classes.len();
        if file.boundary.as_ref().is_some_and(|counts| counts.len() != classes) {
            return Err(format!("`boundary` has not {classes} entries, one a class"));
        }
        if file.images > MAX_COUNT {
            return Err(format!("it counts {} images, more than {MAX_COUNT}", file.images));
        }
        for counts in file.boundary.iter().flatten() {
            if counts.intersection > counts.union || counts.union > MAX_COUNT {
                return Err(format!(
                    "`boundary` has {} pixels in a union of {}",
                    counts.intersection, counts.union
                ));
            }
        }
        let mut rows = vec![Vec::new(); classes];
        let (mut total, mut cells) = (0, 0);
        let unpredicted = file
            .unpredicted
            .into_iter()
            .map(|(label, pixels)| (label, classes, pixels));
        for (label, prediction, pixels) in file.pixels.into_iter().chain(unpredicted) {
            let row = rows
                .get_mut(label)
                .ok_or_else(|| format!("it counts class {label} of {classes}"))?;
            if row.is_empty() {
                cells += classes + 1;
                if cells > MAX_CELLS {
                    return Err(format!(
                        "its counts of {classes} classes need more than {MAX_CELLS} cells"
                    ));
                }
            }
            row.resize(classes + 1, 0);
            let count: &mut u64 = row
                .get_mut(prediction)
                .ok_or_else(|| format!("it counts class {prediction} of {classes}"))?;
            total = pixels.saturating_add(total);
            if total > MAX_COUNT {
                return Err(format!("it counts more than {MAX_COUNT} pixels"));
            }
            *count += pixels;
        }
        Ok(Self {
            vocabulary: file.vocabulary,
            classes: file.classes,
            images: file.images,
            rows,
            boundary: file.boundary,
        })
    }
}
