//! ZegCLIP's model definition on burn: tensors in, tensors out.
//!
//! [`ZegClip`] is the model of the paper "ZegCLIP: Towards Adapting CLIP for Zero-shot Semantic Segmentation"
//! (CVPR 2023, arXiv 2212.03588); [`clip::Clip`] is the frozen model it stands on. One definition runs on every device of
//! [`device`].
//!
//! # Words of the shapes
//! `batch`: images; `classes`: names to choose from; `tokens`: class token, prompts and patches; `patches`:
//! `height · width` of the patch grid; `rows`, `columns`: pixels; `width` of a token; `embed_dim`: width of CLIP's joint
//! embedding of images and texts.
#![deny(unsafe_code)]

pub mod clip;
pub mod config;
pub mod decoder;
mod dense_clip;
pub mod device;
mod dropout;
mod error;
pub mod interpolate;
pub mod layer_norm;
mod linear;
mod load;
pub mod loss;
pub mod parameters;
pub mod prompt;
mod pruned_vocabulary;
pub mod relation;
mod zegclip;

pub use config::{ClipConfig, ZegClipConfig};
pub use dense_clip::PatchFeatures;
pub use dropout::Dropout;
pub use error::ModelError;
pub use load::{
    ModelOverrides, NativeMetadata, clip_config, load_clip, load_image_encoder, load_text_encoder, load_zegclip,
    text_config, zegclip_config,
};
pub use pruned_vocabulary::expand_token_embedding;
pub use zegclip::{SEEN_CLASS_BIAS, ZegClip};
