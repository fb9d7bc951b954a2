//! CLIP: image encoder, text encoder, tokenizer and plain zero-shot classification.

mod attention;
mod block;
mod image_encoder;
mod text_cleanup;
mod text_encoder;
mod text_features;
mod tokenizer;
mod zero_shot;

pub use attention::{KeyValue, SelfAttention};
pub use block::ResidualAttentionBlock;
pub use image_encoder::{ClassToken, ImageEncoder, PatchEmbedding, Tokens, l2_normalize};
pub use text_encoder::TextEncoder;
pub use text_features::text_features;
pub use tokenizer::{TokenSequence, Tokenizer};
pub use zero_shot::Clip;
