//! What can be wrong with a MATLAB label file.

use super::MAX_INFLATED_BYTES;

/// Why a MATLAB file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Mat5Error {
    /// The file is MATLAB 7.3's, which is HDF5 inside.
    #[error("it is a MATLAB 7.3 (HDF5) file; save it again with `-v7`")]
    Hdf5,
    /// The file does not start as a MATLAB 5 file does.
    #[error("it is not a MATLAB 5 file")]
    NotMatlab,
    /// An element says it is longer than the rest of the file.
    #[error("it is cut off or damaged: {0}")]
    Damaged(&'static str),
    /// A compressed variable inflates to more than any label map needs.
    #[error("a variable inflates to more than {} MiB", MAX_INFLATED_BYTES >> 20)]
    TooLarge,
    /// The variable or field that holds the labels is not there.
    #[error("it has no `{wanted}` (it has: {})", found.join(", "))]
    Missing {
        /// The variable or field looked for.
        wanted: String,
        /// Names found at that place.
        found: Vec<String>,
    },
    /// The label matrix is not what a label matrix is.
    #[error("its `{name}` is {found}, not a matrix of labels (whole numbers from 0 to 65535)")]
    NotLabels {
        /// The variable or field.
        name: String,
        /// What it is instead.
        found: &'static str,
    },
}
