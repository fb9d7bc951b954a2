//! CLIP's image encoder (ViT) without its prompts.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Tensor};
use zegclip_kernels::{Activation as FusedActivation, linear};

use super::attention::AttentionScope;
use super::block::ResidualAttentionBlock;
use crate::config::{Activation, VisionConfig};
use crate::interpolate::{bicubic_matrix, resize_bilinear};
use crate::layer_norm::LayerNorm;

/// How often the class embedding is added to the class token: the release differs from CLIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassToken {
    /// Once: plain CLIP.
    Once,
    /// Twice, as the token and again with its position. The published ZegCLIP does so with and without prompts, and its
    /// checkpoints were trained so.
    Twice,
}

/// How positions are resized to grids other than the stored one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum PositionResize {
    /// Bilinearly, wherever the grids differ: ZegCLIP.
    #[default]
    Bilinear,
    /// Bicubically (a = −0.75, no antialiasing), wherever the *numbers* of patches differ: dense methods on plain CLIP.
    ///
    /// `excess` is added to the length of a side in the scale only: sample `i` of `n` lies at `(i + ½) · stored / (n + excess) − ½`.
    /// DINO introduced 0.1 against rounding errors; most releases keep it.
    Bicubic {
        /// In patches, 0 or 0.1.
        excess: f64,
    },
}

/// Tokens before the first block and their patch grid.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// Class token first, then the patches row by row: `[batch, 1 + height · width, width]`.
    pub tokens: Tensor<3>,
    /// Patches `[height, width]`.
    pub grid: [usize; 2],
}

/// Non-overlapping patches, each mapped linearly to a token.
#[derive(Module, Debug)]
pub struct PatchEmbedding {
    /// `[width, 3, patch_size, patch_size]`, no bias.
    pub weight: Param<Tensor<4>>,
}

/// The vision transformer.
#[derive(Module, Debug)]
pub struct ImageEncoder {
    /// Patches to tokens.
    pub patch_embedding: PatchEmbedding,
    /// `[width]`
    pub class_embedding: Param<Tensor<1>>,
    /// Class token first: `[1 + position_grid², width]`.
    pub positional_embedding: Param<Tensor<2>>,
    /// Norm before the first block.
    pub ln_pre: LayerNorm,
    /// The transformer.
    pub blocks: Vec<ResidualAttentionBlock>,
    /// Norm after the last block.
    pub ln_post: LayerNorm,
    /// To the joint embedding: `[width, embed_dim]`, no bias.
    pub proj: Param<Tensor<2>>,
}

impl PatchEmbedding {
    /// # Shapes
    /// - `image`: `[batch, 3, rows, columns]`; rows and columns beyond the last complete patch are ignored
    /// - output: `[batch, height · width, width]` and the grid `[height, width]`
    pub fn forward(&self, image: Tensor<4>) -> (Tensor<3>, [usize; 2]) {
        let weight = self.weight.val();
        let [width, channels, patch, _] = weight.dims();
        let [batch, _, rows, columns] = image.dims();
        let grid = [rows / patch, columns / patch];
        let patches = image
            .narrow(2, 0, grid[0] * patch)
            .narrow(3, 0, grid[1] * patch)
            .reshape([batch, channels, grid[0], patch, grid[1], patch])
            .permute([0, 2, 4, 1, 3, 5]) // [batch, height, width, channels, patch, patch]
            .reshape([batch, grid[0] * grid[1], channels * patch * patch]);
        let weight = weight.reshape([width, channels * patch * patch]).transpose(); // [channels · patch², width]
        (linear(patches, weight, None, FusedActivation::None), grid)
    }
}

impl ImageEncoder {
    /// An encoder with CLIP's random initial values.
    pub fn new(config: &VisionConfig, embed_dim: usize, device: &Device) -> Self {
        let VisionConfig {
            patch_size,
            width,
            layers,
            heads,
            position_grid,
            activation,
        } = *config;
        let scale = Initializer::Normal {
            mean: 0.0,
            std: (width as f64).powf(-0.5),
        };
        let fan_in = 3 * patch_size * patch_size;
        let convolution = Initializer::KaimingUniform {
            gain: 1.0 / 3f64.sqrt(),
            fan_out_only: false,
        };
        Self {
            patch_embedding: PatchEmbedding {
                weight: convolution.init_with([width, 3, patch_size, patch_size], Some(fan_in), None, device),
            },
            class_embedding: scale.init([width], device),
            positional_embedding: scale.init([1 + position_grid * position_grid, width], device),
            ln_pre: LayerNorm::new(width, device),
            blocks: (0..layers)
                .map(|_| ResidualAttentionBlock::new(width, heads, activation, device))
                .collect(),
            ln_post: LayerNorm::new(width, device),
            proj: scale.init([width, embed_dim], device),
        }
    }

    /// Side of a patch in pixels.
    pub fn patch_size(&self) -> usize {
        self.patch_embedding.weight.dims()[2]
    }

    /// The encoder with another non-linearity in all blocks.
    #[must_use]
    pub fn with_activation(self, activation: Activation) -> Self {
        let blocks = self.blocks.into_iter();
        Self {
            blocks: blocks.map(|block| block.with_activation(activation)).collect(),
            ..self
        }
    }

    /// The encoder with another epsilon of all norms; CLIP's is 1e-5.
    #[must_use]
    pub fn with_layer_norm_epsilon(self, epsilon: f64) -> Self {
        let blocks = self.blocks.into_iter();
        Self {
            ln_pre: self.ln_pre.with_epsilon(epsilon),
            blocks: blocks.map(|block| block.with_layer_norm_epsilon(epsilon)).collect(),
            ln_post: self.ln_post.with_epsilon(epsilon),
            ..self
        }
    }

    /// Tokens with their positions, after `ln_pre`.
    ///
    /// # Shapes
    /// - `image`: `[batch, 3, rows, columns]`, normalized, each side at least one patch
    /// - output: `[batch, 1 + height · width, width]`
    pub fn embed(&self, image: Tensor<4>, class_token: ClassToken) -> Tokens {
        self.embed_resized(image, class_token, PositionResize::Bilinear)
    }

    /// As [`embed`](Self::embed) with another resize of positions.
    ///
    /// # Shapes
    /// - `image`: `[batch, 3, rows, columns]`, normalized, each side at least one patch
    /// - output: `[batch, 1 + height · width, width]`
    pub fn embed_resized(&self, image: Tensor<4>, class_token: ClassToken, resize: PositionResize) -> Tokens {
        let (patches, grid) = self.patch_embedding.forward(image);
        let [batch, count, width] = patches.dims();
        let positions = self.positions(grid, resize);
        let class_embedding = self.class_embedding.val().reshape([1, 1, width]);
        let class_embedding = match class_token {
            ClassToken::Once => class_embedding,
            ClassToken::Twice => class_embedding * 2.0,
        };
        let class_position = positions.clone().narrow(0, 0, 1).unsqueeze::<3>();
        let class = (class_embedding + class_position).expand([batch, 1, width]);
        let patches = patches + positions.narrow(0, 1, count).reshape([1, count, width]);
        let tokens = self.ln_pre.forward(Tensor::cat(vec![class, patches], 1));
        Tokens { tokens, grid }
    }

    /// Tokens after the last block in the joint embedding; not normalized to unit length.
    ///
    /// # Shapes
    /// - `tokens`: `[batch, tokens, width]`
    /// - output: `[batch, tokens, embed_dim]`
    pub fn project(&self, tokens: Tensor<3>) -> Tensor<3> {
        let normed = self.ln_post.forward(tokens);
        linear(normed, self.proj.val(), None, FusedActivation::None)
    }

    /// Plain CLIP: the class token's feature, not normalized to unit length.
    ///
    /// # Shapes
    /// - `image`: `[batch, 3, rows, columns]`
    /// - output: `[batch, embed_dim]`
    pub fn forward(&self, image: Tensor<4>) -> Tensor<2> {
        let mut tokens = self.embed(image, ClassToken::Once).tokens;
        if let Some((last, blocks)) = self.blocks.split_last() {
            for block in blocks {
                tokens = block.forward(tokens, AttentionScope::All);
            }
            // Patches are not needed after the last block.
            tokens = last.forward_first(tokens);
        }
        self.project(tokens.narrow(1, 0, 1)).squeeze_dim::<2>(1)
    }

    /// Plain CLIP: the features of the class token and of each patch, not normalized to unit length.
    ///
    /// # Shapes
    /// - `image`: `[batch, 3, rows, columns]`
    /// - output: `[batch, 1 + patches, embed_dim]`, the class token first
    pub fn forward_tokens(&self, image: Tensor<4>) -> Tensor<3> {
        let tokens = self.embed(image, ClassToken::Once).tokens;
        let blocks = self.blocks.iter();
        self.project(blocks.fold(tokens, |tokens, block| block.forward(tokens, AttentionScope::All)))
    }

    /// Positions of the class token and of the patches on `grid`: `[1 + height · width, width]`.
    pub fn positions(&self, grid: [usize; 2], resize: PositionResize) -> Tensor<2> {
        let stored = self.positional_embedding.val();
        let [rows, width] = stored.dims();
        let (side, count) = ((rows - 1).isqrt(), grid[0] * grid[1]);
        let kept = match resize {
            PositionResize::Bilinear => grid == [side, side],
            PositionResize::Bicubic { .. } => count == rows - 1,
        };
        if kept {
            return stored;
        }
        let map = stored.clone().narrow(0, 1, rows - 1);
        let map = map.reshape([1, side, side, width]).permute([0, 3, 1, 2]); // [1, width, side, side]
        let resized = match resize {
            PositionResize::Bilinear => resize_bilinear(map, grid),
            PositionResize::Bicubic { excess } => {
                let (device, dtype) = (map.device(), map.dtype());
                let [down, right] = grid.map(|length| bicubic_matrix(side, length, excess, &device).cast(dtype));
                down.unsqueeze::<4>()
                    .matmul(map)
                    .matmul(right.transpose().unsqueeze::<4>())
            }
        };
        let patches = resized.permute([0, 2, 3, 1]).reshape([count, width]);
        Tensor::cat(vec![stored.narrow(0, 0, 1), patches], 0)
    }
}

/// Scales the vectors along the last axis to unit length, which is computed in f32 for every element type.
///
/// # Shapes
/// Any; the output has that of the input.
pub fn l2_normalize<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let dtype = x.dtype();
    let x = x.cast(burn::tensor::FloatDType::F32);
    let length = x.clone().powi_scalar(2).sum_dim(D - 1).sqrt().clamp_min(1e-12);
    (x / length).cast(dtype)
}
