//! Forms of known formats that are deliberately not read.

use crate::dtype::Dtype;

/// What is not supported of a known format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// Written on a big-endian machine.
    #[error("it was written on a big-endian machine")]
    BigEndian,
    /// An encrypted zip archive.
    #[error("it is encrypted")]
    Encrypted,
    /// A compressed entry, which PyTorch never writes.
    #[error("its entry `{0}` is compressed, which PyTorch never does")]
    Compressed(String),
    /// More zip entries than any model has.
    #[error("it has {entries} entries, more than the limit of {limit}")]
    Entries {
        /// Entries of the archive.
        entries: usize,
        /// The limit.
        limit: usize,
    },
    /// A TorchScript archive of PyTorch 1.3 or older.
    #[error("it is a TorchScript archive of PyTorch 1.3 or older")]
    OldTorchScript,
    /// An unknown version of PyTorch's container before 1.6.
    #[error("it has an unknown version of PyTorch's container before 1.6")]
    LegacyVersion,
    /// A conversion of element types that loses more than precision.
    #[error("its {from} tensors cannot be converted to {to}")]
    Conversion {
        /// Element type in the file.
        from: Dtype,
        /// Element type asked for.
        to: Dtype,
    },
}
