//! Two decoders that are useful on their own, without a tensor or image library:
//!
//! - [`jpeg`]: JPEG files to 8-bit RGB, equal to libjpeg-turbo bit-exactly, which is what OpenCV's `imread` returns;
//! - [`mat5`]: integer matrices in MATLAB 5 files, the label format of SBD and PASCAL Context.
//!
//! Both are written for untrusted files: sizes in a file are checked against its bytes and against a limit before
//! memory is allocated, and damaged data is an error, never a panic.

#![forbid(unsafe_code)]

pub mod jpeg;
pub mod mat5;

pub use jpeg::{JpegDecoder, JpegError, RgbPixels};
pub use mat5::{LabelMatrix, Mat5Error, read_label_matrix};
