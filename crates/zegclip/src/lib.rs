//! Zero-shot semantic segmentation for applications: load a model, name classes, get a mask of every photo.
//!
//! ```no_run
//! use zegclip::{Segmenter, Vocabulary, open_image};
//!
//! let segmenter = Segmenter::load("zegclip-voc.safetensors", "auto".parse()?)?;
//! let classes = Vocabulary::from_names("cat, grass, sofa|couch")?;
//! let result = segmenter.segment(&open_image("cat.jpg")?, &classes)?;
//! println!("{:.1} % is cat", 100.0 * result.shares()[0]);
//! result.labels.save_png("cat.labels.png", &classes)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Segmenter::demo`] needs no file: a small model is compiled in. It knows only drawings of the 155 things and grounds of
//! the vocabulary `demo`.
#![forbid(unsafe_code)]

pub mod demo;
mod demo_model;
mod error;
pub mod evaluation;
mod loader;
mod mask_decoding;
mod segmentation;
mod segmenter;
mod text;
mod windows;

pub use demo_model::{DEMO_MODEL_LIMITS, DEMO_MODEL_NAME, demo_model};
pub use error::Error;
pub use evaluation::evaluate;
pub use loader::{Precision, SegmenterBuilder};
pub use mask_decoding::{Decoded, decode};
pub use segmentation::{Labels, Segmentation, Timings};
pub use segmenter::{Method, SegmentOptions, Segmenter, open_image};
pub use text::TextFeatureFile;
pub use windows::{Window, windows};
pub use zegclip_data::{ClassIndex, DataError, LabelMap, RgbImage, SeenClasses, Vocabulary};
pub use zegclip_kernels::{MaskActivation, MaskDecoding, WindowMasks};
pub use zegclip_model::device::{self, DeviceName, OpenDevice};
pub use zegclip_model::{ModelError, ModelOverrides, ZegClip, ZegClipConfig};
