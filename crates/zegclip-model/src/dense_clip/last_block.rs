//! The last block, with its queries, keys and values in the hands of a method.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use zegclip_kernels::attention;

use super::naclip::neighborhood;
use crate::clip::{ImageEncoder, QueryKeyValue, ResidualAttentionBlock, Tokens};

/// The last block and what enters it.
#[derive(Debug, Clone)]
pub struct LastBlock<'a> {
    block: &'a ResidualAttentionBlock,
    /// What enters the block: `[batch, tokens, width]`.
    pub input: Tensor<3>,
    /// Queries, keys and values after `ln_1`.
    pub heads: QueryKeyValue,
}

/// What a token takes from others in the last block. q, k, v are split by heads, s is 1/√head_dim; the class token takes part.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum LastAttention {
    /// softmax(q kᵀ s): CLIP itself.
    QueryKey,
    /// Each token its own value: MaskCLIP.
    Identity,
    /// softmax(q qᵀ s): ClearCLIP.
    QueryQuery,
    /// softmax(k kᵀ s).
    KeyKey,
    /// softmax(q qᵀ s) + softmax(k kᵀ s), whose rows add up to 2: SCLIP.
    QueryQueryPlusKeyKey,
    /// softmax(k kᵀ s + ω) with the [`neighborhood`] ω: NACLIP.
    KeyKeyPlusNeighborhood {
        /// Standard deviation of ω in patches.
        std: f64,
    },
}

/// A method that changes the last block alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LastLayer {
    /// Attention of the block.
    pub attention: LastAttention,
    /// Whether the input of the block is added to the output of its attention.
    pub residual: bool,
    /// Whether the perceptron follows.
    pub feed_forward: bool,
}

impl<'a> LastBlock<'a> {
    /// The last block of `encoder`; `None` for an encoder without blocks.
    ///
    /// # Shapes
    /// - `input`: `[batch, tokens, width]`
    pub fn new(encoder: &'a ImageEncoder, input: Tensor<3>) -> Option<Self> {
        let block = encoder.blocks.last()?;
        let heads = block.attention.query_key_value(block.ln_1.forward(input.clone()));
        Some(Self { block, input, heads })
    }

    /// `a · bᵀ / √head_dim`: `[batch, heads, tokens, tokens]`.
    pub fn scaled_products(a: &Tensor<4>, b: &Tensor<4>) -> Tensor<4> {
        let [_, _, _, head_dim] = a.dims();
        (a.clone() * (head_dim as f64).powf(-0.5)).matmul(b.clone().swap_dims(2, 3))
    }

    /// Output of the attention with weights of one's own, through the output projection.
    ///
    /// # Shapes
    /// - `weights`: `[batch, heads, tokens, tokens]`
    /// - output: `[batch, tokens, width]`
    pub fn weighted(&self, weights: Tensor<4>) -> Tensor<3> {
        self.project(weights.matmul(self.heads.value.clone()))
    }

    /// Heads through the output projection.
    ///
    /// # Shapes
    /// - `heads`: `[batch, heads, tokens, head_dim]`
    /// - output: `[batch, tokens, width]`
    pub fn project(&self, heads: Tensor<4>) -> Tensor<3> {
        self.block.attention.project_heads(heads)
    }

    /// Keys of the patches through the output projection, as MaskCLIP compares them: `[batch, patches, width]`.
    pub fn projected_patch_keys(&self) -> Tensor<3> {
        let keys = self.project(self.heads.key.clone());
        let [_, tokens, _] = keys.dims();
        keys.narrow(1, 1, tokens - 1)
    }

    /// Output of the attention, before a residual: `[batch, tokens, width]`. `grid` are the patches.
    pub fn attend(&self, kind: LastAttention, grid: [usize; 2]) -> Tensor<3> {
        let QueryKeyValue { query, key, value } = &self.heads;
        let softmax_of = |a: &Tensor<4>, b: &Tensor<4>| attention(a.clone(), b.clone(), value.clone(), None, false);
        match kind {
            LastAttention::QueryKey => self.project(softmax_of(query, key)),
            LastAttention::Identity => self.project(value.clone()),
            LastAttention::QueryQuery => self.project(softmax_of(query, query)),
            LastAttention::KeyKey => self.project(softmax_of(key, key)),
            LastAttention::QueryQueryPlusKeyKey => self.project(softmax_of(query, query) + softmax_of(key, key)),
            LastAttention::KeyKeyPlusNeighborhood { std } => {
                let near = neighborhood(grid, std, &key.device()).cast(key.dtype());
                self.weighted(softmax(Self::scaled_products(key, key) + near.unsqueeze::<4>(), 3))
            }
        }
    }
}

impl LastLayer {
    /// Patch features in the joint embedding, not of unit length, from what enters the last block.
    ///
    /// # Shapes
    /// - `tokens`: `[batch, 1 + height · width, width]`
    /// - output: `[batch, height · width, embed_dim]`
    pub fn features(&self, encoder: &ImageEncoder, tokens: Tokens) -> Tensor<3> {
        let grid = tokens.grid;
        let output = match LastBlock::new(encoder, tokens.tokens.clone()) {
            Some(last) => {
                let attended = last.attend(self.attention, grid);
                let attended = if self.residual {
                    last.input.clone() + attended
                } else {
                    attended
                };
                if self.feed_forward {
                    last.block.perceptron(attended)
                } else {
                    attended
                }
            }
            None => tokens.tokens,
        };
        encoder.project(output.narrow(1, 1, grid[0] * grid[1]))
    }
}
