//! Weight files of CLIP and ZegCLIP: bytes to named tensors and back, without a tensor library.
//!
//! [`WeightFile::open`] reads all formats that CLIP and ZegCLIP are published in, detected by content: OpenAI's TorchScript
//! archives, safetensors and state dicts of OpenCLIP and Hugging Face (in one file or in shards), mmsegmentation checkpoints of
//! the authors, and this project's native file. All tensors have the names of the authors' checkpoints, the *canonical* names.
//! [`write_native`], [`write_mmseg`] and [`write_open_clip`] write files.
//!
//! ```
//! use std::collections::BTreeMap;
//! use zegclip_weights::{Dtype, Format, IfExists, OutputTensor, WeightFile, write_native};
//!
//! # let folder = std::env::temp_dir().join(format!("zegclip-weights-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! let path = folder.join("head.safetensors");
//! let values = [0.5, -1.0, 2.0, 4.0, 0.0, 1.0];
//! let tensor = OutputTensor::from_f32("decode_head.q_proj.weight", &[2, 3], (&values[..]).into(), Dtype::F16);
//! let metadata = BTreeMap::from([("classes".to_owned(), r#"["cat", "sky"]"#.to_owned())]);
//! write_native(&path, &metadata, vec![tensor], IfExists::Replace)?;
//!
//! let file = WeightFile::open(&path)?;
//! assert_eq!(file.format(), Format::Native);
//! assert_eq!(file.classes().unwrap(), ["cat", "sky"]);
//! assert_eq!(file.info("decode_head.q_proj.weight").unwrap().dtype, Dtype::F16);
//! assert_eq!(file.tensor_f32("decode_head.q_proj.weight")?, (vec![2, 3], values.to_vec()));
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Security
//! Files are untrusted:
//! - Pickles are read as data. A short list of globals stands for what tensors need; all others are refused by name.
//! - Offsets, sizes and references are checked. Allocations are bounded by the size of the file or a fixed limit.
//! - Zip checksums are verified before the first use of an entry.
//! - `unsafe` is used for the memory map alone (`source.rs`, which states its conditions).
//!
//! # Limits
//! Little-endian files only. Sparse and quantized tensors are not read. Formats other than those of [`Format`] are refused.

#![deny(unsafe_code)]

mod architecture;
mod config;
mod contents;
mod describe;
mod dtype;
mod error;
mod file;
mod format;
mod mmseg;
pub mod names;
mod naming;
mod native;
mod native_header;
mod output;
mod pickle;
mod properties;
mod safetensors;
mod sharded;
mod sniff;
mod source;
mod torch;
mod view;

#[cfg(test)]
mod tests;

pub use architecture::{
    Activation, Architecture, Assumed, DecoderArchitecture, Parts, PromptArchitecture, TextArchitecture,
    VisionArchitecture, is_trained,
};
pub use dtype::Dtype;
pub use error::{ArchitectureDefect, Damage, ForeignFile, FoundValues, TensorDefect, Unsupported, WeightError};
pub use file::{Watch, WeightFile};
pub use format::Format;
pub use mmseg::{write_mmseg, write_open_clip};
pub use native::write_native;
pub use output::OutputTensor;
pub use pickle::PickleError;
pub use source::set_memory_mapping;
pub use view::TensorInfo;
pub use zegclip_foundation::IfExists;
