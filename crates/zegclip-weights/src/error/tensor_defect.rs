//! How the description of a tensor does not fit its data.

/// What is wrong with a tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorDefect {
    /// Another number of strides than of extents.
    #[error("has {extents} extents but {strides} strides")]
    Strides {
        /// Number of extents.
        extents: usize,
        /// Number of strides.
        strides: usize,
    },
    /// Elements outside the storage.
    #[error("of shape {shape:?} does not fit its storage of {elements} elements")]
    OutsideStorage {
        /// Shape of the tensor.
        shape: Vec<usize>,
        /// Elements of the storage.
        elements: usize,
    },
    /// A storage that is shorter than the description states.
    #[error("needs a storage of {elements} elements, but the file contains {bytes} bytes")]
    ShortStorage {
        /// Elements that the description states.
        elements: usize,
        /// Bytes in the file.
        bytes: usize,
    },
    /// More elements than an address can count.
    #[error("has too many elements")]
    TooLarge,
    /// Data outside the file.
    #[error("is outside the file")]
    OutsideFile,
    /// An element type that no CLIP uses.
    #[error("has elements of type {0}, which no CLIP uses")]
    ElementType(String),
    /// A joint projection without its query, key or value part.
    #[error("lacks the projection of its queries, keys or values")]
    MissingProjection,
    /// Parts of a joint projection whose shapes differ in more than the first axis.
    #[error("consists of parts of the shapes {first:?} and {other:?}, which do not fit")]
    Parts {
        /// Shape of the parts so far.
        first: Vec<usize>,
        /// Shape of the part that does not fit.
        other: Vec<usize>,
    },
    /// Another number of bytes than shape and element type need.
    #[error("of shape {shape:?} has {found} bytes of data instead of {expected}")]
    Length {
        /// Shape of the tensor.
        shape: Vec<usize>,
        /// Bytes of the data.
        found: usize,
        /// Bytes that the shape needs.
        expected: usize,
    },
}
