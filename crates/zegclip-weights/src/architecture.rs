//! Parts and sizes of the model in a file, from the shapes of its tensors.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value as Json;

use crate::names::{DECODE_HEAD, IMAGE_ENCODER};
use crate::{ArchitectureDefect, WeightError, WeightFile, config};

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

/// Sizes of the model, as far as shapes determine them. Numbers of heads are known only from a configuration beside the
/// file (heads of OpenAI's models have 64 channels).
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
    /// Activation of both encoders, if a configuration states it; OpenAI's models and ZegCLIP use QuickGELU.
    pub activation: Option<Activation>,
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
    /// Attention heads, if a configuration states them.
    pub heads: Option<usize>,
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
    /// Attention heads, if a configuration states them.
    pub heads: Option<usize>,
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
    /// transformer.
    pub fn architecture(&self) -> Result<Architecture, WeightError> {
        let parts = self.parts();
        if let Some(name) = self
            .names()
            .find(|name| name.starts_with("backbone.layer1.") || name.starts_with("backbone.trunk."))
        {
            return Err(self.defect(ArchitectureDefect::ImageEncoder(name.to_owned())));
        }
        let config = self.meta().get(config::KEY);
        Ok(Architecture {
            vision: parts.image_encoder.then(|| self.vision(config)).transpose()?,
            text: parts.text_encoder.then(|| self.text(config)).transpose()?,
            prompts: parts.prompts.then(|| self.prompts()).transpose()?,
            decoder: parts.decode_head.then(|| self.decoder()).transpose()?,
            activation: config.and_then(activation),
        })
    }

    fn vision(&self, config: Option<&Json>) -> Result<VisionArchitecture, WeightError> {
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
        Ok(VisionArchitecture {
            width,
            layers: self.layers("backbone.transformer.resblocks.")?,
            heads: config.and_then(|config| heads(config, "vision", width)),
            mlp_width,
            patch_size,
            positions,
            position_grid: (grid * grid == positions).then_some(grid),
            embed_dim: self.columns("backbone.proj")?,
        })
    }

    fn text(&self, config: Option<&Json>) -> Result<TextArchitecture, WeightError> {
        let [vocab_size, width] = self.shape("text_encoder.token_embedding.weight")?;
        let [context_length, _] = self.shape("text_encoder.positional_embedding")?;
        let [mlp_width, _] = self.shape("text_encoder.transformer.resblocks.0.mlp.c_fc.weight")?;
        Ok(TextArchitecture {
            width,
            layers: self.layers("text_encoder.transformer.resblocks.")?,
            heads: config.and_then(|config| heads(config, "text", width)),
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

    fn decoder(&self) -> Result<DecoderArchitecture, WeightError> {
        let [width, descriptor_width] = self.shape("decode_head.q_proj.weight")?;
        let [ffn_width, _] = self.shape("decode_head.decoder_1.layers.0.linear1.weight")?;
        Ok(DecoderArchitecture {
            layers: self.layers("decode_head.decoder_1.layers.")?,
            width,
            descriptor_width,
            ffn_width,
        })
    }

    fn shape<const N: usize>(&self, name: &str) -> Result<[usize; N], WeightError> {
        let missing = || self.defect(ArchitectureDefect::MissingTensor(name.to_owned()));
        let shape = &self.info(name).ok_or_else(missing)?.shape;
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

    fn defect(&self, source: ArchitectureDefect) -> WeightError {
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

/// The activation that a configuration states: `hidden_act` of both encoders for Hugging Face, `quick_gelu` (absent: false)
/// for OpenCLIP.
fn activation(config: &Json) -> Option<Activation> {
    if let Some(model) = config.get("model_cfg") {
        let quick = model.get("quick_gelu").and_then(Json::as_bool).unwrap_or(false);
        return Some(if quick { Activation::QuickGelu } else { Activation::Gelu });
    }
    let part = ["vision_config", "text_config"]
        .iter()
        .find_map(|part| config.get(part)?.get("hidden_act")?.as_str());
    // The default of transformers for CLIP.
    match part.unwrap_or("quick_gelu") {
        "quick_gelu" => Some(Activation::QuickGelu),
        "gelu" => Some(Activation::Gelu),
        _ => None,
    }
}

/// The heads that a configuration states; `part` is `vision` or `text`. An absent entry of Hugging Face means nothing, since
/// default values may be left out.
fn heads(config: &Json, part: &str, width: usize) -> Option<usize> {
    let number = |value: &Json| value.as_u64().and_then(|value| usize::try_from(value).ok());
    let heads = if let Some(model) = config.get("model_cfg") {
        let part = model.get(format!("{part}_cfg"))?;
        match part.get("heads") {
            Some(heads) => number(heads),
            // OpenCLIP's default for the image encoder; its text encoders always state their heads.
            None => width.checked_div(part.get("head_width").map_or(Some(64), number)?),
        }
    } else {
        number(config.get(format!("{part}_config"))?.get("num_attention_heads")?)
    };
    heads.filter(|heads| *heads > 0 && width.is_multiple_of(*heads))
}

/// Whether a canonical name is a parameter that ZegCLIP trains: prompts and the decode head.
pub fn is_trained(name: &str) -> bool {
    name.starts_with(DECODE_HEAD)
        || name
            .strip_prefix(IMAGE_ENCODER)
            .is_some_and(|rest| rest.starts_with("prompt_") || rest.starts_with("deep_prompt_"))
}
