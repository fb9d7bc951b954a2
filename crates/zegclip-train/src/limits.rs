//! Ranges that configurations are checked against before anything is created.
//!
//! Upper limits are far above any useful value: they turn slips into errors where a program would otherwise run out of
//! memory or threads.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde::Serialize;
use toml::Value;
use zegclip_model::config::TextConfig;

use crate::TrainError;
use crate::config_keys::to_table;

/// Seeds and iterations: TOML's integers are below 2⁶³.
pub(crate) const MAX_INTEGER: u64 = i64::MAX as u64;
/// Images or pairs of a batch.
pub(crate) const BATCH_SIZE: RangeInclusive<usize> = 1..=1 << 16;
/// Pixels of a batch, which is in memory as f32 in three channels.
const MAX_BATCH_PIXELS: u128 = 1 << 32;
/// Side of an image or a crop in pixels.
pub(crate) const IMAGE_SIZE: RangeInclusive<usize> = 1..=1 << 14;
/// Threads, or batches made ahead; 0 is one.
pub(crate) const PARALLELISM: RangeInclusive<usize> = 0..=1024;
/// Width of tokens and embeddings.
pub(crate) const WIDTH: RangeInclusive<usize> = 1..=1 << 16;
/// Blocks of an encoder, layers of the decoder.
pub(crate) const LAYERS: RangeInclusive<usize> = 1..=1024;
/// Width of a feed-forward network over the embedding width.
pub(crate) const FFN_RATIO: RangeInclusive<usize> = 1..=64;
/// Prompt tokens of a block.
pub(crate) const PROMPTS: RangeInclusive<usize> = 1..=1 << 16;
/// Patches along a side of an image.
pub(crate) const POSITION_GRID: RangeInclusive<usize> = 1..=1 << 12;
/// Tokens of a text: a start token, at least one more and an end token.
pub(crate) const CONTEXT_LENGTH: RangeInclusive<usize> = 3..=1 << 12;
/// Images or pairs of an evaluation, which are in memory together.
pub(crate) const EVALUATION_IMAGES: RangeInclusive<usize> = 0..=100_000;

/// Number of token ids: at least those of CLIP's tokenizer.
pub(crate) fn vocabulary_size() -> RangeInclusive<usize> {
    TextConfig::base().vocabulary_size..=1 << 20
}

/// Fails for a value outside of a range.
pub(crate) fn in_range<T: PartialOrd + Display>(
    key: &str,
    value: T,
    range: &RangeInclusive<T>,
) -> Result<(), TrainError> {
    if range.contains(&value) {
        return Ok(());
    }
    let reason = format!("must be in {}..={}", range.start(), range.end());
    Err(TrainError::value(key, value, reason))
}

/// Fails for a value outside of `1..=image_size`.
pub(crate) fn within_image(key: &str, value: usize, image_size: usize, of: &str) -> Result<(), TrainError> {
    if (1..=image_size).contains(&value) {
        return Ok(());
    }
    Err(TrainError::value(
        key,
        value,
        format!("must be in 1..={image_size} (`{of}`)"),
    ))
}

/// Fails unless a number is in `(0, ∞)`.
pub(crate) fn positive(key: &str, value: f64) -> Result<(), TrainError> {
    condition(key, value, value.is_finite() && value > 0.0, "must be positive")
}

/// Fails unless a number is in `[0, ∞)`.
pub(crate) fn not_negative(key: &str, value: f64) -> Result<(), TrainError> {
    condition(key, value, value.is_finite() && value >= 0.0, "must not be negative")
}

/// Fails unless a number is in `[0, 1]`.
pub(crate) fn fraction(key: &str, value: f64) -> Result<(), TrainError> {
    condition(key, value, (0.0..=1.0).contains(&value), "must be in [0, 1]")
}

/// Fails unless a number is in `[0, 1)`.
pub(crate) fn below_one(key: &str, value: f64) -> Result<(), TrainError> {
    condition(key, value, (0.0..1.0).contains(&value), "must be in [0, 1)")
}

/// Fails with `reason` unless `holds`.
pub(crate) fn condition(key: &str, value: impl Display, holds: bool, reason: impl Display) -> Result<(), TrainError> {
    if holds {
        return Ok(());
    }
    Err(TrainError::value(key, value, reason))
}

/// Fails unless the attention heads divide the width.
pub(crate) fn heads_divide(key: &str, heads: usize, width: usize) -> Result<(), TrainError> {
    let divides = heads > 0 && width > 0 && width.is_multiple_of(heads);
    condition(key, heads, divides, format!("must divide the width {width}"))
}

/// Fails for a batch that is too large for memory.
pub(crate) fn batch_pixels(key: &str, batch_size: usize, image_size: usize) -> Result<(), TrainError> {
    let pixels = batch_size as u128 * (image_size as u128).pow(2);
    let reason = format!("a batch of images of {image_size} × {image_size} pixels has more than 2^32 pixels");
    condition(key, batch_size, pixels <= MAX_BATCH_PIXELS, reason)
}

/// Fails for the first number of a configuration that is NaN, infinite, or infinite in single precision.
pub(crate) fn all_finite(config: &impl Serialize) -> Result<(), TrainError> {
    finite("", &Value::Table(to_table(config)?))
}

fn finite(key: &str, value: &Value) -> Result<(), TrainError> {
    let inner = |name: &str| {
        if key.is_empty() {
            name.to_owned()
        } else {
            format!("{key}.{name}")
        }
    };
    match value {
        Value::Float(number) => condition(key, value, number.is_finite(), "must be a finite number").and_then(|()| {
            let fits = (*number as f32).is_finite();
            condition(key, value, fits, "must be a number of 32 bits, at most 3.4e38")
        }),
        Value::Array(values) => {
            let mut values = values.iter().enumerate();
            values.try_for_each(|(index, value)| finite(&inner(&index.to_string()), value))
        }
        Value::Table(table) => table.iter().try_for_each(|(name, value)| finite(&inner(name), value)),
        _ => Ok(()),
    }
}
