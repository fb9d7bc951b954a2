//! Weight files to models: sizes from the files, sizes that files do not determine, models from two files.

use std::path::PathBuf;

use burn::tensor::{Device, FloatDType};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clip::{Clip, ImageEncoder, TextEncoder};
use crate::config::{
    Activation, ClipConfig, DecoderConfig, MaskActivation, PromptConfig, PromptForm, RelationForm, TextConfig,
    VisionConfig, ZegClipConfig,
};
use crate::error::{ModelError, ModelPart};
use crate::parameters::load_parameters;
use crate::zegclip::ZegClip;
use zegclip_text::tokenizer::Tokenizer;
use zegclip_weights::{Activation as FileActivation, Assumed, Format, WeightFile};

/// Limit of the side of a window in patches: 8192 pixels for patches of 16. Positions are resized to it before anything else fails.
const MAX_GRID: usize = 512;

/// What no tensor's shape determines. A value here takes precedence over what the file or the configuration beside it states;
/// `None` stands for that, or for the given default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelOverrides {
    /// Side of a window in pixels; else the stored position grid times the patch size, or 512 for a model whose image
    /// encoder comes from CLIP's own file.
    pub image_size: Option<usize>,
    /// Pixels from one window to the next; else five sixths of a window.
    pub stride: Option<usize>,
    /// Heads of the image encoder; else those of published models of its width, or width / 64.
    pub vision_heads: Option<usize>,
    /// Heads of the text encoder; else those of published models of its width, or width / 64.
    pub text_heads: Option<usize>,
    /// Heads of the decoder; else 8.
    pub decoder_heads: Option<usize>,
    /// Form of the relation descriptor; else the published one of its width.
    pub relation: Option<RelationForm>,
    /// Non-linearity of both encoders; else QuickGELU.
    pub activation: Option<Activation>,
}

impl ModelOverrides {
    /// Checks that the values can be those of a model: none is zero.
    ///
    /// # Errors
    /// [`ModelError::Override`] for the first that cannot.
    pub fn check(&self) -> Result<(), ModelError> {
        let sizes = [
            ("image_size", self.image_size),
            ("stride", self.stride),
            ("vision_heads", self.vision_heads),
            ("text_heads", self.text_heads),
            ("decoder_heads", self.decoder_heads),
        ];
        match sizes.into_iter().find(|(_, value)| *value == Some(0)) {
            Some((key, _)) => Err(ModelError::Override { key }),
            None => Ok(()),
        }
    }

    /// The stated fields that only a model with a decoder has, apart from the size of windows.
    pub fn of_decoder(&self) -> Vec<&'static str> {
        let stated = [
            ("decoder_heads", self.decoder_heads.is_some()),
            ("relation", self.relation.is_some()),
        ];
        stated
            .into_iter()
            .filter(|(_, stated)| *stated)
            .map(|(key, _)| key)
            .collect()
    }

    /// The stated fields about windows.
    pub fn of_windows(&self) -> Vec<&'static str> {
        let stated = [
            ("image_size", self.image_size.is_some()),
            ("stride", self.stride.is_some()),
        ];
        stated
            .into_iter()
            .filter(|(_, stated)| *stated)
            .map(|(key, _)| key)
            .collect()
    }
}

/// A property that neither a weight file nor a configuration states, so that the most common value is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Assumption {
    /// The weight file.
    pub file: PathBuf,
    /// The property.
    pub property: Assumed,
    /// The value that is taken.
    pub value: String,
}

impl Assumption {
    /// The field of [`ModelOverrides`] that states the property.
    pub fn key(&self) -> &'static str {
        match self.property {
            Assumed::VisionActivation | Assumed::TextActivation => "activation",
            Assumed::VisionHeads => "vision_heads",
            Assumed::TextHeads => "text_heads",
            Assumed::DecoderHeads => "decoder_heads",
            Assumed::Relation => "relation",
        }
    }
}

impl std::fmt::Display for Assumption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, property, value } = self;
        write!(f, "`{}` does not state ", file.display())?;
        match property {
            Assumed::VisionActivation => write!(f, "the activation of its image encoder; {value} is assumed"),
            Assumed::TextActivation => write!(f, "the activation of its text encoder; {value} is assumed"),
            Assumed::VisionHeads => write!(
                f,
                "the heads of its image encoder; {value} are assumed, 64 channels a head"
            ),
            Assumed::TextHeads => write!(
                f,
                "the heads of its text encoder; {value} are assumed, 64 channels a head"
            ),
            Assumed::DecoderHeads => write!(f, "the heads of its decoder; {value} are assumed"),
            Assumed::Relation => write!(f, "the form of its relation descriptor; {value} is assumed"),
        }
    }
}

/// What is assumed of a part of the model in `file`, in the order of its properties. Empty without the part.
///
/// # Errors
/// [`ModelError::Weights`] if the sizes of the file cannot be determined.
pub fn assumptions(
    file: &WeightFile,
    part: ModelPart,
    overrides: &ModelOverrides,
) -> Result<Vec<Assumption>, ModelError> {
    let architecture = file.architecture()?;
    let found = architecture.assumed.iter().filter_map(|property| {
        let (of_part, stated, value) = match property {
            Assumed::VisionActivation => (
                ModelPart::ImageEncoder,
                overrides.activation.is_some(),
                architecture.vision.as_ref()?.activation.to_string(),
            ),
            Assumed::VisionHeads => (
                ModelPart::ImageEncoder,
                overrides.vision_heads.is_some(),
                architecture.vision.as_ref()?.heads.to_string(),
            ),
            Assumed::TextActivation => (
                ModelPart::TextEncoder,
                overrides.activation.is_some(),
                architecture.text.as_ref()?.activation.to_string(),
            ),
            Assumed::TextHeads => (
                ModelPart::TextEncoder,
                overrides.text_heads.is_some(),
                architecture.text.as_ref()?.heads.to_string(),
            ),
            Assumed::DecoderHeads => (
                ModelPart::Decoder,
                overrides.decoder_heads.is_some(),
                architecture.decoder.as_ref()?.heads.to_string(),
            ),
            Assumed::Relation => (ModelPart::Decoder, overrides.relation.is_some(), "product".to_owned()),
        };
        (of_part == part && !stated).then(|| Assumption {
            file: file.path().to_owned(),
            property: *property,
            value,
        })
    });
    Ok(found.collect())
}

/// Entries of a native file's header beside the tensors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NativeMetadata {
    /// The segmentation model.
    pub config: Option<ZegClipConfig>,
    /// The image encoder of a plain CLIP; that of a segmentation model is part of `config`.
    pub vision: Option<VisionConfig>,
    /// The text encoder.
    pub text: Option<TextConfig>,
    /// Class list with palette, templates and seen classes, as the TOML of a vocabulary.
    pub vocabulary: Option<String>,
    /// Training setting: `inductive`, `transductive` or `full`.
    pub setting: Option<String>,
    /// Origin of the weights, as prose.
    pub provenance: Option<String>,
    /// What of the above was assumed when the weights were converted.
    pub assumed: Vec<Assumed>,
}

impl NativeMetadata {
    /// Reads the header; `None` if the file is not native.
    ///
    /// # Errors
    /// [`ModelError::Header`] if an entry is not what this version writes.
    pub fn read(file: &WeightFile) -> Result<Option<Self>, ModelError> {
        if file.format() != Format::Native {
            return Ok(None);
        }
        Ok(Some(Self {
            config: parse_entry(file, "config")?,
            vision: parse_entry(file, "vision")?,
            text: parse_entry(file, "text")?,
            vocabulary: entry(file, "vocabulary").map(str::to_owned),
            setting: entry(file, "setting").map(str::to_owned),
            provenance: entry(file, "provenance").map(str::to_owned),
            assumed: parse_entry(file, "assumed")?.unwrap_or_default(),
        }))
    }

    /// Entries for [`zegclip_weights::write_native`].
    pub fn to_header(&self) -> std::collections::BTreeMap<String, String> {
        let mut header = std::collections::BTreeMap::new();
        let mut put = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                header.insert(key.to_owned(), value);
            }
        };
        put(
            "config",
            self.config
                .as_ref()
                .and_then(|config| serde_json::to_string(config).ok()),
        );
        put(
            "vision",
            self.vision
                .as_ref()
                .and_then(|vision| serde_json::to_string(vision).ok()),
        );
        put(
            "text",
            self.text.as_ref().and_then(|text| serde_json::to_string(text).ok()),
        );
        put("vocabulary", self.vocabulary.clone());
        put("setting", self.setting.clone());
        put("provenance", self.provenance.clone());
        // Files without assumptions have no such entry.
        let assumed = (!self.assumed.is_empty()).then(|| serde_json::to_string(&self.assumed).ok());
        put("assumed", assumed.flatten());
        header
    }
}

fn entry<'a>(file: &'a WeightFile, key: &str) -> Option<&'a str> {
    file.meta().get(key).and_then(Value::as_str)
}

/// A JSON entry of the header. It is parsed twice, as JSON and as `T`, so that an error names no position in the text.
fn parse_entry<T: DeserializeOwned>(file: &WeightFile, key: &'static str) -> Result<Option<T>, ModelError> {
    let parse = |text: &str| serde_json::from_value(serde_json::from_str(text)?);
    entry(file, key)
        .map(parse)
        .transpose()
        .map_err(|source| ModelError::Header {
            file: file.path().to_owned(),
            key,
            source,
        })
}

/// Sizes of the segmentation model in `weights`, with the image encoder of `clip` if `weights` has none.
///
/// # Errors
/// [`ModelError::MissingPart`] without decoder or image encoder, and [`ModelError`]'s variants for contradicting sizes.
pub fn zegclip_config(
    weights: &WeightFile,
    clip: Option<&WeightFile>,
    overrides: &ModelOverrides,
) -> Result<ZegClipConfig, ModelError> {
    overrides.check()?;
    if let Some(mut config) = NativeMetadata::read(weights)?.and_then(|metadata| metadata.config) {
        config.image_size = overrides.image_size.unwrap_or(config.image_size);
        config.stride = overrides.stride.unwrap_or(config.stride);
        config.vision.heads = overrides.vision_heads.unwrap_or(config.vision.heads);
        config.vision.activation = overrides.activation.unwrap_or(config.vision.activation);
        config.decoder.heads = overrides.decoder_heads.unwrap_or(config.decoder.heads);
        config.relation = overrides.relation.unwrap_or(config.relation);
        return checked(config, weights);
    }
    let head = weights.architecture()?;
    let decoder = head.decoder.ok_or_else(|| missing(weights, ModelPart::Decoder))?;
    let encoder_file = encoder_file(weights, clip)?;
    let (mut vision, embed_dim) = vision_config(encoder_file, overrides)?;
    if embed_dim != decoder.width {
        return Err(ModelError::FeatureWidth {
            decoder_file: weights.path().to_owned(),
            decoder: decoder.width,
            encoder_file: encoder_file.path().to_owned(),
            image_encoder: embed_dim,
        });
    }
    let stored_size = vision.position_grid * vision.patch_size;
    let from_clip = encoder_file.format() != Format::Mmseg && encoder_file.format() != Format::Native;
    let image_size = overrides
        .image_size
        .unwrap_or(if from_clip { 512 } else { stored_size });
    if from_clip {
        // The release resizes CLIP's positions once when it loads them.
        vision.position_grid = (image_size / vision.patch_size).max(1);
    }
    let prompts = head.prompts.map(|prompts| PromptConfig {
        form: match (prompts.first_layer, prompts.deep_layers) {
            (true, 0) => PromptForm::Shallow,
            (true, layers) => PromptForm::Deep(layers),
            (false, layers) => PromptForm::Reverse(layers),
        },
        ..PromptConfig::published(prompts.count)
    });
    let relation = match (overrides.relation, decoder.descriptor_width / decoder.width.max(1)) {
        (Some(form), _) => form,
        (None, 1) => RelationForm::Product,
        (None, 3) => RelationForm::ProductDifferenceText,
        (None, _) => RelationForm::ProductText,
    };
    let config = ZegClipConfig {
        image_size,
        stride: overrides.stride.unwrap_or(ZegClipConfig::default_stride(image_size)),
        embed_dim,
        vision,
        prompts,
        relation,
        decoder: DecoderConfig {
            layers: decoder.layers,
            heads: overrides.decoder_heads.unwrap_or(decoder.heads),
            ffn_ratio: decoder.ffn_width / decoder.width.max(1),
            ..DecoderConfig::published()
        },
        mask_activation: MaskActivation::Sigmoid,
    };
    checked(config, weights)
}

/// The segmentation model in `weights`, with the image encoder of `clip` if `weights` has none.
///
/// # Errors
/// As [`zegclip_config`], and [`ModelError::Shape`] or [`ModelError::Weights`] for tensors that are missing or do not fit.
pub fn load_zegclip(
    config: &ZegClipConfig,
    weights: &WeightFile,
    clip: Option<&WeightFile>,
    device: &Device,
    dtype: FloatDType,
) -> Result<ZegClip, ModelError> {
    let model = ZegClip::new(config, device);
    let encoder = encoder_file(weights, clip)?;
    Ok(ZegClip {
        image_encoder: load_parameters(model.image_encoder, "image_encoder", encoder, device, dtype)?,
        prompts: model
            .prompts
            .map(|prompts| load_parameters(prompts, "prompts", weights, device, dtype))
            .transpose()?,
        relation_descriptor: load_parameters(model.relation_descriptor, "relation_descriptor", weights, device, dtype)?,
        decoder: load_parameters(model.decoder, "decoder", weights, device, dtype)?,
    })
}

/// The plain image encoder in `file` and the width of its features.
///
/// # Errors
/// [`ModelError::MissingPart`] if there is none, and for tensors that are missing or do not fit.
pub fn load_image_encoder(
    file: &WeightFile,
    overrides: &ModelOverrides,
    device: &Device,
    dtype: FloatDType,
) -> Result<(ImageEncoder, usize), ModelError> {
    if !file.parts().image_encoder {
        return Err(missing(file, ModelPart::ImageEncoder));
    }
    let (config, embed_dim) = vision_config(file, overrides)?;
    let encoder = ImageEncoder::new(&config, embed_dim, device);
    let encoder = load_parameters(encoder, "image_encoder", file, device, dtype)?;
    Ok((encoder, embed_dim))
}

/// Sizes of the text encoder in `file` and the width of its features.
///
/// # Errors
/// [`ModelError::MissingPart`] if there is none, [`ModelError::Heads`] and [`ModelError::VocabularySize`] for sizes that cannot be.
pub fn text_config(file: &WeightFile, overrides: &ModelOverrides) -> Result<(TextConfig, usize), ModelError> {
    overrides.check()?;
    let architecture = file.architecture()?;
    let text = architecture.text.ok_or_else(|| missing(file, ModelPart::TextEncoder))?;
    require_published_mlp(file, text.width, text.mlp_width)?;
    let embed_dim = text.embed_dim.ok_or_else(|| missing(file, ModelPart::TextEncoder))?;
    let stated = NativeMetadata::read(file)?.and_then(|metadata| metadata.text);
    let mut config = stated.unwrap_or(TextConfig {
        width: text.width,
        layers: text.layers,
        heads: text.heads,
        context_length: text.context_length,
        vocabulary_size: text.vocab_size,
        activation: activation(text.activation),
        pruned_vocabulary: None,
    });
    config.heads = overrides.text_heads.unwrap_or(config.heads);
    config.activation = overrides.activation.unwrap_or(config.activation);
    match &config.pruned_vocabulary {
        Some(kept) if !kept.is_sorted_by(|a, b| a < b) => {
            return Err(ModelError::UnsortedVocabulary {
                file: file.path().to_owned(),
            });
        }
        None if config.vocabulary_size < Tokenizer::VOCABULARY_SIZE => {
            return Err(ModelError::VocabularySize {
                file: file.path().to_owned(),
                found: config.vocabulary_size,
                needed: Tokenizer::VOCABULARY_SIZE,
            });
        }
        _ => {}
    }
    require_heads(file, ModelPart::TextEncoder, config.width, config.heads)?;
    Ok((config, embed_dim))
}

/// The text encoder in `file`.
///
/// # Errors
/// As [`text_config`], and for tensors that are missing or do not fit.
pub fn load_text_encoder(
    file: &WeightFile,
    overrides: &ModelOverrides,
    device: &Device,
    dtype: FloatDType,
) -> Result<TextEncoder, ModelError> {
    let (config, embed_dim) = text_config(file, overrides)?;
    load_parameters(
        TextEncoder::new(&config, embed_dim, device),
        "text_encoder",
        file,
        device,
        dtype,
    )
}

/// Sizes of the plain CLIP in `file`.
///
/// # Errors
/// [`ModelError::MissingPart`] if one encoder is absent, [`ModelError::EmbeddingWidth`] if their features do not fit.
pub fn clip_config(file: &WeightFile, overrides: &ModelOverrides) -> Result<ClipConfig, ModelError> {
    if !file.parts().image_encoder {
        return Err(missing(file, ModelPart::ImageEncoder));
    }
    let (vision, embed_dim) = vision_config(file, overrides)?;
    let (text, text_dim) = text_config(file, overrides)?;
    if text_dim != embed_dim {
        return Err(ModelError::EmbeddingWidth {
            file: file.path().to_owned(),
            image: embed_dim,
            text: text_dim,
        });
    }
    Ok(ClipConfig {
        embed_dim,
        vision,
        text,
    })
}

/// The plain CLIP in `file`.
///
/// # Errors
/// As [`clip_config`], and for tensors that are missing or do not fit.
pub fn load_clip(
    file: &WeightFile,
    overrides: &ModelOverrides,
    device: &Device,
    dtype: FloatDType,
) -> Result<Clip, ModelError> {
    let config = clip_config(file, overrides)?;
    load_parameters(Clip::new(&config, device), "", file, device, dtype)
}

/// Side of a window and pixels from one window to the next, for an image encoder that is used without a decoder. By default a
/// window has the size of the stored positions, and the stride is five sixths of it.
///
/// # Errors
/// [`ModelError::ImageSize`], [`ModelError::LargeImageSize`] and [`ModelError::Stride`] for sizes that cannot be.
pub fn window_size(file: &WeightFile, overrides: &ModelOverrides) -> Result<(usize, usize), ModelError> {
    let (vision, _) = vision_config(file, overrides)?;
    let image_size = overrides.image_size.unwrap_or(vision.position_grid * vision.patch_size);
    let stride = overrides.stride.unwrap_or(ZegClipConfig::default_stride(image_size));
    check_windows(file, image_size, stride, vision.patch_size)?;
    Ok((image_size, stride))
}

/// Sizes of the plain image encoder in `file`, and the width of its features.
///
/// # Errors
/// [`ModelError::MissingPart`] if there is none, [`ModelError::Heads`] and others for sizes that cannot be.
pub fn vision_config(file: &WeightFile, overrides: &ModelOverrides) -> Result<(VisionConfig, usize), ModelError> {
    overrides.check()?;
    let architecture = file.architecture()?;
    let vision = architecture
        .vision
        .ok_or_else(|| missing(file, ModelPart::ImageEncoder))?;
    require_published_mlp(file, vision.width, vision.mlp_width)?;
    let embed_dim = vision.embed_dim.ok_or_else(|| missing(file, ModelPart::ImageEncoder))?;
    let position_grid = vision.position_grid.ok_or_else(|| ModelError::PositionGrid {
        file: file.path().to_owned(),
        positions: vision.positions,
    })?;
    let stated = NativeMetadata::read(file)?
        .and_then(|metadata| metadata.vision.or(metadata.config.map(|config| config.vision)));
    let mut config = stated.unwrap_or(VisionConfig {
        patch_size: vision.patch_size,
        width: vision.width,
        layers: vision.layers,
        heads: vision.heads,
        position_grid,
        activation: activation(vision.activation),
    });
    config.heads = overrides.vision_heads.unwrap_or(config.heads);
    config.activation = overrides.activation.unwrap_or(config.activation);
    if config.patch_size != vision.patch_size {
        return Err(ModelError::PatchSize {
            file: file.path().to_owned(),
            stated: config.patch_size,
            found: vision.patch_size,
        });
    }
    require_heads(file, ModelPart::ImageEncoder, config.width, config.heads)?;
    Ok((config, embed_dim))
}

fn encoder_file<'a>(weights: &'a WeightFile, clip: Option<&'a WeightFile>) -> Result<&'a WeightFile, ModelError> {
    if weights.parts().image_encoder {
        return Ok(weights);
    }
    clip.filter(|clip| clip.parts().image_encoder)
        .ok_or_else(|| missing(clip.unwrap_or(weights), ModelPart::ImageEncoder))
}

fn checked(config: ZegClipConfig, file: &WeightFile) -> Result<ZegClipConfig, ModelError> {
    let file_path = || file.path().to_owned();
    check_windows(file, config.image_size, config.stride, config.vision.patch_size)?;
    for (key, dropout) in [
        (
            "prompts.dropout",
            config.prompts.as_ref().map(|prompts| prompts.dropout),
        ),
        ("decoder.dropout", Some(config.decoder.dropout)),
    ] {
        if let Some(dropout) = dropout.filter(|dropout| !(0.0..1.0).contains(dropout)) {
            return Err(ModelError::DropoutProbability {
                file: file_path(),
                key,
                value: dropout,
            });
        }
    }
    require_heads(file, ModelPart::ImageEncoder, config.vision.width, config.vision.heads)?;
    if config.decoder.layers == 0 {
        return Err(ModelError::NoDecoderLayers { file: file_path() });
    }
    if let Some(PromptConfig { form, .. }) = config.prompts {
        let prompted = match form {
            PromptForm::Deep(blocks) => blocks.saturating_add(1),
            PromptForm::Reverse(blocks) => blocks,
            PromptForm::Shallow => 1,
        };
        if prompted > config.vision.layers {
            return Err(ModelError::PromptBlocks {
                file: file_path(),
                prompted,
                blocks: config.vision.layers,
            });
        }
    }
    require_heads(file, ModelPart::Decoder, config.embed_dim, config.decoder.heads)?;
    Ok(config)
}

fn check_windows(file: &WeightFile, image_size: usize, stride: usize, patch_size: usize) -> Result<(), ModelError> {
    let path = || file.path().to_owned();
    if patch_size == 0 || image_size < patch_size {
        return Err(ModelError::ImageSize {
            file: path(),
            image_size,
            patch_size,
        });
    }
    if image_size / patch_size > MAX_GRID {
        return Err(ModelError::LargeImageSize {
            file: path(),
            image_size,
            limit: MAX_GRID.saturating_mul(patch_size),
        });
    }
    if stride == 0 || stride > image_size {
        return Err(ModelError::Stride {
            file: path(),
            stride,
            image_size,
        });
    }
    Ok(())
}

fn require_heads(file: &WeightFile, part: ModelPart, width: usize, heads: usize) -> Result<(), ModelError> {
    if heads > 0 && width.is_multiple_of(heads) {
        return Ok(());
    }
    Err(ModelError::Heads {
        file: file.path().to_owned(),
        part,
        width,
        heads,
    })
}

fn require_published_mlp(file: &WeightFile, width: usize, mlp_width: usize) -> Result<(), ModelError> {
    if mlp_width == 4 * width {
        return Ok(());
    }
    Err(ModelError::MlpWidth {
        file: file.path().to_owned(),
        width,
        mlp_width,
    })
}

fn activation(of_file: FileActivation) -> Activation {
    match of_file {
        FileActivation::Gelu => Activation::Gelu,
        FileActivation::QuickGelu => Activation::QuickGelu,
    }
}

fn missing(file: &WeightFile, part: ModelPart) -> ModelError {
    ModelError::MissingPart {
        file: file.path().to_owned(),
        part,
    }
}
