//! Cross-attention decoder whose last attention scores are the masks (paper, section 3.4).

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use zegclip_kernels::Activation;

use crate::config::{DecoderConfig, Similarity};
use crate::dropout::Dropout;
use crate::layer_norm::LayerNorm;
use crate::linear::apply_linear;

/// Bias of the queries in [`Decoder::with_similarity_init`].
const QUERY_BIAS: f64 = 0.5;

/// Attention from class queries to patch features.
#[derive(Module, Debug)]
pub struct CrossAttention {
    /// `[width, width]`
    pub q: Linear,
    /// `[width, width]`
    pub k: Linear,
    /// `[width, width]`
    pub v: Linear,
    /// `[width, width]`
    pub proj: Linear,
    /// Dropout of attention weights.
    pub attention_dropout: Dropout,
    heads: usize,
}

/// Cross-attention and a feed-forward network, each followed by add & norm. As published there is no self-attention.
#[derive(Module, Debug)]
pub struct DecoderLayer {
    /// Queries to patches.
    pub cross_attention: CrossAttention,
    /// Norm after the attention. `norm1` of checkpoints belongs to a self-attention that the release does not run.
    pub norm2: LayerNorm,
    /// `[width, ffn]`
    pub linear1: Linear,
    /// `[ffn, width]`
    pub linear2: Linear,
    /// Norm after the feed-forward network.
    pub norm3: LayerNorm,
    /// Dropout of the outputs of the attention and of both linear layers.
    pub dropout: Dropout,
}

/// The layers. Of the last one only `q` and `k` are used.
#[derive(Module, Debug)]
pub struct Decoder {
    /// At least one layer.
    pub layers: Vec<DecoderLayer>,
}

impl CrossAttention {
    fn new(width: usize, heads: usize, dropout: f64, device: &Device) -> Self {
        let linear = || LinearConfig::new(width, width).init(device);
        Self {
            q: linear(),
            k: linear(),
            v: linear(),
            proj: linear(),
            attention_dropout: Dropout::new(dropout),
            heads,
        }
    }

    /// # Shapes
    /// - `queries`: `[batch, classes, width]`
    /// - `memory`: `[batch, patches, width]`
    /// - output: `[batch, classes, width]`
    pub fn forward(&self, queries: Tensor<3>, memory: Tensor<3>) -> Tensor<3> {
        let [batch, classes, width] = queries.dims();
        let query = self.split_heads(apply_linear(&self.q, queries, Activation::None));
        let key = self.split_heads(apply_linear(&self.k, memory.clone(), Activation::None));
        let value = self.split_heads(apply_linear(&self.v, memory, Activation::None));
        let attended = self.attention_dropout.attend(query, key, value);
        let merged = attended.swap_dims(1, 2).reshape([batch, classes, width]); // [batch, classes, width]
        apply_linear(&self.proj, merged, Activation::None)
    }

    /// Attention scores before the softmax, averaged over heads: `q · k / (sqrt(head_dim) · heads)` over the full width, since
    /// the sum of the products of all heads is one product.
    ///
    /// # Shapes
    /// - `queries`: `[batch, classes, width]`
    /// - `memory`: `[batch, patches, width]`
    /// - output: `[batch, classes, patches]`
    pub fn scores(&self, queries: Tensor<3>, memory: Tensor<3>) -> Tensor<3> {
        let width = queries.dims()[2];
        let scale = ((width / self.heads) as f64).powf(-0.5) / self.heads as f64;
        let query = apply_linear(&self.q, queries, Activation::None) * scale;
        query.matmul(apply_linear(&self.k, memory, Activation::None).swap_dims(1, 2))
    }

    fn split_heads(&self, tokens: Tensor<3>) -> Tensor<4> {
        let [batch, count, width] = tokens.dims();
        tokens
            .reshape([batch, count, self.heads, width / self.heads])
            .swap_dims(1, 2) // [batch, heads, tokens, head_dim]
    }
}

impl DecoderLayer {
    fn new(config: &DecoderConfig, width: usize, device: &Device) -> Self {
        let hidden = config.ffn_ratio * width;
        Self {
            cross_attention: CrossAttention::new(width, config.heads, config.dropout, device),
            norm2: LayerNorm::new(width, device),
            linear1: LinearConfig::new(width, hidden).init(device),
            linear2: LinearConfig::new(hidden, width).init(device),
            norm3: LayerNorm::new(width, device),
            dropout: Dropout::new(config.dropout),
        }
    }

    /// Queries of the next layer.
    ///
    /// # Shapes
    /// - `queries`: `[batch, classes, width]`
    /// - `memory`: `[batch, patches, width]`
    /// - output: `[batch, classes, width]`
    pub fn forward(&self, queries: Tensor<3>, memory: Tensor<3>) -> Tensor<3> {
        let attended = self.cross_attention.forward(queries.clone(), memory);
        let queries = self.norm2.forward(queries + self.dropout.forward(attended));
        let hidden = self
            .dropout
            .forward(apply_linear(&self.linear1, queries.clone(), Activation::Relu));
        let output = self
            .dropout
            .forward(apply_linear(&self.linear2, hidden, Activation::None));
        self.norm3.forward(queries + output)
    }
}

impl Decoder {
    /// Layers with PyTorch's default initial values. As in the release, all are copies of one.
    pub fn new(config: &DecoderConfig, width: usize, device: &Device) -> Self {
        let first = DecoderLayer::new(config, width, device);
        let layers = (0..config.layers).map(|_| copy_of(&first)).collect();
        Self { layers }
    }

    /// The decoder with initial masks equal to `similarity` of queries and patches: all layers but the last are identities of
    /// their queries, and the projections of the last one are multiples of the identity.
    #[must_use]
    pub fn with_similarity_init(mut self, similarity: Similarity) -> Self {
        let Similarity { scale, threshold } = similarity;
        let Some((last, others)) = self.layers.split_last_mut() else {
            return self;
        };
        for layer in others.iter_mut() {
            zero_init(&mut layer.cross_attention.proj);
            zero_init(&mut layer.linear2);
        }
        let attention = &mut last.cross_attention;
        let width = attention.q.weight.dims()[0];
        let device = attention.q.weight.device();
        // The divisor of the scores.
        let divisor = (width as f64 * attention.heads as f64).sqrt();
        // Queries have length √width after a norm, else that of texts, 1.
        let length = if others.is_empty() { 1.0 } else { (width as f64).sqrt() };
        let diagonal = (scale * divisor / length).sqrt();
        // Queries have mean 0 after a norm, so two constant biases add a constant. The query bias is the smaller one, since it
        // also multiplies the mean of patches, which is not exactly 0.
        let constant = -scale * threshold * divisor / width as f64;
        let [query_bias, key_bias] = [QUERY_BIAS, constant / QUERY_BIAS];
        for (linear, bias) in [(&mut attention.q, query_bias), (&mut attention.k, key_bias)] {
            linear.weight = Param::from_tensor(Tensor::eye(width, &device) * diagonal);
            linear.bias = Some(Param::from_tensor(Tensor::full([width], bias, &device)));
        }
        self
    }

    /// Masks at patch grid, before σ.
    ///
    /// # Shapes
    /// - `queries`: class queries `[batch, classes, width]`
    /// - `memory`: patch features `[batch, patches, width]`
    /// - output: `[batch, classes, patches]`
    pub fn forward(&self, queries: Tensor<3>, memory: Tensor<3>) -> Tensor<3> {
        let mut queries = queries;
        for layer in &self.layers[..self.layers.len() - 1] {
            queries = layer.forward(queries, memory.clone());
        }
        let last = &self.layers[self.layers.len() - 1];
        last.cross_attention.scores(queries, memory)
    }
}

/// Sets weight and bias to 0.
fn zero_init(linear: &mut Linear) {
    linear.weight = Param::from_tensor(linear.weight.val().zeros_like());
    linear.bias = linear
        .bias
        .take()
        .map(|bias| Param::from_tensor(bias.val().zeros_like()));
}

/// A copy with its own parameter identities.
fn copy_of(layer: &DecoderLayer) -> DecoderLayer {
    struct NewIds;
    impl burn::module::ModuleMapper for NewIds {
        fn map_float<const D: usize>(
            &mut self,
            param: burn::module::Param<Tensor<D>>,
        ) -> burn::module::Param<Tensor<D>> {
            burn::module::Param::initialized(burn::module::ParamId::new(), param.val())
        }
    }
    layer.clone().map(&mut NewIds)
}
