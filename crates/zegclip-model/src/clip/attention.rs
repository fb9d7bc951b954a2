//! Multi-head self-attention, also to keys and values of extra tokens without queries.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use zegclip_kernels::{Activation, attention, linear, self_attention};

use crate::linear::apply_linear;

/// Keys and values of some tokens, split by heads.
#[derive(Debug, Clone)]
pub struct KeyValue {
    /// `[batch or 1, heads, tokens, head_dim]`
    pub key: Tensor<4>,
    /// `[batch or 1, heads, tokens, head_dim]`
    pub value: Tensor<4>,
}

/// Queries, keys and values of tokens, split by heads: each `[batch, heads, tokens, head_dim]`.
#[derive(Debug, Clone)]
pub struct QueryKeyValue {
    /// What a token looks for.
    pub query: Tensor<4>,
    /// What a token is found by.
    pub key: Tensor<4>,
    /// What a token hands out.
    pub value: Tensor<4>,
}

/// The tokens that each token of a block attends to.
#[derive(Debug, Clone, Copy, Default)]
pub enum AttentionScope<'a> {
    /// All tokens.
    #[default]
    All,
    /// All tokens, and extra ones known by their keys and values alone, such as prompts.
    WithExtra(&'a KeyValue),
    /// The token itself and earlier ones.
    Causal,
}

/// Multi-head self-attention with one joint projection, as CLIP stores it.
#[derive(Module, Debug)]
pub struct SelfAttention {
    /// Queries, keys and values in this order: `[width, 3 · width]`.
    pub qkv: Linear,
    /// Output projection `[width, width]`.
    pub out: Linear,
    heads: usize,
}

impl SelfAttention {
    /// A layer with random weights. `heads` divides `width`.
    pub fn new(width: usize, heads: usize, device: &Device) -> Self {
        Self {
            qkv: LinearConfig::new(width, 3 * width).init(device),
            out: LinearConfig::new(width, width).init(device),
            heads,
        }
    }

    /// Attention from every token to those of `scope`.
    ///
    /// # Shapes
    /// - `tokens`: `[batch, tokens, width]`
    /// - output: `[batch, tokens, width]`, before the output projection
    pub fn attend(&self, tokens: Tensor<3>, scope: AttentionScope<'_>) -> Tensor<3> {
        let qkv = apply_linear(&self.qkv, tokens, Activation::None); // [batch, tokens, 3 · width]
        let (extra, causal) = match scope {
            AttentionScope::All => (None, false),
            AttentionScope::WithExtra(extra) => (Some((extra.key.clone(), extra.value.clone())), false),
            AttentionScope::Causal => (None, true),
        };
        self_attention(qkv, self.heads, extra, causal)
    }

    /// Queries, keys and values of all tokens, for attention of another form.
    ///
    /// # Shapes
    /// - `tokens`: `[batch, tokens, width]`
    pub fn query_key_value(&self, tokens: Tensor<3>) -> QueryKeyValue {
        let [batch, count, width] = tokens.dims();
        let heads = apply_linear(&self.qkv, tokens, Activation::None)
            .reshape([batch, count, 3, self.heads, width / self.heads])
            .permute([2, 0, 3, 1, 4]); // [3, batch, heads, tokens, head_dim]
        let part = |index| heads.clone().narrow(0, index, 1).squeeze_dim::<4>(0);
        QueryKeyValue {
            query: part(0),
            key: part(1),
            value: part(2),
        }
    }

    /// Merges heads and projects: the output of attention of another form.
    ///
    /// # Shapes
    /// - `heads`: `[batch, heads, tokens, head_dim]`
    /// - output: `[batch, tokens, width]`
    pub fn project_heads(&self, heads: Tensor<4>) -> Tensor<3> {
        let [batch, count, tokens, head_dim] = heads.dims();
        let merged = heads.swap_dims(1, 2).reshape([batch, tokens, count * head_dim]);
        apply_linear(&self.out, merged, Activation::None)
    }

    /// Attention from the first token to all tokens.
    ///
    /// # Shapes
    /// - `tokens`: `[batch, tokens, width]`
    /// - output: `[batch, 1, width]`, before the output projection
    pub fn attend_first(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [batch, _, width] = tokens.dims();
        let weight = self.qkv.weight.val().narrow(1, 0, width);
        let bias = self.qkv.bias.as_ref().map(|bias| bias.val().narrow(0, 0, width));
        let query = linear(tokens.clone().narrow(1, 0, 1), weight, bias, Activation::None)
            .reshape([batch, 1, self.heads, width / self.heads])
            .swap_dims(1, 2); // [batch, heads, 1, head_dim]
        let KeyValue { key, value } = self.key_value(tokens);
        attention(query, key, value, None, false)
            .swap_dims(1, 2) // [batch, 1, heads, head_dim]
            .reshape([batch, 1, width])
    }

    /// Keys and values of tokens that others attend to but whose own output is not needed.
    ///
    /// # Shapes
    /// - `tokens`: `[batch, tokens, width]`
    /// - output: key and value `[batch, heads, tokens, head_dim]`
    pub fn key_value(&self, tokens: Tensor<3>) -> KeyValue {
        let [batch, count, width] = tokens.dims();
        let weight = self.qkv.weight.val().narrow(1, width, 2 * width);
        let bias = self
            .qkv
            .bias
            .as_ref()
            .map(|bias| bias.val().narrow(0, width, 2 * width));
        let both = linear(tokens.cast(weight.dtype()), weight, bias, Activation::None)
            .reshape([batch, count, 2, self.heads, width / self.heads])
            .permute([2, 0, 3, 1, 4]); // [2, batch, heads, tokens, head_dim]
        KeyValue {
            key: both.clone().narrow(0, 0, 1).squeeze_dim::<4>(0),
            value: both.narrow(0, 1, 1).squeeze_dim::<4>(0),
        }
    }
}
