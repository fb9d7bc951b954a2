//! Reads label matrices out of MATLAB 5 files, the format of SBD's and PASCAL Context's labels.
//!
//! Only what those need: little- or big-endian files of version 5 (MATLAB's `-v6` and `-v7`), zlib-compressed
//! variables, structures and full real matrices of two dimensions. Every size in the file is checked against the bytes
//! that follow before anything is allocated, and compressed variables stop at [`MAX_INFLATED_BYTES`].
//!
//! Format: *MAT-File Format*, The MathWorks, chapter "Level 5 MAT-File Format".

mod elements;
mod error;
mod label_matrix;
#[cfg(test)]
mod tests;

pub use elements::MAX_INFLATED_BYTES;
pub use error::Mat5Error;
pub use label_matrix::{LabelMatrix, read_label_matrix};
