//! CLIP's residual block: pre-norm attention and a two-layer perceptron.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::{gelu, softmax};
use burn::tensor::{Device, Tensor};
use zegclip_kernels::Activation as FusedActivation;

use super::attention::{AttentionScope, KeyValue, QueryKeyValue, SelfAttention};
use crate::config::Activation;
use crate::layer_norm::LayerNorm;
use crate::linear::{add_linear, apply_linear};

/// Hidden width of the perceptron over the width of a token.
const MLP_RATIO: usize = 4;

/// One transformer block of either encoder.
#[derive(Module, Debug)]
pub struct ResidualAttentionBlock {
    /// Norm before the attention.
    pub ln_1: LayerNorm,
    /// Self-attention.
    pub attention: SelfAttention,
    /// Norm before the perceptron.
    pub ln_2: LayerNorm,
    /// First layer of the perceptron: `[width, 4 · width]`.
    pub mlp_fc: Linear,
    /// Second layer of the perceptron: `[4 · width, width]`.
    pub mlp_proj: Linear,
    #[module(skip)]
    activation: Activation,
}

impl ResidualAttentionBlock {
    /// A block with random weights.
    pub fn new(width: usize, heads: usize, activation: Activation, device: &Device) -> Self {
        Self {
            ln_1: LayerNorm::new(width, device),
            attention: SelfAttention::new(width, heads, device),
            ln_2: LayerNorm::new(width, device),
            mlp_fc: LinearConfig::new(width, MLP_RATIO * width).init(device),
            mlp_proj: LinearConfig::new(MLP_RATIO * width, width).init(device),
            activation,
        }
    }

    /// The block with another non-linearity.
    #[must_use]
    pub fn with_activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// The block with another epsilon of its norms.
    #[must_use]
    pub fn with_layer_norm_epsilon(self, epsilon: f64) -> Self {
        Self {
            ln_1: self.ln_1.with_epsilon(epsilon),
            ln_2: self.ln_2.with_epsilon(epsilon),
            ..self
        }
    }

    /// Output tokens of the block. Attention and perceptron compute in the element type of their weights, norms and residual
    /// sums in that of the tokens.
    ///
    /// # Shapes
    /// - `tokens`: `[batch, tokens, width]`
    /// - output: `[batch, tokens, width]`
    pub fn forward(&self, tokens: Tensor<3>, scope: AttentionScope<'_>) -> Tensor<3> {
        let attended = self.attention.attend(self.ln_1.forward(tokens.clone()), scope);
        self.perceptron(add_linear(tokens, &self.attention.out, attended))
    }

    /// As [`forward`](Self::forward) with [`AttentionScope::All`], and the attention weights, `[batch, heads, tokens, tokens]`.
    ///
    /// # Shapes
    /// - `tokens`: `[batch, tokens, width]`
    /// - output: `[batch, tokens, width]`
    pub fn forward_weights(&self, tokens: Tensor<3>) -> (Tensor<3>, Tensor<4>) {
        let QueryKeyValue { query, key, value } = self.attention.query_key_value(self.ln_1.forward(tokens.clone()));
        let [_, _, _, head_dim] = query.dims();
        let products = (query * (head_dim as f64).powf(-0.5)).matmul(key.swap_dims(2, 3));
        let weights = softmax(products, 3);
        let attended = self.attention.project_heads(weights.clone().matmul(value));
        (self.perceptron(tokens + attended), weights)
    }

    /// The first output token of [`forward`](Self::forward) with [`AttentionScope::All`], which is all that a class feature
    /// needs of the last block.
    ///
    /// # Shapes
    /// - `tokens`: `[batch, tokens, width]`
    /// - output: `[batch, 1, width]`
    pub fn forward_first(&self, tokens: Tensor<3>) -> Tensor<3> {
        let attended = self.attention.attend_first(self.ln_1.forward(tokens.clone()));
        self.perceptron(add_linear(tokens.narrow(1, 0, 1), &self.attention.out, attended))
    }

    /// `tokens + mlp(ln_2(tokens))`, the second half of the block.
    ///
    /// # Shapes
    /// - `tokens`: `[batch, tokens, width]`
    /// - output: `[batch, tokens, width]`
    pub fn perceptron(&self, tokens: Tensor<3>) -> Tensor<3> {
        let normed = self.ln_2.forward(tokens.clone());
        let hidden = match self.activation {
            Activation::QuickGelu => apply_linear(&self.mlp_fc, normed, FusedActivation::QuickGelu),
            Activation::Gelu => gelu(apply_linear(&self.mlp_fc, normed, FusedActivation::None)),
        };
        add_linear(tokens, &self.mlp_proj, hidden)
    }

    /// Keys and values of `tokens` in this block, without their output.
    ///
    /// # Shapes
    /// - `tokens`: `[batch, tokens, width]`
    /// - output: key and value `[batch, heads, tokens, head_dim]`
    pub fn key_value(&self, tokens: Tensor<3>) -> KeyValue {
        self.attention.key_value(self.ln_1.forward(tokens))
    }
}
