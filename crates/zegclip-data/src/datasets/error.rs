//! What can be wrong with a data set.

use std::path::PathBuf;

use super::detail::DetailError;
use zegclip_codecs::Mat5Error;

use crate::{DataError, DecodedLabels, ThreadFailed};

/// Why a data set or one of its samples cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// An image, label file, class list or TOML is wrong.
    #[error(transparent)]
    Data(#[from] DataError),

    /// The samples of a [`ComputedDataset`](super::ComputedDataset) cannot be computed.
    #[error(transparent)]
    Computed(Box<dyn std::error::Error + Send + Sync>),

    /// A specification that is neither `NAME=DIR` nor the path of a TOML.
    #[error("`{text}` is neither NAME=DIR with a NAME of {known} nor the path of a TOML")]
    Spec {
        /// What was given.
        text: String,
        /// All names.
        known: String,
    },

    /// A name that is not a data set's.
    #[error("there is no data set `{name}`{hint}; known are {known}")]
    UnknownDataset {
        /// The name.
        name: String,
        /// The nearest name.
        hint: String,
        /// All names.
        known: String,
    },

    /// A folder or file that is at none of its possible places.
    #[error("{dataset} has no {what} under `{}`: expected {}; found {found}", root.display(), expected.join(" or "))]
    Layout {
        /// The data set's name.
        dataset: String,
        /// What is missing.
        what: String,
        /// The folder given.
        root: PathBuf,
        /// Where it could have been, relative to the root.
        expected: Vec<String>,
        /// What the folder contains.
        found: String,
    },

    /// A split that the data set does not have.
    #[error("{dataset} has no split `{split}`{hint}; it has {known}")]
    UnknownSplit {
        /// The data set's name.
        dataset: String,
        /// The split.
        split: String,
        /// The nearest split.
        hint: String,
        /// All splits.
        known: String,
    },

    /// A list of images without any.
    #[error("the list `{}` names no image", path.display())]
    EmptyList {
        /// The list file.
        path: PathBuf,
    },

    /// Globs or folders in which no image and no label file is.
    #[error("{dataset} has no sample in split `{split}`: nothing matches {patterns}")]
    NoSamples {
        /// The data set's name.
        dataset: String,
        /// The split.
        split: String,
        /// What was looked for.
        patterns: String,
    },

    /// Patterns of a data set's TOML that no file matches.
    #[error("{origin}: nothing matches {patterns}{}", no_match(missing_folder.as_deref(), *has_braces))]
    NoMatch {
        /// The TOML and its split.
        origin: String,
        /// Keys and patterns.
        patterns: String,
        /// The folder in which the first pattern begins, where there is none.
        missing_folder: Option<PathBuf>,
        /// Whether a pattern has braces, which patterns do not know.
        has_braces: bool,
    },

    /// Images without labels, labels without images, or names in a list without either.
    #[error("{dataset}, split `{split}`: {first}{}", and_others(*others))]
    Incomplete {
        /// The data set's name.
        dataset: String,
        /// The split.
        split: String,
        /// The first thing that is missing.
        first: String,
        /// How many more.
        others: usize,
    },

    /// An image is needed and the data set has label files only.
    #[error("`{id}` has no image: {dataset} contains label files only, expected its images in {expected}")]
    NoImage {
        /// The data set's name.
        dataset: String,
        /// The sample.
        id: String,
        /// Where images would be.
        expected: String,
    },

    /// A sample without a label file.
    #[error("`{id}` of {dataset} has no label file")]
    NoLabels {
        /// The data set's name.
        dataset: String,
        /// The sample.
        id: String,
    },

    /// A position beyond the end of the data set.
    #[error("there is no sample {index} in {dataset}, which has {samples}")]
    OutOfRange {
        /// The data set's name.
        dataset: String,
        /// The position asked for.
        index: usize,
        /// How many samples there are.
        samples: usize,
    },

    /// Image and labels of different sizes.
    #[error(
        "`{}` is {}×{}, but its image `{}` is {}×{}",
        labels.display(), label_size.0, label_size.1, image.display(), image_size.0, image_size.1
    )]
    SizeMismatch {
        /// The image.
        image: PathBuf,
        /// Its width and height.
        image_size: (u32, u32),
        /// The label file.
        labels: PathBuf,
        /// Its width and height.
        label_size: (u32, u32),
    },

    /// A label value that is neither a class nor to be ignored.
    #[error("`{}` has the label value {value} ({pixels} pixels), which is neither a class nor ignored in {dataset}", path.display())]
    UnknownValue {
        /// The data set's name.
        dataset: String,
        /// The label file.
        path: PathBuf,
        /// The first such value.
        value: u16,
        /// How many pixels have it.
        pixels: u64,
    },

    /// An image that nothing was predicted for.
    #[error("`{id}` has no prediction: expected {expected}")]
    NoPrediction {
        /// The image.
        id: String,
        /// The files that could hold it.
        expected: String,
    },

    /// A prediction of another size than its labels.
    #[error(
        "the prediction `{}` is {}×{}, but the labels `{}` are {}×{}",
        prediction.display(), prediction_size.0, prediction_size.1, labels.display(), label_size.0, label_size.1
    )]
    PredictionSize {
        /// The prediction.
        prediction: PathBuf,
        /// Its width and height.
        prediction_size: (u32, u32),
        /// The label file.
        labels: PathBuf,
        /// Its width and height.
        label_size: (u32, u32),
    },

    /// Several label values that are neither a class nor to be ignored.
    #[error(
        "`{}` has {values} label values from {lowest} to {highest} that are neither a class nor ignored in {dataset}, in {:.1} % \
         of the pixels{}",
        path.display(), 100.0 * *pixels as f64 / (*all_pixels).max(1) as f64,
        if *interpolated { "; this looks like interpolation" } else { "" }
    )]
    UnknownValues {
        /// The data set's name.
        dataset: String,
        /// The label file.
        path: PathBuf,
        /// How many values.
        values: usize,
        /// The lowest of them.
        lowest: u16,
        /// The highest of them.
        highest: u16,
        /// How many pixels have one.
        pixels: u64,
        /// All pixels of the file.
        all_pixels: u64,
        /// Whether they lie at edges, as in masks that were scaled with interpolation or compressed as JPEG.
        interpolated: bool,
    },

    /// A MATLAB label file that cannot be read.
    #[error("cannot read the labels in `{}`: {source}", path.display())]
    Mat5 {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Mat5Error,
    },

    /// An annotation file of PASCAL in Detail that cannot be read.
    #[error("cannot read the labels in `{}`: {source}", path.display())]
    Detail {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: DetailError,
    },

    /// A pattern of file names that cannot be understood.
    #[error("{origin}: `{pattern}` is not a pattern of file names: {reason}")]
    Glob {
        /// Where the pattern stands.
        origin: String,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },

    /// Two files of a data set that would have the same name in it.
    #[error("{origin}: `{}` and `{}` are both the {what} of `{id}`", first.display(), second.display())]
    SameName {
        /// Where the pattern stands.
        origin: String,
        /// `image` or `label file`.
        what: &'static str,
        /// The name.
        id: String,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },

    /// A data set scored under another vocabulary, in which one of its classes has no counterpart.
    #[error("the class `{class}` of {dataset} has no counterpart in the vocabulary {vocabulary}")]
    Unmatched {
        /// The data set's name.
        dataset: String,
        /// The class.
        class: String,
        /// The other vocabulary.
        vocabulary: String,
    },

    /// A thread that reads samples ended without a result.
    #[error(transparent)]
    Thread(#[from] ThreadFailed),
}

impl DatasetError {
    /// What is wrong with the values of a label file.
    pub(super) fn unknown_values(dataset: &str, path: &std::path::Path, decoded: &DecodedLabels) -> Option<Self> {
        let (first, last) = (decoded.unknown.first()?, decoded.unknown.last()?);
        let (dataset, path) = (dataset.to_owned(), path.to_owned());
        Some(match decoded.unknown.len() {
            1 | 2 => Self::UnknownValue {
                dataset,
                path,
                value: first.value,
                pixels: first.pixels,
            },
            values => Self::UnknownValues {
                dataset,
                path,
                values,
                lowest: first.value,
                highest: last.value,
                pixels: decoded.unknown_pixels(),
                all_pixels: decoded.labels.as_raw().len() as u64,
                interpolated: decoded.interpolated,
            },
        })
    }
}

fn no_match(missing_folder: Option<&std::path::Path>, has_braces: bool) -> String {
    match missing_folder {
        Some(folder) => format!("; there is no folder `{}`", folder.display()),
        None if has_braces => "; patterns have no braces".to_owned(),
        None => String::new(),
    }
}

fn and_others(others: usize) -> String {
    if others == 0 {
        String::new()
    } else {
        format!(" (and {others} more)")
    }
}
