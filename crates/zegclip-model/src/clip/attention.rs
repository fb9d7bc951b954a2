//! Multi-head self-attention whose tokens may also attend to keys and values of tokens that are not asked themselves.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::module::{attention, attention_fallback, linear};
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor};

use crate::device;

/// Keys and values of some tokens, split by heads.
#[derive(Debug, Clone)]
pub struct KeyValue {
    /// `[batch or 1, heads, tokens, head_dim]`
    pub key: Tensor<4>,
    /// `[batch or 1, heads, tokens, head_dim]`
    pub value: Tensor<4>,
}

/// Multi-head self-attention with one fused projection, as CLIP stores it.
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

    /// Attends from every token to every token (only to earlier ones and itself if `causal`) and to `extra`.
    ///
    /// # Shapes
    /// - `tokens`: `[batch, tokens, width]`
    /// - output: `[batch, tokens, width]`
    pub fn forward(&self, tokens: Tensor<3>, extra: Option<&KeyValue>, causal: bool) -> Tensor<3> {
        let [batch, count, width] = tokens.dims();
        let head_dim = width / self.heads;
        let qkv = self
            .qkv
            .forward(tokens)
            .reshape([batch, count, 3, self.heads, head_dim])
            .permute([2, 0, 3, 1, 4]); // [3, batch, heads, tokens, head_dim]
        let part = |index: usize| qkv.clone().narrow(0, index, 1).squeeze_dim::<4>(0);
        let (query, mut key, mut value) = (part(0), part(1), part(2));
        if let Some(extra) = extra {
            key = Tensor::cat(vec![key, expand_batch(&extra.key, batch)], 2);
            value = Tensor::cat(vec![value, expand_batch(&extra.value, batch)], 2);
        }
        let attended = scaled_dot_product_attention(query, key, value, causal)
            .swap_dims(1, 2)
            .reshape([batch, count, width]);
        self.out.forward(attended)
    }

    /// Keys and values of tokens that others attend to but whose own output nobody reads.
    ///
    /// # Shapes
    /// - `tokens`: `[batch, tokens, width]`
    pub fn key_value(&self, tokens: Tensor<3>) -> KeyValue {
        let [batch, count, width] = tokens.dims();
        let weight = self.qkv.weight.val().narrow(1, width, 2 * width);
        let bias = self
            .qkv
            .bias
            .as_ref()
            .map(|bias| bias.val().narrow(0, width, 2 * width));
        let both = linear(tokens, weight, bias)
            .reshape([batch, count, 2, self.heads, width / self.heads])
            .permute([2, 0, 3, 1, 4]); // [2, batch, heads, tokens, head_dim]
        KeyValue {
            key: both.clone().narrow(0, 0, 1).squeeze_dim::<4>(0),
            value: both.narrow(0, 1, 1).squeeze_dim::<4>(0),
        }
    }
}

/// `softmax(query · keyᵀ / sqrt(head_dim)) · value`.
///
/// # Shapes
/// - `query`: `[batch, heads, queries, head_dim]`
/// - `key`, `value`: `[batch, heads, keys, head_dim]`
/// - output: `[batch, heads, queries, head_dim]`
pub fn scaled_dot_product_attention(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, causal: bool) -> Tensor<4> {
    let options = AttentionModuleOptions {
        is_causal: causal,
        ..Default::default()
    };
    if device::fused_attention_is_exact(&query) {
        attention(query, key, value, None, None, options)
    } else {
        attention_fallback(query, key, value, None, None, options)
    }
}

fn expand_batch(tensor: &Tensor<4>, batch: usize) -> Tensor<4> {
    let [own, heads, tokens, head_dim] = tensor.dims();
    if own == batch {
        tensor.clone()
    } else {
        tensor.clone().expand([batch, heads, tokens, head_dim])
    }
}
