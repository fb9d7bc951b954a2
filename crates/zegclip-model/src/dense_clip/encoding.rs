//! CLIP's blocks before the last one, as all dense methods run them.

use burn::tensor::Tensor;

use super::padding::PaddedSize;
use crate::clip::{AttentionScope, ClassToken, ImageEncoder, PositionResize, Tokens};

/// Positions as SCLIP and the methods after it resize them.
pub const DENSE_POSITIONS: PositionResize = PositionResize::Bicubic { excess: 0.1 };

/// Positions as MaskCLIP's release resizes them.
pub const MASKCLIP_POSITIONS: PositionResize = PositionResize::Bicubic { excess: 0.0 };

/// What enters the last block. `observe` is called with what enters each block before it, by the index of the block.
///
/// # Shapes
/// - `image`: `[batch, 3, rows, columns]`, normalized, each side at least one patch
/// - tokens: `[batch, 1 + height · width, width]`, the class token first
pub fn forward_before_last(
    encoder: &ImageEncoder,
    image: Tensor<4>,
    positions: PositionResize,
    mut observe: impl FnMut(usize, &Tensor<3>),
) -> Tokens {
    let mut embedded = encoder.embed_resized(image, ClassToken::Once, positions);
    let before_last = encoder.blocks.len().saturating_sub(1);
    for (index, block) in encoder.blocks.iter().take(before_last).enumerate() {
        observe(index, &embedded.tokens);
        embedded.tokens = block.forward(embedded.tokens, AttentionScope::All);
    }
    embedded
}

/// A normalized window `[batch, 3, rows, columns]` with zeros around it: `[batch, 3, padded.size[0], padded.size[1]]`.
pub fn pad_window(image: Tensor<4>, padded: PaddedSize) -> Tensor<4> {
    let [batch, channels, rows, columns] = image.dims();
    let ([height, width], [top, left]) = (padded.size, padded.offset);
    if [height, width] == [rows, columns] {
        return image;
    }
    Tensor::zeros([batch, channels, height, width], (&image.device(), image.dtype()))
        .slice_assign([0..batch, 0..channels, top..top + rows, left..left + columns], image)
}
