//! Weight files: bytes in, named tensors out, and back. Nothing here knows a tensor library.
//!
//! [`WeightFile::open`] reads what CLIP and ZegCLIP are published in, told apart by content: OpenAI's TorchScript archives,
//! OpenCLIP's and Hugging Face's safetensors or state dicts (whole or in shards), the authors' mmsegmentation checkpoints, and
//! this project's own file. Tensors have the names of the authors' checkpoints whatever the file calls them.
//! [`write_native`], [`write_mmseg`] and [`write_open_clip`] go the other way.
//!
//! Files come from strangers, so:
//! - pickles are read as data: a short list of globals stands for what tensors need, everything else is refused by name;
//! - every place, size and reference is checked, and what a file makes this code allocate is bounded by the file's size or a
//!   fixed limit;
//! - zip checksums are verified before an entry's first use.

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
mod output;
mod pickle;
mod safetensors;
mod sharded;
mod sniff;
mod source;
mod torch;
mod view;

#[cfg(test)]
mod tests;

pub use architecture::{
    Activation, Architecture, DecoderArchitecture, Parts, PromptArchitecture, TextArchitecture, VisionArchitecture,
    is_trained,
};
pub use dtype::Dtype;
pub use error::WeightError;
pub use file::WeightFile;
pub use format::Format;
pub use mmseg::{write_mmseg, write_open_clip};
pub use native::write_native;
pub use output::OutputTensor;
pub use pickle::PickleError;
pub use view::TensorInfo;
pub use zegclip_foundation::IfExists;
