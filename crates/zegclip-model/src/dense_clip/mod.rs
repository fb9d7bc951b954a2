//! Segmentation by plain CLIP without training, one file a method.
//!
//! All methods run CLIP's blocks unchanged up to the last one, and change what the last one does: [`LastBlock`] hands out its
//! queries, keys and values. [`DenseMethodName`] is what users choose, [`DenseMethod`] the method with its parameters,
//! [`DenseProtocol`] the settings of the literature around it.

mod benchmark;
mod clearclip;
mod encoding;
mod last_block;
mod maskclip;
mod method;
mod naclip;
mod outliers;
mod padding;
mod pamr;
mod patch_features;
mod protocol;
mod resclip;
mod sc_clip;
mod sclip;

pub use benchmark::{Benchmark, UnknownBenchmark};
pub use encoding::{DENSE_POSITIONS, MASKCLIP_POSITIONS, forward_before_last, pad_window};
pub use last_block::{LastAttention, LastBlock, LastLayer};
pub use maskclip::{key_smoothing, prompt_denoising};
pub use method::{DenseEncoding, DenseMethod, DenseMethodName, UnknownDenseMethod};
pub use naclip::neighborhood;
pub use outliers::local_outliers;
pub use padding::{PaddedSize, WindowPadding};
pub use pamr::Pamr;
pub use patch_features::PatchFeatures;
pub use protocol::{ClassFile, DenseProtocol, ImageStatistics, NameSoftmax, SlidingWindow};
pub use resclip::{Feedback, FeedbackSettings, ResClip, ResClipEncoding, ResidualAttention};
pub use sc_clip::{Calibration, ScClip};
