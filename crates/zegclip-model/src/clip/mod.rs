//! CLIP: image encoder, text encoder and zero-shot classification. The tokenizer is that of `zegclip-text`.

mod attention;
mod block;
mod image_encoder;
mod text_encoder;
mod text_features;
mod zero_shot;

pub use attention::{AttentionScope, KeyValue, QueryKeyValue, SelfAttention};
pub use block::ResidualAttentionBlock;
pub use image_encoder::{ClassToken, ImageEncoder, PatchEmbedding, PositionResize, Tokens, l2_normalize};
pub use text_encoder::TextEncoder;
pub use text_features::text_features;
pub use zegclip_text::templates;
pub use zegclip_text::tokenizer::{TokenSequence, Tokenizer};
pub use zero_shot::Clip;
