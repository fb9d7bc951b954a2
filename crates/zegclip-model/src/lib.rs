//! Model definitions of CLIP and ZegCLIP on burn: tensors in, tensors out.
//!
//! [`ZegClip`] is the model of the paper "ZegCLIP: Towards Adapting CLIP for Zero-shot Semantic Segmentation"
//! (CVPR 2023, arXiv 2212.03588); [`clip::Clip`] is the frozen model it is based on. One definition runs on every device of
//! [`device`]. [`load_zegclip`] and [`load_clip`] read weight files of `zegclip-weights`.
//!
//! # Names of axes
//! - `batch`: images; `rows`, `columns`: pixels
//! - `height`, `width` of a grid, `patches` = `height · width`: patches of an image
//! - `tokens`: class token, prompts and patches; `width`: channels of a token
//! - `classes`: class names to choose from
//! - `embed_dim`: channels of the joint embedding of images and texts
#![forbid(unsafe_code)]

pub mod clip;
pub mod config;
pub mod decoder;
pub mod dense_clip;
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

pub use burn;
pub use config::{ClipConfig, ZegClipConfig};
pub use dropout::Dropout;
pub use error::{ModelError, ModelPart};
pub use load::{
    Assumption, ModelOverrides, NativeMetadata, assumptions, clip_config, load_clip, load_image_encoder,
    load_text_encoder, load_zegclip, text_config, vision_config, window_size, zegclip_config,
};
pub use pruned_vocabulary::expand_token_embedding;
pub use zegclip::{SEEN_CLASS_BIAS, ZegClip};
