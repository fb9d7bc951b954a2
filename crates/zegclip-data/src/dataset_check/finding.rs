//! What can be wrong with a sample.

use std::path::PathBuf;

use crate::datasets::PairProblem;

/// Something that is wrong with a file or pair of files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// A label file or listed name without an image.
    MissingImage {
        /// Where it would be.
        expected: String,
    },
    /// An image or listed name without a label file.
    MissingLabels {
        /// Where it would be.
        expected: String,
    },
    /// A name that stands in its list more than once.
    ListedTwice {
        /// The list.
        list: PathBuf,
    },
    /// An image that cannot be read.
    UnreadableImage {
        /// The file and why.
        problem: String,
    },
    /// A label file that cannot be read, or is of a kind without usable labels.
    UnreadableLabels {
        /// The file and why.
        problem: String,
    },
    /// Image and labels differ in size.
    SizeMismatch {
        /// Width and height of the image.
        image: (u32, u32),
        /// Width and height of the labels.
        labels: (u32, u32),
    },
    /// Label values that are neither a class nor to be ignored.
    UnknownValue {
        /// The label file.
        path: PathBuf,
        /// The value.
        value: u16,
        /// How many pixels have it.
        pixels: u64,
    },
    /// A class that was to be removed from the labels.
    UnseenClass {
        /// The class's name.
        class: String,
        /// How many pixels have it.
        pixels: u64,
    },
    /// Labels without any class: every pixel is ignored. Not wrong, but nothing is learned from such a sample.
    #[serde(alias = "nothing_labeled")]
    NothingLabeled,
}

impl Finding {
    /// Whether the data set should not be used before this is mended.
    pub const fn is_error(&self) -> bool {
        !matches!(self, Self::NothingLabeled)
    }

    pub(super) fn of_pair(problem: &PairProblem) -> Self {
        match problem {
            PairProblem::MissingImage { expected, .. } => Self::MissingImage {
                expected: expected.clone(),
            },
            PairProblem::MissingLabels { expected, .. } => Self::MissingLabels {
                expected: expected.clone(),
            },
            PairProblem::ListedTwice { list, .. } => Self::ListedTwice { list: list.clone() },
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MissingImage { expected } => write!(formatter, "no image, expected {expected}"),
            Self::MissingLabels { expected } => write!(formatter, "no label file, expected {expected}"),
            Self::ListedTwice { list } => write!(formatter, "occurs twice in `{}`", list.display()),
            Self::UnreadableImage { problem } | Self::UnreadableLabels { problem } => formatter.write_str(problem),
            Self::SizeMismatch { image, labels } => {
                write!(
                    formatter,
                    "the image is {}×{}, its labels {}×{}",
                    image.0, image.1, labels.0, labels.1
                )
            }
            Self::UnknownValue { path, value, pixels } => {
                let path = path.display();
                write!(
                    formatter,
                    "`{path}` has the value {value} ({pixels} pixels), neither a class nor ignored"
                )
            }
            Self::UnseenClass { class, pixels } => {
                write!(
                    formatter,
                    "{pixels} pixels of the unseen class `{class}`, which was to be removed"
                )
            }
            Self::NothingLabeled => formatter.write_str("every pixel is ignored"),
        }
    }
}

/// What was found in a sample.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct SampleFinding {
    /// The sample.
    pub id: String,
    /// What.
    #[serde(flatten)]
    pub finding: Finding,
}
