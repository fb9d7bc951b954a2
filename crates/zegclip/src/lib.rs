//! Zero-shot semantic segmentation for applications: load a model, name classes, get the class of every pixel.
//!
//! ```no_run
//! # use zegclip::{Segmenter, Vocabulary, open_image};
//! # let (device, image) = ("auto", open_image("cat.jpg")?);
//! # let classes = Vocabulary::from_names("cat, grass, sofa|couch")?;
//! let result = Segmenter::load("zegclip-voc.safetensors", device)?.segment(&image, &classes)?;
//! # result.save_labels("cat.labels.png", &classes)?;
//! # Ok::<(), zegclip::Error>(())
//! ```
//!
//! In full, with the small model that is compiled in (feature `demo`), which needs no file but knows only drawings of the 155
//! things and grounds of the vocabulary `demo`:
//!
//! ```
//! use zegclip::{RgbImage, Segmenter, Vocabulary};
//!
//! # #[cfg(feature = "demo")] {
//! let segmenter = Segmenter::demo("cpu")?;
//! let classes = Vocabulary::from_class_names(["cat", "grass", "sea"])?;
//! let image = RgbImage::from_pixel(64, 48, [40, 160, 60].into());
//! let result = segmenter.segment(&image, &classes)?;
//! assert_eq!(result.labels().dimensions(), (64, 48));
//! assert_eq!(result.class_fractions().len(), 3);
//! # }
//! # Ok::<(), zegclip::Error>(())
//! ```
//!
//! - [`Segmenter`]: one image, a [batch](Segmenter::segment_batch), or one [encoded](Segmenter::encode) image with many class
//!   lists. The device is a name or a burn `Device` of the application ([`DeviceChoice`]).
//! - [`Vocabulary`]: a class list, checked when it is made: never empty, no name twice.
//! - [`SegmentOptions`]: background classes, a lowest score, scores beside labels.
//! - [`ImageOutputs`]: the files that the program `zegclip segment` writes for an image.
//! - [`evaluate`]: scores on a data set. [`Conversion`]: weight files between formats.
//!
//! All public types are `Send + Sync`; methods of a [`Segmenter`] take `&self`. This crate re-exports [`burn`], so an application
//! needs no other dependency.
//!
//! # Features
//! `wgpu` (default): GPUs through Vulkan, Metal, Direct3D 12 and OpenGL. `cuda`, `native-gpu`, `ndarray`: further devices.
//! `demo` (default): the demo model and its scenes, about 9 MB of a program.
#![forbid(unsafe_code)]

mod builder;
mod convert;
#[cfg(feature = "demo")]
pub mod demo;
#[cfg(feature = "demo")]
mod demo_model;
mod device_choice;
mod encoded_image;
mod error;
pub mod evaluation;
mod evaluation_identity;
mod mask_decoding;
mod model;
mod options;
mod outputs;
mod presence;
mod segmentation;
mod segmenter;
mod text;
mod text_cache;
mod windows;

pub use burn;

pub use builder::SegmenterBuilder;
pub use convert::{Conversion, Converted};
#[cfg(feature = "demo")]
pub use demo_model::{DEMO_MODEL_LIMITS, DEMO_MODEL_NAME, demo_model};
pub use device_choice::DeviceChoice;
pub use encoded_image::EncodedImage;
pub use error::{Error, TextFeatureProblem};
pub use evaluation::evaluate;
pub use mask_decoding::{Decoded, decode};
pub use options::{DenseOverrides, Method, Precision, SegmentOptions, TRAINED_MIN_PRESENCE};
pub use outputs::{ClassReport, ImageOutputs, ImageReport, Milliseconds, OutputFile};
pub use segmentation::{Segmentation, Timings};
pub use segmenter::{ModelInMemory, Segmenter, open_image};
pub use text::TextFeatureFile;
pub use windows::{Window, windows};
pub use zegclip_data::{
    Class, ClassIndex, DataError, ImageLimits, LabelMap, RgbImage, SeenClasses, TrainingSetting, Vocabulary,
    decode_image,
};
pub use zegclip_kernels::{MaskActivation, MaskDecoding, WindowMasks};
pub use zegclip_model::dense_clip::{Benchmark, DenseMethodName, DenseProtocol, NameSoftmax, Pamr, SlidingWindow};
pub use zegclip_model::device::{self, DeviceError, DeviceName, OpenDevice};
pub use zegclip_model::{Assumption, ModelError, ModelOverrides, SEEN_CLASS_BIAS, ZegClip, ZegClipConfig};
