//! The files of a data set: its samples, and what is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::DatasetError;
use super::layout::files_by_id;
use super::sample::{LabelFile, LabelSource, Sample};
use super::split_list::Listed;
use crate::{LabelDepth, LabelEncoding, Vocabulary};

/// An inconsistency between the files of a data set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum PairProblem {
    /// A listed name, or a label file, without an image.
    MissingImage {
        /// The sample.
        id: String,
        /// Where the image would be.
        expected: String,
    },
    /// A listed name, or an image, without a label file.
    MissingLabels {
        /// The sample.
        id: String,
        /// Where the label file would be.
        expected: String,
    },
    /// A name that occurs more than once in a list.
    ListedTwice {
        /// The sample.
        id: String,
        /// The list file.
        list: PathBuf,
    },
    /// A line of a list whose files do not belong together.
    ListLine {
        /// The line.
        id: String,
        /// The list file.
        list: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
}

impl PairProblem {
    /// The sample.
    pub fn id(&self) -> &str {
        match self {
            Self::MissingImage { id, .. }
            | Self::MissingLabels { id, .. }
            | Self::ListedTwice { id, .. }
            | Self::ListLine { id, .. } => id,
        }
    }
}

impl std::fmt::Display for PairProblem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MissingImage { id, expected } => write!(formatter, "`{id}` has no image, expected {expected}"),
            Self::MissingLabels { id, expected } => write!(formatter, "`{id}` has no label file, expected {expected}"),
            Self::ListedTwice { id, list } => write!(formatter, "`{id}` occurs twice in `{}`", list.display()),
            Self::ListLine {
                list, line, problem, ..
            } => {
                write!(formatter, "line {line} of `{}`: {problem}", list.display())
            }
        }
    }
}

/// The samples of a split in order, and what is missing.
#[derive(Debug)]
pub(super) struct FileIndex {
    pub(super) vocabulary: Arc<Vocabulary>,
    pub(super) samples: Vec<Sample>,
    pub(super) problems: Vec<PairProblem>,
    /// Where images are or would be.
    pub(super) images: String,
}

/// Files by sample, and the name of a missing one.
pub(super) struct Files<T> {
    pub(super) by_id: BTreeMap<String, T>,
    /// The files that names of links lead to.
    pub(super) links: BTreeMap<String, PathBuf>,
    /// With `{}` for the sample.
    pub(super) expected: String,
}

impl Files<PathBuf> {
    /// The files of a folder whose name ends in `suffix`; none if there is no such folder.
    pub(super) fn in_folder(folder: &Path, suffix: &str) -> Result<Self, DatasetError> {
        let by_id = if folder.is_dir() {
            files_by_id(folder, suffix)?
        } else {
            BTreeMap::new()
        };
        let expected = folder.join(format!("{{}}{suffix}"));
        Ok(Self::new(by_id, format!("`{}`", expected.display())))
    }

    /// The same files as label PNGs of one encoding; of 16 bits only where its classes need them.
    pub(super) fn into_label_pngs(self, encoding: LabelEncoding) -> Files<LabelSource> {
        let deep = (256..=u16::MAX).any(|value| encoding.class_of(value).is_some());
        let depth = if deep { LabelDepth::Sixteen } else { LabelDepth::Eight };
        let encoding = Arc::new(encoding);
        let source = |path| LabelSource {
            file: LabelFile::Png { path, depth },
            encoding: encoding.clone(),
        };
        let by_id = self.by_id.into_iter().map(|(id, path)| (id, source(path))).collect();
        Files {
            by_id,
            links: self.links,
            expected: self.expected,
        }
    }
}

impl<T> Files<T> {
    pub(super) fn new(by_id: BTreeMap<String, T>, expected: String) -> Self {
        Self {
            by_id,
            links: BTreeMap::new(),
            expected,
        }
    }

    fn expected(&self, id: &str) -> String {
        self.expected.replace("{}", id)
    }
}

impl FileIndex {
    /// Pairs the names in a list with images (if the data set has any) and label files.
    pub(super) fn of_list(
        vocabulary: Arc<Vocabulary>,
        names: Vec<Listed>,
        list: &Path,
        images: &Files<PathBuf>,
        labels: &Files<LabelSource>,
    ) -> Self {
        let mut problems = Vec::new();
        let mut met = BTreeSet::new();
        let mut unique = Vec::with_capacity(names.len());
        for listed in names {
            if met.insert(listed.id.clone()) {
                unique.push(listed);
            } else {
                let id = listed.id;
                problems.push(PairProblem::ListedTwice { id, list: list.into() });
            }
        }
        Self::pair(vocabulary, unique, images, labels, problems)
    }

    /// Pairs all images and label files with one another.
    pub(super) fn of_files(vocabulary: Arc<Vocabulary>, images: &Files<PathBuf>, labels: &Files<LabelSource>) -> Self {
        let mut ids: BTreeSet<_> = images.by_id.keys().chain(labels.by_id.keys()).cloned().collect();
        for id in repetitions(&ids, images, labels) {
            ids.remove(&id);
        }
        let ids = ids.into_iter().map(Listed::from).collect();
        Self::pair(vocabulary, ids, images, labels, Vec::new())
    }

    fn pair(
        vocabulary: Arc<Vocabulary>,
        names: Vec<Listed>,
        images: &Files<PathBuf>,
        labels: &Files<LabelSource>,
        mut problems: Vec<PairProblem>,
    ) -> Self {
        // A data set without any image is one of label files, which can be scored; one that lacks some is incomplete.
        let has_images = !images.by_id.is_empty();
        let mut samples = Vec::with_capacity(names.len());
        for listed in names {
            let place = listed.place();
            let Listed { id, label, .. } = listed;
            let image = images.by_id.get(&id).cloned();
            let label = labels.by_id.get(label.as_ref().unwrap_or(&id)).cloned();
            if image.is_none() && has_images {
                problems.push(PairProblem::MissingImage {
                    id: id.clone(),
                    expected: images.expected(&id) + &place,
                });
            }
            if label.is_none() {
                problems.push(PairProblem::MissingLabels {
                    id: id.clone(),
                    expected: labels.expected(&id) + &place,
                });
            }
            samples.push(Sample {
                id,
                image,
                labels: label,
                computed: None,
            });
        }
        Self {
            vocabulary,
            samples,
            problems,
            images: images.expected("*"),
        }
    }
}

/// The samples that are only links to the files of another one.
fn repetitions(ids: &BTreeSet<String>, images: &Files<PathBuf>, labels: &Files<LabelSource>) -> Vec<String> {
    if images.links.is_empty() && labels.links.is_empty() {
        return Vec::new();
    }
    let real = |links: &BTreeMap<String, PathBuf>, id: &str, path: Option<&Path>| {
        let path = path?;
        let linked = links.get(id).cloned();
        Some(linked.unwrap_or_else(|| path.canonicalize().unwrap_or_else(|_| path.to_owned())))
    };
    let files = |id: &str| {
        (
            real(&images.links, id, images.by_id.get(id).map(PathBuf::as_path)),
            real(&labels.links, id, labels.by_id.get(id).map(LabelSource::path)),
        )
    };
    let is_link = |id: &&String| images.links.contains_key(*id) || labels.links.contains_key(*id);
    let (links, own): (Vec<&String>, Vec<&String>) = ids.iter().partition(is_link);
    let (mut pairs, mut of_images, mut of_labels) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut repeated = Vec::new();
    for id in own.into_iter().chain(links) {
        let (image, label) = files(id);
        // A link without a partner of its own repeats a sample whatever the partner of that is.
        let known = match (&image, &label) {
            (Some(image), None) => of_images.contains(image),
            (None, Some(label)) => of_labels.contains(label),
            _ => false,
        };
        of_images.extend(image.clone());
        of_labels.extend(label.clone());
        let is_new = pairs.insert((image, label));
        if is_link(&id) && (known || !is_new) {
            repeated.push(id.clone());
        }
    }
    repeated
}
