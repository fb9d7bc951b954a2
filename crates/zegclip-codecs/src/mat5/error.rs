//! What can be wrong with a MATLAB label file.

/// Why a label matrix cannot be read. Messages do not name the file; its caller does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mat5Error {
    /// A MATLAB 7.3 file, which is HDF5 inside.
    #[error("it is a MATLAB 7.3 (HDF5) file, which is not supported")]
    Hdf5,

    /// A file without the header of a MATLAB 5 file.
    #[error("it is not a MATLAB 5 file")]
    NotMatlab,

    /// Elements that are cut off, missing, or inconsistent with one another.
    #[error("it is cut off or damaged: {0}")]
    Damaged(&'static str),

    /// A compressed variable that inflates to more than [`MAX_INFLATED_BYTES`](crate::mat5::MAX_INFLATED_BYTES).
    #[error("a variable inflates to more than {} MiB", max_bytes >> 20)]
    TooLarge {
        /// The limit.
        max_bytes: u64,
    },

    /// A request for no variable at all.
    #[error("the path to the labels names no variable")]
    EmptyPath,

    /// The variable or field with the labels does not exist.
    #[error("it has no `{wanted}` (it has: {})", found.join(", "))]
    Missing {
        /// The variable or field, as `variable.field`.
        wanted: String,
        /// Names found at that place.
        found: Vec<String>,
    },

    /// A variable or field that is not a real integer matrix of two dimensions.
    #[error("its `{name}` is {found}; a matrix of labels has integers from 0 to 65535")]
    NotLabels {
        /// The variable or field, as `variable.field`.
        name: String,
        /// What it is instead.
        found: &'static str,
    },
}
