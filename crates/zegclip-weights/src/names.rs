//! Prefixes of the canonical names.

/// The image encoder with its prompts.
pub const IMAGE_ENCODER: &str = "backbone.";
/// The text encoder.
pub const TEXT_ENCODER: &str = "text_encoder.";
/// Relation descriptor and decoder.
pub const DECODE_HEAD: &str = "decode_head.";
