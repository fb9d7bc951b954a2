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
    /// Several label values that are neither a class nor to be ignored.
    UnknownValues {
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
    /// A line of a list whose files do not belong together.
    ListLine {
        /// The list.
        list: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
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
    /// The kind of the finding: findings of one kind are shown together.
    pub(super) fn kind(&self) -> std::mem::Discriminant<Self> {
        std::mem::discriminant(self)
    }

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
            PairProblem::ListLine {
                list, line, problem, ..
            } => Self::ListLine {
                list: list.clone(),
                line: *line,
                problem: problem.clone(),
            },
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
            Self::UnknownValues {
                path,
                values,
                lowest,
                highest,
                pixels,
                all_pixels,
                interpolated,
            } => {
                let (path, percent) = (path.display(), percent(*pixels, *all_pixels));
                if *interpolated {
                    return write!(
                        formatter,
                        "`{path}` has {values} values between those of the classes, {lowest} to {highest}, in {percent} of the \
                         pixels; this looks like interpolation, scale masks with nearest neighbor and save them as PNG"
                    );
                }
                write!(
                    formatter,
                    "`{path}` has {values} values that are neither a class nor ignored, {lowest} to {highest}, in {percent} of the \
                     pixels"
                )
            }
            Self::ListLine { list, line, problem } => {
                write!(formatter, "line {line} of `{}`: {problem}", list.display())
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

/// `12.3 %`
pub(super) fn percent(part: u64, all: u64) -> String {
    format!("{:.1} %", 100.0 * part as f64 / all.max(1) as f64)
}
