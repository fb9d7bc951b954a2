//! Configurations of models, with the published presets.

use serde::{Deserialize, Serialize};
pub use zegclip_kernels::MaskActivation;
use zegclip_text::tokenizer::Tokenizer;

/// Whether an activation is the published one, which model files omit.
fn is_published_activation(activation: &MaskActivation) -> bool {
    *activation == MaskActivation::Sigmoid
}

/// Non-linearity of the encoders' perceptrons.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x · σ(1.702 x)`: OpenAI's models and ZegCLIP.
    #[default]
    QuickGelu,
    /// `x · Φ(x)`: most of OpenCLIP's own models.
    Gelu,
}

impl std::fmt::Display for Activation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::QuickGelu => "quick_gelu",
            Self::Gelu => "gelu",
        })
    }
}

/// Sizes of CLIP's image encoder, a vision transformer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisionConfig {
    /// Side of a square patch in pixels.
    pub patch_size: usize,
    /// Width of a token.
    pub width: usize,
    /// Number of transformer blocks.
    pub layers: usize,
    /// Attention heads of a block; divides `width`.
    pub heads: usize,
    /// Side of the square grid that the stored position embedding covers. Other grids are interpolated from it.
    pub position_grid: usize,
    /// Non-linearity of the perceptrons.
    #[serde(default)]
    pub activation: Activation,
}

/// Sizes of CLIP's text encoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextConfig {
    /// Width of a token.
    pub width: usize,
    /// Number of transformer blocks.
    pub layers: usize,
    /// Attention heads of a block; divides `width`.
    pub heads: usize,
    /// Longest token sequence, start and end tokens included.
    pub context_length: usize,
    /// Number of token ids.
    pub vocabulary_size: usize,
    /// Non-linearity of the perceptrons.
    #[serde(default)]
    pub activation: Activation,
    /// Token ids with a row of their own in the token embedding, strictly increasing; all other ids share one more row, the
    /// last. `None`: one row per id. The key in files is `kept_tokens`.
    #[serde(default, rename = "kept_tokens", skip_serializing_if = "Option::is_none")]
    pub pruned_vocabulary: Option<Vec<u32>>,
}

impl TextConfig {
    /// Token ids of a text outside the [pruned vocabulary](Self::pruned_vocabulary), whose common embedding carries no
    /// meaning. Empty without a pruned vocabulary.
    pub fn unknown_tokens(&self, text: &str) -> Vec<u32> {
        let Some(kept) = &self.pruned_vocabulary else {
            return Vec::new();
        };
        let ids = Tokenizer::clip().encode(text, self.context_length).ids;
        ids.into_iter().filter(|id| kept.binary_search(id).is_err()).collect()
    }
}

/// How learned prompt tokens enter the image encoder (paper, section 3.2 and its ablation).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptForm {
    /// Inserted before the first block and carried through all blocks.
    Shallow,
    /// Inserted before the first block and replaced before each of the next `n` blocks, then dropped.
    Deep(usize),
    /// Inserted before each of the last `n` blocks only. As published, never before the first block.
    Reverse(usize),
}

/// Number and form of the prompts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptConfig {
    /// Prompt tokens per block.
    pub count: usize,
    /// The blocks with prompts.
    pub form: PromptForm,
    /// Dropout probability of a value of a prompt, in `[0, 1)`.
    #[serde(default = "published_dropout")]
    pub dropout: f64,
}

/// Sizes of the cross-attention decoder (paper, section 3.4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderConfig {
    /// Number of layers, at least one; the scores of the last one are the masks.
    pub layers: usize,
    /// Attention heads of a layer; divides the embedding width.
    pub heads: usize,
    /// Width of the feed-forward network over the embedding width.
    pub ffn_ratio: usize,
    /// Dropout probability of attention weights and layer outputs, in `[0, 1)`.
    #[serde(default = "published_dropout")]
    pub dropout: f64,
}

/// Form of the relation descriptor, from which class queries are projected (paper, section 3.3 and its ablation).
///
/// `cls` is the image's class feature, `text` the text feature of a class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationForm {
    /// `text` alone: no relation to the image.
    Text,
    /// `cls ⊙ text`.
    Product,
    /// `|cls − text|`.
    Difference,
    /// `concat(cls ⊙ text, text)`, the published descriptor.
    #[default]
    ProductText,
    /// `concat(|cls − text|, text)`.
    DifferenceText,
    /// `concat(cls ⊙ text, |cls − text|)`.
    ProductDifference,
    /// `concat(cls ⊙ text, |cls − text|, text)`.
    ProductDifferenceText,
}

impl RelationForm {
    /// Width of the descriptor over the width of a feature.
    pub fn parts(self) -> usize {
        match self {
            Self::Text | Self::Product | Self::Difference => 1,
            Self::ProductText | Self::DifferenceText | Self::ProductDifference => 2,
            Self::ProductDifferenceText => 3,
        }
    }

    /// Whether the last part is the text itself.
    pub fn ends_in_text(self) -> bool {
        matches!(
            self,
            Self::Text | Self::ProductText | Self::DifferenceText | Self::ProductDifferenceText
        )
    }
}

/// CLIP's own similarity of patches and texts, `scale · (cosine − threshold)`, as masks before σ.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Similarity {
    /// Positive; CLIP's temperature is 100.
    pub scale: f64,
    /// The cosine of score 0.5, in `(0, 1)`.
    pub threshold: f64,
}

/// ZegCLIP without a text encoder: text features are its input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZegClipConfig {
    /// Side in pixels of a square training crop and of a window.
    pub image_size: usize,
    /// Pixels from one window of the sliding window to the next.
    pub stride: usize,
    /// Width of CLIP's joint embedding of images and texts.
    pub embed_dim: usize,
    /// The image encoder.
    pub vision: VisionConfig,
    /// Its prompts; `None` is the plain frozen encoder.
    #[serde(default)]
    pub prompts: Option<PromptConfig>,
    /// The relation descriptor.
    #[serde(default)]
    pub relation: RelationForm,
    /// The decoder.
    pub decoder: DecoderConfig,
    /// What turns its masks into scores.
    #[serde(default, skip_serializing_if = "is_published_activation")]
    pub mask_activation: MaskActivation,
}

/// CLIP as published by OpenAI: both encoders and the temperature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipConfig {
    /// Width of the joint embedding.
    pub embed_dim: usize,
    /// The image encoder.
    pub vision: VisionConfig,
    /// The text encoder.
    pub text: TextConfig,
}

fn published_dropout() -> f64 {
    0.1
}

impl PromptConfig {
    /// Deep prompts in all twelve layers of ViT-B/16 as published: 10 for VOC, 100 for COCO-Stuff.
    pub fn published(count: usize) -> Self {
        Self {
            count,
            form: PromptForm::Deep(11),
            dropout: published_dropout(),
        }
    }
}

impl DecoderConfig {
    /// Three layers of eight heads, feed-forward four times as wide.
    pub fn published() -> Self {
        Self {
            layers: 3,
            heads: 8,
            ffn_ratio: 4,
            dropout: published_dropout(),
        }
    }
}

impl VisionConfig {
    /// ViT-B/32 at 224 pixels.
    pub fn vit_b32() -> Self {
        Self {
            patch_size: 32,
            position_grid: 7,
            ..Self::vit_b16()
        }
    }

    /// ViT-B/16 at 224 pixels, the paper's encoder.
    pub fn vit_b16() -> Self {
        Self {
            patch_size: 16,
            width: 768,
            layers: 12,
            heads: 12,
            position_grid: 14,
            activation: Activation::QuickGelu,
        }
    }

    /// ViT-L/14 at 224 pixels.
    pub fn vit_l14() -> Self {
        Self {
            patch_size: 14,
            width: 1024,
            layers: 24,
            heads: 16,
            position_grid: 16,
            activation: Activation::QuickGelu,
        }
    }
}

impl TextConfig {
    /// Rows of the token embedding.
    pub fn embedding_rows(&self) -> usize {
        self.pruned_vocabulary
            .as_ref()
            .map_or(self.vocabulary_size, |kept| kept.len() + 1)
    }

    /// The text encoder of ViT-B/32 and ViT-B/16.
    pub fn base() -> Self {
        Self {
            width: 512,
            layers: 12,
            heads: 8,
            context_length: 77,
            vocabulary_size: 49_408,
            activation: Activation::QuickGelu,
            pruned_vocabulary: None,
        }
    }

    /// The text encoder of ViT-L/14.
    pub fn large() -> Self {
        Self {
            width: 768,
            heads: 12,
            ..Self::base()
        }
    }
}

impl ClipConfig {
    /// CLIP ViT-B/32.
    pub fn vit_b32() -> Self {
        Self {
            embed_dim: 512,
            vision: VisionConfig::vit_b32(),
            text: TextConfig::base(),
        }
    }

    /// CLIP ViT-B/16.
    pub fn vit_b16() -> Self {
        Self {
            embed_dim: 512,
            vision: VisionConfig::vit_b16(),
            text: TextConfig::base(),
        }
    }

    /// CLIP ViT-L/14.
    pub fn vit_l14() -> Self {
        Self {
            embed_dim: 768,
            vision: VisionConfig::vit_l14(),
            text: TextConfig::large(),
        }
    }
}

impl ZegClipConfig {
    /// The published model for PASCAL VOC 2012: ViT-B/16, 10 deep prompts.
    pub fn voc() -> Self {
        Self::published(10)
    }

    /// The published model for COCO-Stuff 164k: ViT-B/16, 100 deep prompts.
    pub fn coco() -> Self {
        Self::published(100)
    }

    /// The published ratio of stride and window: five sixths of `image_size`, rounded down (426 of 512), at least 1.
    pub fn default_stride(image_size: usize) -> usize {
        (image_size * 5 / 6).max(1)
    }

    /// Patches along a side of the training crop.
    pub fn grid(&self) -> usize {
        self.image_size / self.vision.patch_size
    }

    fn published(prompts: usize) -> Self {
        Self {
            image_size: 512,
            stride: Self::default_stride(512),
            embed_dim: 512,
            vision: VisionConfig {
                // Resized when CLIP's weights are loaded.
                position_grid: 32,
                ..VisionConfig::vit_b16()
            },
            prompts: Some(PromptConfig::published(prompts)),
            relation: RelationForm::ProductText,
            decoder: DecoderConfig::published(),
            mask_activation: MaskActivation::Sigmoid,
        }
    }
}
