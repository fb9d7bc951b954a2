//! CLIP's text encoder: a causal transformer read at the end-of-text token.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Int, Tensor, TensorData};
use zegclip_kernels::{Activation as FusedActivation, linear};

use super::attention::AttentionScope;
use super::block::ResidualAttentionBlock;
use crate::config::TextConfig;
use crate::layer_norm::LayerNorm;

/// Sequences of a batch.
const BATCH: usize = 64;

/// The text transformer.
#[derive(Module, Debug)]
pub struct TextEncoder {
    /// `[vocabulary_size, width]`, or `[kept + 1, width]` with a
    /// [pruned vocabulary](TextConfig::pruned_vocabulary).
    pub token_embedding: Param<Tensor<2>>,
    /// `[context_length, width]`
    pub positional_embedding: Param<Tensor<2>>,
    /// The transformer.
    pub blocks: Vec<ResidualAttentionBlock>,
    /// Norm after the last block.
    pub ln_final: LayerNorm,
    /// To the joint embedding: `[width, embed_dim]`, no bias.
    pub text_projection: Param<Tensor<2>>,
    #[module(skip)]
    pruned_vocabulary: Option<Vec<u32>>,
}

impl TextEncoder {
    /// An encoder with CLIP's random initial values.
    pub fn new(config: &TextConfig, embed_dim: usize, device: &Device) -> Self {
        let normal = |std: f64| Initializer::Normal { mean: 0.0, std };
        let TextConfig { width, .. } = *config;
        Self {
            token_embedding: normal(0.02).init([config.embedding_rows(), width], device),
            positional_embedding: normal(0.01).init([config.context_length, width], device),
            blocks: (0..config.layers)
                .map(|_| ResidualAttentionBlock::new(width, config.heads, config.activation, device))
                .collect(),
            ln_final: LayerNorm::new(width, device),
            text_projection: normal((width as f64).powf(-0.5)).init([width, embed_dim], device),
            pruned_vocabulary: config.pruned_vocabulary.clone(),
        }
    }

    /// The row of the embedding that belongs to a token.
    fn row(&self, id: u32) -> i64 {
        match &self.pruned_vocabulary {
            None => i64::from(id),
            Some(kept) => kept.binary_search(&id).unwrap_or(kept.len()) as i64,
        }
    }

    /// Longest sequence that the encoder takes, start and end tokens included.
    pub fn context_length(&self) -> usize {
        self.positional_embedding.dims()[0]
    }

    /// Features of token sequences, not normalized to unit length.
    ///
    /// Each sequence ends with its end-of-text token and is not padded. Attention is causal, so tokens after it do not change
    /// the feature: batches of similar length are encoded up to their longest sequence.
    ///
    /// # Shapes
    /// - `sequences`: each of 1 to `context_length` token ids
    /// - output: `[sequences, embed_dim]`
    pub fn forward(&self, sequences: &[Vec<u32>]) -> Tensor<2> {
        let mut by_length: Vec<usize> = (0..sequences.len()).collect();
        by_length.sort_by_key(|&index| sequences[index].len());
        let encoded: Vec<Tensor<2>> = by_length
            .chunks(BATCH)
            .map(|chunk| {
                self.encode_batch(
                    &chunk
                        .iter()
                        .map(|&index| sequences[index].as_slice())
                        .collect::<Vec<_>>(),
                )
            })
            .collect();
        let mut position = vec![0i64; sequences.len()];
        for (row, &index) in by_length.iter().enumerate() {
            position[index] = row as i64;
        }
        let device = self.token_embedding.device();
        let count = position.len();
        let order = Tensor::<1, Int>::from_data(TensorData::new(position, [count]), &device);
        Tensor::cat(encoded, 0).select(0, order)
    }

    /// Features of a few sequences: `[sequences, embed_dim]`.
    fn encode_batch(&self, sequences: &[&[u32]]) -> Tensor<2> {
        let device = self.token_embedding.device();
        let (batch, width) = (sequences.len(), self.token_embedding.dims()[1]);
        let length = sequences.iter().map(|ids| ids.len()).max().unwrap_or(0);
        let mut ids = vec![0i64; batch * length];
        let mut ends = vec![0i64; batch];
        for (row, sequence) in sequences.iter().enumerate() {
            for (slot, &id) in ids[row * length..].iter_mut().zip(*sequence) {
                *slot = self.row(id);
            }
            ends[row] = (row * length + sequence.len() - 1) as i64;
        }
        let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [batch * length]), &device);
        let ends = Tensor::<1, Int>::from_data(TensorData::new(ends, [batch]), &device);
        let embedded = self
            .token_embedding
            .val()
            .select(0, ids)
            .reshape([batch, length, width]); // [sequences, tokens, width]
        let positions = self.positional_embedding.val().narrow(0, 0, length).unsqueeze::<3>();
        let mut tokens = embedded + positions;
        for block in &self.blocks {
            tokens = block.forward(tokens, AttentionScope::Causal);
        }
        let last = tokens.reshape([batch * length, width]).select(0, ends); // [sequences, width]
        let normed = self.ln_final.forward(last);
        linear(normed, self.text_projection.val(), None, FusedActivation::None)
    }
}
