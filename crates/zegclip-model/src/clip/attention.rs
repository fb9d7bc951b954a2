//! Multi-head self-attention whose tokens may also attend to keys and values of tokens that are not asked themselves.

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
    /// - output: `[batch, tokens, width]`, before the output projection
    pub fn attend(&self, tokens: Tensor<3>, extra: Option<&KeyValue>, causal: bool) -> Tensor<3> {
        let qkv = apply_linear(&self.qkv, tokens, Activation::None);
        let extra = extra.map(|extra| (extra.key.clone(), extra.value.clone()));
        self_attention(qkv, self.heads, extra, causal)
    }

    /// What the first token attends to of all tokens.
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
            .swap_dims(1, 2);
        let KeyValue { key, value } = self.key_value(tokens);
        attention(query, key, value, None, false)
            .swap_dims(1, 2)
            .reshape([batch, 1, width])
    }

    /// The output of tokens that attend to themselves alone: their projected values.
    ///
    /// # Shapes
    /// - `tokens`: `[batch, tokens, width]`
    /// - output: `[batch, tokens, width]`
    pub fn values(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [_, _, width] = tokens.dims();
        let weight = self.qkv.weight.val().narrow(1, 2 * width, width);
        let bias = self
            .qkv
            .bias
            .as_ref()
            .map(|bias| bias.val().narrow(0, 2 * width, width));
        apply_linear(
            &self.out,
            linear(tokens, weight, bias, Activation::None),
            Activation::None,
        )
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
        let both = linear(tokens.cast(weight.dtype()), weight, bias, Activation::None)
            .reshape([batch, count, 2, self.heads, width / self.heads])
            .permute([2, 0, 3, 1, 4]); // [2, batch, heads, tokens, head_dim]
        KeyValue {
            key: both.clone().narrow(0, 0, 1).squeeze_dim::<4>(0),
            value: both.narrow(0, 1, 1).squeeze_dim::<4>(0),
        }
    }
}
