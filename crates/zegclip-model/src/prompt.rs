//! Deep prompt tuning (paper, section 3.2): learned tokens that every block attends to.
//!
//! The output of a block at a prompt is not needed if the next block replaces or drops the prompt. Such prompts enter a
//! block as keys and values only; all other tokens are those of the release.

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use zegclip_kernels::Activation;

use crate::clip::{AttentionScope, ClassToken, ImageEncoder, KeyValue, l2_normalize};
use crate::config::{PromptConfig, PromptForm, VisionConfig};
use crate::dropout::Dropout;
use crate::layer_norm::LayerNorm;
use crate::linear::apply_linear;

/// PyTorch's default for the norm that the release puts before `ln_post`.
const PROMPT_NORM_EPSILON: f64 = 1e-6;

/// The learned prompts and their common projection.
#[derive(Module, Debug)]
pub struct Prompts {
    /// Prompts of the first block `[1, count, width]`; absent in the reverse form.
    pub prompt_embeddings: Option<Param<Tensor<3>>>,
    /// Prompts of later blocks `[blocks, count, width]`; absent in the shallow form.
    pub deep_prompt_embeddings: Option<Param<Tensor<3>>>,
    /// Projection of every prompt: `[width, width]`.
    pub prompt_proj: Linear,
    /// Norm of the last hidden states before `ln_post`; stored but not applied in the shallow form.
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

    /// Keys and values of the prompts in each block of `encoder`, without dropout. In the shallow form there are none, since
    /// the blocks change the prompts.
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

/// An image encoder with its prompts.
///
/// # Example
/// ```
/// use zegclip_model::burn::tensor::{Device, Tensor};
/// use zegclip_model::prompt::PromptedEncoder;
/// use zegclip_model::{ZegClip, ZegClipConfig};
///
/// let device = Device::flex();
/// let mut config = ZegClipConfig::voc();
/// (config.vision.width, config.vision.heads, config.embed_dim) = (32, 2, 16);
/// let model = ZegClip::new(&config, &device);
/// let encoder = PromptedEncoder::new(&model.image_encoder).with_prompts(model.prompts.as_ref());
/// let features = encoder.forward(Tensor::zeros([1, 3, 64, 96], &device));
/// assert_eq!(features.grid, [4, 6]);
/// assert_eq!(features.patches.dims(), [1, 4 * 6, 16]);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct PromptedEncoder<'a> {
    encoder: &'a ImageEncoder,
    prompts: Option<&'a Prompts>,
    cache: Option<&'a PromptKvCache>,
}

impl<'a> PromptedEncoder<'a> {
    /// The encoder without prompts.
    pub fn new(encoder: &'a ImageEncoder) -> Self {
        Self {
            encoder,
            prompts: None,
            cache: None,
        }
    }

    /// With prompts, if there are any.
    #[must_use]
    pub fn with_prompts(self, prompts: Option<&'a Prompts>) -> Self {
        Self { prompts, ..self }
    }

    /// With keys and values of the prompts from [`Prompts::prepare`], for inference.
    #[must_use]
    pub fn with_cache(self, cache: Option<&'a PromptKvCache>) -> Self {
        Self { cache, ..self }
    }

    /// Features of images in the joint embedding.
    ///
    /// # Shapes
    /// - `image`: `[batch, 3, rows, columns]`, normalized, each side at least one patch
    /// - output: `patches` `[batch, height · width, embed_dim]`, `class` `[batch, embed_dim]`
    pub fn forward(&self, image: Tensor<4>) -> ImageFeatures {
        self.forward_observed(image, |_, _| {})
    }

    /// As [`forward`](Self::forward). `observe` is called with the class token and the patches (in the shallow form with the
    /// prompts between them) before the first block (`None`) and after each block.
    pub fn forward_observed(
        &self,
        image: Tensor<4>,
        mut observe: impl FnMut(Option<usize>, &Tensor<3>),
    ) -> ImageFeatures {
        let Self {
            encoder,
            prompts,
            cache,
        } = *self;
        let embedded = encoder.embed(image, ClassToken::Twice);
        let (mut tokens, grid) = (embedded.tokens, embedded.grid);
        let [batch, count, width] = tokens.dims();
        observe(None, &tokens);
        let shallow = prompts.filter(|prompts| prompts.shallow);
        if let Some(inserted) = shallow.and_then(|prompts| prompts.block_prompts(0, batch)) {
            let class = tokens.clone().narrow(1, 0, 1);
            let patches = tokens.narrow(1, 1, count - 1);
            tokens = Tensor::cat(vec![class, inserted, patches], 1); // [batch, 1 + prompts + patches, width]
        }
        let last = encoder.blocks.len().saturating_sub(1);
        for (index, block) in encoder.blocks.iter().enumerate() {
            let extra = if index == last && shallow.is_some() {
                // Shallow prompts are not needed after the last block.
                let inserted = tokens.dims()[1] - count;
                let key_value = block.key_value(tokens.clone().narrow(1, 1, inserted));
                let class = tokens.clone().narrow(1, 0, 1);
                let patches = tokens.narrow(1, 1 + inserted, count - 1);
                tokens = Tensor::cat(vec![class, patches], 1); // [batch, 1 + patches, width]
                Some(key_value)
            } else if let Some(cache) = cache {
                cache.0.get(index).cloned().flatten()
            } else {
                prompts.and_then(|prompts| prompts.block_key_value(encoder, index, batch))
            };
            let scope = extra.as_ref().map_or(AttentionScope::All, AttentionScope::WithExtra);
            tokens = block.forward(tokens, scope);
            observe(Some(index), &tokens);
        }
        if let Some(prompts) = prompts.filter(|prompts| !prompts.shallow) {
            tokens = prompts.prompt_norm.forward(tokens);
        }
        debug_assert_eq!(tokens.dims(), [batch, count, width]);
        let features = l2_normalize(encoder.project(tokens)); // [batch, 1 + patches, embed_dim]
        ImageFeatures {
            class: features.clone().narrow(1, 0, 1).squeeze_dim::<2>(1),
            patches: features.narrow(1, 1, count - 1),
            grid,
        }
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
