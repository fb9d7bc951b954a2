//! Everything about images and labels: class vocabularies, label files, datasets, transforms, scores and drawing.
//!
//! Nothing here knows a tensor library, so that this crate builds and tests in seconds. Its words:
//!
//! - **class list**: the classes in order; a [`ClassIndex`] is a position in it. A [`Vocabulary`] is a class list with
//!   palette, templates, seen and unseen classes.
//! - **label map**: a [`LabelMap`] `[height, width]` of class indices, some pixels of which are *ignored*. Offsets and
//!   ignore values of label files (`255`, `0 = background`) exist only where a file is decoded ([`LabelEncoding`]).
//! - **image**: an [`RgbImage`] of 8 bits a channel, `[height, width, 3]`.
//!
//! ```
//! use zegclip_data::{ClassIndex, LabelMap, SeenClasses};
//!
//! let seen = SeenClasses::from_unseen_indices(3, [1])?;
//! let labels = LabelMap::from_raw(3, 1, vec![0, 1, 2])?;
//! // Unseen classes become ignored and seen ones are numbered anew: nothing unseen is left to train on.
//! assert_eq!(seen.training_labels(&labels).as_raw(), [0, LabelMap::IGNORE, 1]);
//! # Ok::<(), zegclip_data::DataError>(())
//! ```

#![forbid(unsafe_code)]

mod atomic_file;
mod class_index;
pub mod dataset_check;
pub mod datasets;
pub mod draw;
mod error;
pub mod evaluation;
mod image_encoding;
mod image_file;
mod label_encoding;
mod label_map;
mod label_png;
mod loader;
pub mod metrics;
mod npy;
pub mod palette;
mod prefetch;
mod resize;
mod result_names;
mod seen_classes;
mod suggestion;
mod text_features;
mod toml_table;
mod training_labels;
pub mod transforms;
mod vocabulary;

pub use atomic_file::{remove_if_there, write_atomically};
pub use class_index::ClassIndex;
pub use error::DataError;
pub use image::RgbImage;
pub use image_encoding::{encode_jpeg, encode_png};
pub use image_file::{ImageLimits, decode_image, decode_rgba_image, read_image, read_image_size, read_rgba_image};
pub use label_encoding::{DecodedLabels, LabelEncoding, RawLabels, ValueCount};
pub use label_map::LabelMap;
pub use label_png::{LabelDepth, decode_label_png, encode_label_png, output_encoding, read_label_png, write_label_png};
pub use loader::{Batch, Loader, LoaderSettings};
pub use npy::read_npy;
pub use prefetch::{Prefetch, ThreadFailed};
pub use resize::{
    IMAGENET_MEAN, IMAGENET_STD, TEST_SHORT_SIDE, normalize, normalize_with, resize_bilinear, resize_labels_nearest,
    test_size,
};
pub use result_names::is_result;
pub use seen_classes::SeenClasses;
pub use text_features::TextFeatures;
pub use training_labels::{TrainingLabel, TrainingLabels, TrainingSetting};
pub use vocabulary::{Class, ListProblem, SINGLE_TEMPLATE, Vocabulary, published_class_names, published_text_features};
