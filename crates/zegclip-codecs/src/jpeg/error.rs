//! What can be wrong with a JPEG file.

/// Why a JPEG file cannot be decoded. Messages do not name the file; its caller does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JpegError {
    /// The data ends early: in a segment, in entropy-coded data, or before every component had a scan.
    #[error("the file ends before the image does")]
    Truncated,

    /// A process of the standard other than baseline, extended sequential and progressive Huffman coding.
    #[error("it is {process} JPEG, which is not supported")]
    UnsupportedProcess {
        /// `lossless`, `arithmetically coded` or `hierarchical`.
        process: &'static str,
    },

    /// A sample precision other than 8 bits.
    #[error("it has {bits} bits a sample; only 8 are supported")]
    SamplePrecision {
        /// Bits a sample.
        bits: u8,
    },

    /// A number of color components other than 1, 3 and 4.
    #[error("it has {count} color components")]
    ComponentCount {
        /// Components of the frame.
        count: usize,
    },

    /// An image of more pixels than the caller allows.
    #[error("it has {width}×{height} pixels, more than the limit of {max_pixels}")]
    TooLarge {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// The limit given to [`JpegDecoder::decode`](super::JpegDecoder::decode).
        max_pixels: u64,
    },

    /// A frame without columns or rows.
    #[error("it is empty ({width}×{height} pixels)")]
    NoPixels {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },

    /// More scans than [`MAX_SCANS`](super::MAX_SCANS), or in a large image more than 40 over all of it.
    #[error("it has too many scans (at most {}, over large images at most 40)", super::MAX_SCANS)]
    TooManyScans,

    /// The end-of-image marker before any scan.
    #[error("it contains no image")]
    NoImage,

    /// A scan without a frame header before it.
    #[error("its image has no size")]
    NoFrame,

    /// A second frame header.
    #[error("it contains two frames")]
    SecondFrame,

    /// A segment whose length does not include the length itself.
    #[error("a segment has an invalid length")]
    SegmentLength,

    /// A sampling factor outside 1 to 4.
    #[error("it has an invalid sampling factor")]
    SamplingFactor,

    /// A Huffman or quantization table with an invalid slot or more codes than bits allow.
    #[error("it has an invalid {kind} table")]
    InvalidTable {
        /// `Huffman` or `quantization`.
        kind: &'static str,
    },

    /// A scan that uses a table which the file does not define.
    #[error("a {kind} table is missing")]
    MissingTable {
        /// `Huffman` or `quantization`.
        kind: &'static str,
    },

    /// A scan of a component that the frame does not have.
    #[error("a scan names an unknown component")]
    UnknownComponent,

    /// A scan whose coefficient range, bit position or component count is invalid.
    #[error("a scan has invalid parameters")]
    ScanParameters,

    /// Entropy-coded data without the restart marker that its interval requires.
    #[error("a restart marker is missing")]
    MissingRestart,

    /// Bits that are not a code of the Huffman table.
    #[error("it contains an invalid Huffman code")]
    InvalidCode,

    /// A run of zeros beyond the end of a block.
    #[error("a block has more than 64 coefficients")]
    TooManyCoefficients,
}
