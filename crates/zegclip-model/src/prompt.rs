//! Deep prompt tuning (paper, section 3.2): learned tokens that every block attends to.
//!
//! A block's output at a prompt token is never read where the next block replaces or drops it. Such prompts therefore
//! enter a block only as keys and values; the result is the published one, token for token.

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use zegclip_kernels::Activation;

use crate::clip::{ClassToken, ImageEncoder, KeyValue, l2_normalize};
use crate::config::{PromptConfig, PromptForm, VisionConfig};
use crate::dropout::Dropout;
use crate::layer_norm::LayerNorm;
use crate::linear::apply_linear;

/// PyTorch's default for the norm that the release puts before `ln_post`.
const PROMPT_NORM_EPSILON: f64 = 1e-6;

/// The trained tokens and the projection that they share.
#[derive(Module, Debug)]
pub struct Prompts {
    /// Prompts of the first block `[1, count, width]`; absent in the reverse form.
    pub prompt_embeddings: Option<Param<Tensor<3>>>,
    /// Prompts of later blocks `[blocks, count, width]`; absent in the shallow form.
    pub deep_prompt_embeddings: Option<Param<Tensor<3>>>,
    /// Projection of every prompt: `[width, width]`.
    pub prompt_proj: Linear,
    /// Norm of the last hidden states before `ln_post`; held but not applied in the shallow form.
    pub prompt_norm: LayerNorm,
    /// Drops values of projected prompts in training, independently for each image.
    pub prompt_dropout: Dropout,
    shallow: bool,
    first_deep_block: usize,
}

/// Features of a batch of images in CLIP's joint embedding.
#[derive(Debug, Clone)]
pub struct ImageFeatures {
    /// Patch features of unit length, row by row: `[batch, height · width, embed_dim]`.
    pub patches: Tensor<3>,
    /// Class-token feature of unit length: `[batch, embed_dim]`.
    pub class: Tensor<2>,
    /// Patches `[height, width]`.
    pub grid: [usize; 2],
}

/// Keys and values of the prompts in each block. They do not depend on the image, so inference computes them once.
#[derive(Debug, Clone, Default)]
pub struct PromptKvCache(Vec<Option<KeyValue>>);

impl Prompts {
    /// Random prompts as published: uniform in ±sqrt(6 / (3 · patch_size² + width)).
    pub fn new(config: &PromptConfig, vision: &VisionConfig, device: &Device) -> Self {
        let PromptConfig { count, form, dropout } = *config;
        let width = vision.width;
        let limit = (6.0 / (3 * vision.patch_size * vision.patch_size + width) as f64).sqrt();
        let uniform = Initializer::Uniform {
            min: -limit,
            max: limit,
        };
        let tokens = |blocks: usize| uniform.init([blocks, count, width], device);
        let (first, deep, first_deep_block) = match form {
            PromptForm::Shallow => (Some(tokens(1)), None, 1),
            PromptForm::Deep(blocks) => (Some(tokens(1)), Some(tokens(blocks)), 1),
            PromptForm::Reverse(blocks) => (None, Some(tokens(blocks)), vision.layers.saturating_sub(blocks)),
        };
        Self {
            prompt_embeddings: first,
            deep_prompt_embeddings: deep,
            prompt_proj: prompt_projection(width, device),
            prompt_norm: LayerNorm::new(width, device).with_epsilon(PROMPT_NORM_EPSILON),
            prompt_dropout: Dropout::new(dropout),
            shallow: form == PromptForm::Shallow,
            first_deep_block,
        }
    }

    /// Keys and values of the prompts that block after block replaces or drops, without dropout.
    pub fn prepare(&self, encoder: &ImageEncoder) -> PromptKvCache {
        PromptKvCache(
            (0..encoder.blocks.len())
                .map(|block| self.block_key_value(encoder, block, 1))
                .collect(),
        )
    }

    /// Prompts of one block after projection and dropout: `[batch, count, width]`.
    fn block_prompts(&self, block: usize, batch: usize) -> Option<Tensor<3>> {
        let prompts = if block == 0 {
            self.prompt_embeddings.as_ref()?.val()
        } else {
            let deep = self.deep_prompt_embeddings.as_ref()?.val();
            let row = block.checked_sub(self.first_deep_block)?;
            if row >= deep.dims()[0] {
                return None;
            }
            deep.narrow(0, row, 1)
        };
        let [_, count, width] = prompts.dims();
        let projected = apply_linear(&self.prompt_proj, prompts, Activation::None).expand([batch, count, width]);
        Some(self.prompt_dropout.forward(projected))
    }

    fn block_key_value(&self, encoder: &ImageEncoder, block: usize, batch: usize) -> Option<KeyValue> {
        if self.shallow {
            return None;
        }
        let prompts = self.block_prompts(block, batch)?;
        Some(encoder.blocks[block].key_value(prompts))
    }
}

/// Encodes images for ZegCLIP, with or without prompts. `cache` are the keys and values of the prompts where they are
/// known already (inference). `observe` sees the class token and the patches (in the shallow form the prompts between them)
/// before the first block (`None`) and after each block.
///
/// # Shapes
/// - `image`: `[batch, 3, rows, columns]`, normalised, each side at least one patch
pub fn encode_image(
    encoder: &ImageEncoder,
    prompts: Option<&Prompts>,
    cache: Option<&PromptKvCache>,
    image: Tensor<4>,
    mut observe: impl FnMut(Option<usize>, &Tensor<3>),
) -> ImageFeatures {
    let embedded = encoder.embed(image, ClassToken::Twice);
    let (mut tokens, grid) = (embedded.tokens, embedded.grid);
    let [batch, count, width] = tokens.dims();
    observe(None, &tokens);
    let carried = prompts.filter(|prompts| prompts.shallow);
    if let Some(inserted) = carried.and_then(|prompts| prompts.block_prompts(0, batch)) {
        let class = tokens.clone().narrow(1, 0, 1);
        let patches = tokens.narrow(1, 1, count - 1);
        tokens = Tensor::cat(vec![class, inserted, patches], 1);
    }
    let last = encoder.blocks.len().saturating_sub(1);
    for (index, block) in encoder.blocks.iter().enumerate() {
        let extra = match cache {
            Some(cache) => cache.0.get(index).cloned().flatten(),
            None => prompts.and_then(|prompts| prompts.block_key_value(encoder, index, batch)),
        };
        let extra = if index == last && carried.is_some() {
            // Nobody reads carried prompts after the last block.
            let inserted = tokens.dims()[1] - count;
            let key_value = block.key_value(tokens.clone().narrow(1, 1, inserted));
            let class = tokens.clone().narrow(1, 0, 1);
            let patches = tokens.narrow(1, 1 + inserted, count - 1);
            tokens = Tensor::cat(vec![class, patches], 1);
            Some(key_value)
        } else {
            extra
        };
        tokens = block.forward(tokens, extra.as_ref(), false);
        observe(Some(index), &tokens);
    }
    if let Some(prompts) = prompts.filter(|prompts| !prompts.shallow) {
        tokens = prompts.prompt_norm.forward(tokens);
    }
    debug_assert_eq!(tokens.dims(), [batch, count, width]);
    let features = l2_normalize(encoder.project(tokens));
    ImageFeatures {
        class: features.clone().narrow(1, 0, 1).squeeze_dim::<2>(1),
        patches: features.narrow(1, 1, count - 1),
        grid,
    }
}

/// Kaiming normal over the output width, bias as PyTorch's default for a linear layer.
fn prompt_projection(width: usize, device: &Device) -> Linear {
    let mut projection = LinearConfig::new(width, width).init(device);
    let kaiming = Initializer::KaimingNormal {
        gain: 2f64.sqrt(),
        fan_out_only: true,
    };
    projection.weight = kaiming.init_with([width, width], Some(width), Some(width), device);
    projection
}
