//! Parts and sizes of the model in a file, from the shapes of its tensors.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::names::{DECODE_HEAD, IMAGE_ENCODER};
use crate::properties::EncoderPart;
use crate::{ArchitectureDefect, WeightError, WeightFile};

/// Which parts of the model a file contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Parts {
    /// CLIP's image encoder.
    pub image_encoder: bool,
    /// CLIP's text encoder.
    pub text_encoder: bool,
    /// Prompts of the image encoder.
    pub prompts: bool,
    /// Relation descriptor and decoder.
    pub decode_head: bool,
}

/// Sizes of the model, and what shapes do not determine: heads and activations, of a header, of the configuration beside the
/// file, or of the published model of the format or width. [`Self::assumed`] lists what none of them states.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Architecture {
    /// The image encoder.
    pub vision: Option<VisionArchitecture>,
    /// The text encoder.
    pub text: Option<TextArchitecture>,
    /// The prompts.
    pub prompts: Option<PromptArchitecture>,
    /// Relation descriptor and decoder.
    pub decoder: Option<DecoderArchitecture>,
    /// What nothing states.
    pub assumed: Vec<Assumed>,
}

/// A property of a model that neither its file nor a configuration beside it states, and that no published model of its format or
/// width determines. The names of values in files and JSON are those of `Display`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Assumed {
    /// [`VisionArchitecture::activation`]: QuickGELU.
    #[serde(rename = "vision.activation")]
    VisionActivation,
    /// [`VisionArchitecture::heads`]: one for 64 channels.
    #[serde(rename = "vision.heads")]
    VisionHeads,
    /// [`TextArchitecture::activation`]: QuickGELU.
    #[serde(rename = "text.activation")]
    TextActivation,
    /// [`TextArchitecture::heads`]: one for 64 channels.
    #[serde(rename = "text.heads")]
    TextHeads,
    /// [`DecoderArchitecture::heads`]: eight.
    #[serde(rename = "decoder.heads")]
    DecoderHeads,
    /// The form of the relation descriptor, where its width is not the published one: the product of both features.
    #[serde(rename = "relation")]
    Relation,
}

/// Non-linearity of the encoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x · σ(1.702 x)`.
    QuickGelu,
    /// `x · Φ(x)`.
    Gelu,
}

/// Sizes of the image encoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VisionArchitecture {
    /// Channels of a token.
    pub width: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Non-linearity of the MLPs.
    pub activation: Activation,
    /// Channels inside the blocks' MLPs.
    pub mlp_width: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Stored positions, without the class token's.
    pub positions: usize,
    /// Side of the grid of positions; `None` if it is not a square.
    pub position_grid: Option<usize>,
    /// Channels of the features after the projection; `None` without one.
    pub embed_dim: Option<usize>,
}

/// Sizes of the text encoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TextArchitecture {
    /// Channels of a token.
    pub width: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Non-linearity of the MLPs.
    pub activation: Activation,
    /// Channels inside the blocks' MLPs.
    pub mlp_width: usize,
    /// Tokens of a text.
    pub context_length: usize,
    /// Rows of the token embedding.
    pub vocab_size: usize,
    /// Channels of the features after the projection; `None` without one.
    pub embed_dim: Option<usize>,
}

/// Prompts of the image encoder. Both tensors: deep; only `prompt_embeddings`: shallow; only `deep_prompt_embeddings`:
/// reverse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PromptArchitecture {
    /// Prompt tokens per layer.
    pub count: usize,
    /// Whether the first layer has prompts (`prompt_embeddings`).
    pub first_layer: bool,
    /// Rows of `deep_prompt_embeddings`: number of later layers with prompts.
    pub deep_layers: usize,
    /// Whether the file contains `prompt_norm`.
    pub norm: bool,
}

/// Sizes of relation descriptor and decoder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DecoderArchitecture {
    /// Decoder layers.
    pub layers: usize,
    /// Channels of a class query.
    pub width: usize,
    /// Channels of the relation descriptor; twice `width` as published.
    pub descriptor_width: usize,
    /// Channels inside the feed-forward part.
    pub ffn_width: usize,
    /// Attention heads.
    pub heads: usize,
}

impl WeightFile {
    /// Which parts of the model are present.
    pub fn parts(&self) -> Parts {
        Parts {
            image_encoder: self.contains("backbone.conv1.weight"),
            text_encoder: self.contains("text_encoder.token_embedding.weight"),
            prompts: self.contains("backbone.prompt_embeddings") || self.contains("backbone.deep_prompt_embeddings"),
            decode_head: self.contains("decode_head.q_proj.weight"),
        }
    }

    /// The sizes that the tensors' shapes determine.
    ///
    /// # Errors
    /// [`WeightError::Architecture`] if a present part lacks a tensor, has contradicting shapes or is not a vision
    /// transformer, and if the configuration beside it states something that does not fit or is not implemented.
    pub fn architecture(&self) -> Result<Architecture, WeightError> {
        let parts = self.parts();
        if let Some(name) = self
            .names()
            .find(|name| name.starts_with("backbone.layer1.") || name.starts_with("backbone.trunk."))
        {
            return Err(self.defect(ArchitectureDefect::ImageEncoder(name.to_owned())));
        }
        let mut assumed = Vec::new();
        Ok(Architecture {
            vision: parts.image_encoder.then(|| self.vision(&mut assumed)).transpose()?,
            text: parts.text_encoder.then(|| self.text(&mut assumed)).transpose()?,
            prompts: parts.prompts.then(|| self.prompts()).transpose()?,
            decoder: parts.decode_head.then(|| self.decoder(&mut assumed)).transpose()?,
            assumed,
        })
    }

    fn vision(&self, assumed: &mut Vec<Assumed>) -> Result<VisionArchitecture, WeightError> {
        let name = "backbone.conv1.weight";
        let [width, channels, patch_size, patch_width] = self.shape(name)?;
        if channels != 3 || patch_size != patch_width {
            return Err(self.defect(ArchitectureDefect::Patches {
                name: name.to_owned(),
                channels,
                height: patch_size,
                width: patch_width,
            }));
        }
        let [rows, _] = self.shape("backbone.positional_embedding")?;
        let positions = rows
            .checked_sub(1)
            .ok_or_else(|| self.defect(ArchitectureDefect::Positions))?;
        let grid = positions.isqrt();
        let [mlp_width, _] = self.shape("backbone.transformer.resblocks.0.mlp.c_fc.weight")?;
        let known = self.encoder_properties(EncoderPart::Vision, width, assumed)?;
        Ok(VisionArchitecture {
            width,
            layers: self.layers("backbone.transformer.resblocks.")?,
            heads: known.heads,
            activation: known.activation,
            mlp_width,
            patch_size,
            positions,
            position_grid: (grid * grid == positions).then_some(grid),
            embed_dim: self.columns("backbone.proj")?,
        })
    }

    fn text(&self, assumed: &mut Vec<Assumed>) -> Result<TextArchitecture, WeightError> {
        let [vocab_size, width] = self.shape("text_encoder.token_embedding.weight")?;
        let [context_length, _] = self.shape("text_encoder.positional_embedding")?;
        let [mlp_width, _] = self.shape("text_encoder.transformer.resblocks.0.mlp.c_fc.weight")?;
        let known = self.encoder_properties(EncoderPart::Text, width, assumed)?;
        Ok(TextArchitecture {
            width,
            layers: self.layers("text_encoder.transformer.resblocks.")?,
            heads: known.heads,
            activation: known.activation,
            mlp_width,
            context_length,
            vocab_size,
            embed_dim: self.columns("text_encoder.text_projection")?,
        })
    }

    fn prompts(&self) -> Result<PromptArchitecture, WeightError> {
        let size = |name: &str| self.contains(name).then(|| self.shape::<3>(name)).transpose();
        let first = size("backbone.prompt_embeddings")?;
        let deep = size("backbone.deep_prompt_embeddings")?;
        let count = match (first, deep) {
            (Some([_, first, _]), Some([_, deep, _])) if first != deep => {
                return Err(self.defect(ArchitectureDefect::Prompts { first, deep }));
            }
            (Some([_, count, _]), _) | (None, Some([_, count, _])) => count,
            (None, None) => 0,
        };
        Ok(PromptArchitecture {
            count,
            first_layer: first.is_some(),
            deep_layers: deep.map_or(0, |[rows, _, _]| rows),
            norm: self.contains("backbone.prompt_norm.weight"),
        })
    }

    fn decoder(&self, assumed: &mut Vec<Assumed>) -> Result<DecoderArchitecture, WeightError> {
        let [width, descriptor_width] = self.shape("decode_head.q_proj.weight")?;
        let [ffn_width, _] = self.shape("decode_head.decoder_1.layers.0.linear1.weight")?;
        Ok(DecoderArchitecture {
            layers: self.layers("decode_head.decoder_1.layers.")?,
            width,
            descriptor_width,
            ffn_width,
            heads: self.decoder_heads(width, descriptor_width, assumed),
        })
    }

    fn shape<const N: usize>(&self, name: &str) -> Result<[usize; N], WeightError> {
        let missing = || self.defect(ArchitectureDefect::MissingTensor(name.to_owned()));
        let shape = &self.info(name).ok_or_else(missing)?.shape;
        if shape.contains(&0) {
            return Err(self.defect(ArchitectureDefect::NoElements {
                name: name.to_owned(),
                shape: shape.clone(),
            }));
        }
        <[usize; N]>::try_from(shape.as_slice()).map_err(|_| {
            self.defect(ArchitectureDefect::Rank {
                name: name.to_owned(),
                shape: shape.clone(),
                axes: N,
            })
        })
    }

    fn columns(&self, name: &str) -> Result<Option<usize>, WeightError> {
        Ok(if self.contains(name) {
            Some(self.shape::<2>(name)?[1])
        } else {
            None
        })
    }

    /// Number of layers `{prefix}0.`, `{prefix}1.`, ….
    fn layers(&self, prefix: &str) -> Result<usize, WeightError> {
        let index = |name: &str| name.strip_prefix(prefix)?.split('.').next()?.parse::<usize>().ok();
        let indices: BTreeSet<usize> = self.names().filter_map(index).collect();
        match indices
            .iter()
            .enumerate()
            .find(|(expected, index)| *expected != **index)
        {
            Some((missing, _)) => Err(self.defect(ArchitectureDefect::MissingLayer(format!("{prefix}{missing}")))),
            None => Ok(indices.len()),
        }
    }

    pub(crate) fn defect(&self, source: ArchitectureDefect) -> WeightError {
        WeightError::Architecture {
            path: self.path().to_owned(),
            source,
        }
    }
}

impl std::fmt::Display for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [
            (self.image_encoder, "image encoder"),
            (self.text_encoder, "text encoder"),
            (self.prompts, "prompts"),
            (self.decode_head, "decode head"),
        ];
        let present: Vec<&str> = parts
            .iter()
            .filter(|(present, _)| *present)
            .map(|(_, name)| *name)
            .collect();
        f.write_str(&if present.is_empty() {
            "none".to_owned()
        } else {
            present.join(", ")
        })
    }
}

/// Whether a canonical name is a parameter that ZegCLIP trains: prompts and the decode head.
pub fn is_trained(name: &str) -> bool {
    name.starts_with(DECODE_HEAD)
        || name
            .strip_prefix(IMAGE_ENCODER)
            .is_some_and(|rest| rest.starts_with("prompt_") || rest.starts_with("deep_prompt_"))
}

impl std::fmt::Display for Activation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::QuickGelu => "quick_gelu",
            Self::Gelu => "gelu",
        })
    }
}

impl std::fmt::Display for Assumed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::VisionActivation => "vision.activation",
            Self::VisionHeads => "vision.heads",
            Self::TextActivation => "text.activation",
            Self::TextHeads => "text.heads",
            Self::DecoderHeads => "decoder.heads",
            Self::Relation => "relation",
        })
    }
}
