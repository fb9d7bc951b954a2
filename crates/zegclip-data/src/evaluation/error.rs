//! What can be wrong with an evaluation besides its images.

use std::path::PathBuf;

use crate::datasets::DatasetError;
use crate::{DataError, ThreadFailed};

/// Why an evaluation ended without its scores.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// An image or label file cannot be used.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A file cannot be read or written, or a prediction does not fit.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A saved state that is not the JSON of one.
    #[error("`{}` is not a saved evaluation: {problem}", path.display())]
    StateFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A saved state of another evaluation.
    #[error("`{}` belongs to another evaluation: its {what} is {was}, here it is {is}", path.display())]
    StateMismatch {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: String,
        /// In the file.
        was: String,
        /// In this evaluation.
        is: String,
    },
    /// The folder of results has a finished evaluation.
    #[error("`{}` already exists", path.display())]
    Finished {
        /// Its JSON.
        path: PathBuf,
    },
    /// Another process evaluates in the folder under the same name.
    #[error("`{stem}` in `{}` is in use by another process", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// What the names of the files begin with.
        stem: String,
    },
    /// Text that is not a shard.
    #[error("a shard is K/N with K from 1 to N, such as 3/16")]
    Shard {
        /// The text.
        text: String,
    },
    /// A file of counts is named twice.
    #[error("`{}` is named twice", path.display())]
    NamedTwice {
        /// The file.
        path: PathBuf,
    },
    /// Counts that cannot be merged with those before them.
    #[error("`{}`: {source}", path.display())]
    Merge {
        /// The file.
        path: PathBuf,
        /// Why.
        source: DataError,
    },
    /// A thread of the evaluation ended without a result.
    #[error(transparent)]
    Thread(#[from] ThreadFailed),
}
