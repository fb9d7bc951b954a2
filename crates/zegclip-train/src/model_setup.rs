//! The initial model of a run, and its model file.

use std::path::Path;

use burn::tensor::{Device, FloatDType, Tensor};
use zegclip_data::{TrainingSetting, Vocabulary};
use zegclip_model::clip::{ImageEncoder, TextEncoder};
use zegclip_model::config::{TextConfig, VisionConfig, ZegClipConfig};
use zegclip_model::parameters::{ExportedParameter, export_parameters, load_parameters};
use zegclip_model::{
    Assumption, ModelOverrides, ModelPart, NativeMetadata, ZegClip, assumptions, clip_config, load_text_encoder,
};
use zegclip_weights::{Dtype, IfExists, OutputTensor, WeightFile, write_native};

use crate::freeze::{Trainable, cast_block_weights};
use crate::run::Checkpoint;
use crate::seed::{RngStream, init_seeded, seed_of};
use crate::text_feature_cache::TextFeatureCache;
use crate::text_features::{encoded, first_names, published};
use crate::{FrozenPrecision, TrainConfig, TrainError};

/// The parts of a run's model that training does not change, and the sources of its weights.
#[derive(Debug)]
pub(crate) struct ModelSetup {
    /// Its sizes.
    pub(crate) config: ZegClipConfig,
    /// `[classes, embed_dim]`, without autodiff.
    pub(crate) text_features: Tensor<2>,
    clip: ClipSource,
    published_text_features: bool,
    cache: TextFeatureCache,
    setting: TrainingSetting,
    seed: u64,
    frozen_precision: FrozenPrecision,
    /// What is assumed of CLIP.
    pub(crate) assumptions: Vec<Assumption>,
    device: Device,
}

/// The source of CLIP, whose text encoder is part of the model file.
#[derive(Debug)]
enum ClipSource {
    File(WeightFile),
    Untrained(Box<TextEncoder>, TextConfig),
}

impl ModelSetup {
    /// Loads or initializes the model, with its trained and frozen parts on their devices. `vocabulary` are the classes that
    /// training may know.
    pub(crate) fn new(
        config: &TrainConfig,
        vocabulary: &Vocabulary,
        cache: TextFeatureCache,
        device: &Device,
    ) -> Result<(Self, ZegClip), TrainError> {
        let device = &device.clone().without_autodiff();
        let frozen_precision = config.model.frozen_precision;
        frozen_precision.require_on(device)?;
        let (clip, vision, embed_dim) = Self::clip(config, device)?;
        let model_config = config.zegclip_config(vision, embed_dim)?;
        let image_encoder = image_encoder(&clip, &model_config, config.seed, device)?;
        let published_text_features = config.model.published_text_features;
        let text_features = text_features(&clip, published_text_features, vocabulary, embed_dim, &cache, device)?;
        let mut head = init_seeded(device, seed_of(config.seed, RngStream::Head), |host| ZegClip {
            image_encoder,
            ..ZegClip::new(&model_config, host)
        });
        if let Some(similarity) = config.model.similarity {
            head = head.with_similarity_init(similarity);
        }
        let mut model = trainable(config).apply(head, device);
        // A checkpoint is restored into the task, which is built from this model.
        if let Some(initial) = config
            .model
            .initial
            .as_ref()
            .filter(|path| !Checkpoint::is_checkpoint(path))
        {
            model = load_trained_parts(model, initial, config, device)?;
        }
        if frozen_precision != FrozenPrecision::F32 {
            if let ClipSource::File(file) = &clip {
                require_range_of_blocks(file, frozen_precision)?;
            }
            model.image_encoder = cast_block_weights(model.image_encoder, frozen_precision.dtype());
        }
        let mut assumed = Vec::new();
        if let ClipSource::File(file) = &clip {
            for part in [ModelPart::ImageEncoder, ModelPart::TextEncoder] {
                assumed.extend(assumptions(file, part, &ModelOverrides::default())?);
            }
        }
        let device = device.clone();
        let setup = Self {
            config: model_config,
            text_features,
            clip,
            published_text_features,
            cache,
            setting: config.setting,
            seed: config.seed,
            frozen_precision,
            assumptions: assumed,
            device,
        };
        Ok((setup, model))
    }

    /// Text features of a class list, from the same source as those of training: `[classes, embed_dim]`.
    pub(crate) fn text_features_of(&self, vocabulary: &Vocabulary) -> Result<Tensor<2>, TrainError> {
        text_features(
            &self.clip,
            self.published_text_features,
            vocabulary,
            self.config.embed_dim,
            &self.cache,
            &self.device,
        )
    }

    /// Writes a self-contained model file: an inference model, its text encoder and its class list.
    pub(crate) fn write(&self, model: &ZegClip, vocabulary: &Vocabulary, path: &Path) -> Result<(), TrainError> {
        let mut model = model.clone();
        if self.frozen_precision != FrozenPrecision::F32 {
            // The file has the original weights, not the cast ones.
            model.image_encoder = image_encoder(&self.clip, &self.config, self.seed, &self.device)?;
        }
        let parameters = export_parameters(&model, "");
        let untrained = match &self.clip {
            // Published text features do not belong to this encoder, so the file must not contain it.
            ClipSource::Untrained(encoder, _) if !self.published_text_features => {
                export_parameters(encoder.as_ref(), "text_encoder")
            }
            ClipSource::Untrained(..) | ClipSource::File(_) => Vec::new(),
        };
        let mut tensors: Vec<OutputTensor<'_>> = parameters.iter().map(ExportedParameter::to_output).collect();
        let text = match &self.clip {
            ClipSource::Untrained(_, text) if !self.published_text_features => {
                tensors.extend(untrained.iter().map(ExportedParameter::to_output));
                Some(text.clone())
            }
            ClipSource::File(file) if file.parts().text_encoder => {
                // With the temperature, the file is also a complete CLIP, from which pre-training can start.
                let of_clip = |name: &&str| name.starts_with("text_encoder.") || *name == "logit_scale";
                for name in file.names().filter(of_clip) {
                    tensors.push(file.output(name, None)?);
                }
                Some(zegclip_model::text_config(file, &ModelOverrides::default())?.0)
            }
            ClipSource::Untrained(..) | ClipSource::File(_) => None,
        };
        let metadata = NativeMetadata {
            config: Some(self.config.clone()),
            vision: None,
            text,
            vocabulary: Some(vocabulary.to_toml()),
            setting: Some(self.setting.name().to_owned()),
            provenance: Some("trained by zegclip".to_owned()),
            assumed: self.assumptions.iter().map(|assumption| assumption.property).collect(),
        };
        Ok(write_native(path, &metadata.to_header(), tensors, IfExists::Replace)?)
    }

    fn clip(config: &TrainConfig, device: &Device) -> Result<(ClipSource, VisionConfig, usize), TrainError> {
        if let Some(path) = &config.model.clip {
            let file = WeightFile::open(path)?;
            let sizes = clip_config(&file, &ModelOverrides::default())?;
            return Ok((ClipSource::File(file), sizes.vision, sizes.embed_dim));
        }
        let sizes = config
            .model
            .untrained_clip
            .clone()
            .unwrap_or_else(zegclip_model::ClipConfig::vit_b16);
        let encoder = init_seeded(device, seed_of(config.seed, RngStream::UntrainedTextEncoder), |host| {
            TextEncoder::new(&sizes.text, sizes.embed_dim, host)
        });
        Ok((
            ClipSource::Untrained(Box::new(encoder), sizes.text),
            sizes.vision,
            sizes.embed_dim,
        ))
    }
}

fn image_encoder(
    clip: &ClipSource,
    config: &ZegClipConfig,
    seed: u64,
    device: &Device,
) -> Result<ImageEncoder, TrainError> {
    let encoder = |device: &Device| ImageEncoder::new(&config.vision, config.embed_dim, device);
    match clip {
        ClipSource::File(file) => Ok(load_parameters(
            encoder(device),
            "image_encoder",
            file,
            device,
            FloatDType::F32,
        )?),
        ClipSource::Untrained(..) => Ok(init_seeded(
            device,
            seed_of(seed, RngStream::UntrainedImageEncoder),
            encoder,
        )),
    }
}

fn text_features(
    clip: &ClipSource,
    from_release: bool,
    vocabulary: &Vocabulary,
    embed_dim: usize,
    cache: &TextFeatureCache,
    device: &Device,
) -> Result<Tensor<2>, TrainError> {
    if from_release {
        return published(vocabulary, embed_dim, device);
    }
    cache.get_or(vocabulary, embed_dim, device, || encoded_by(clip, vocabulary, device))
}

fn encoded_by(clip: &ClipSource, vocabulary: &Vocabulary, device: &Device) -> Result<Tensor<2>, TrainError> {
    match clip {
        ClipSource::Untrained(encoder, _) => encoded(encoder, vocabulary),
        ClipSource::File(file) if file.parts().text_encoder => {
            // The encoder is dropped after use: its token embedding alone takes 100 MB.
            let encoder = load_text_encoder(file, &ModelOverrides::default(), device, FloatDType::F32)?;
            encoded(&encoder, vocabulary)
        }
        ClipSource::File(file) => Err(TrainError::NoTextEncoder {
            classes: first_names(vocabulary),
            path: file.path().to_owned(),
        }),
    }
}

/// Fails if a weight of the blocks, which are computed in half precision, becomes infinite in it.
fn require_range_of_blocks(file: &WeightFile, precision: FrozenPrecision) -> Result<(), TrainError> {
    let dtype = match precision {
        FrozenPrecision::F32 => Dtype::F32,
        FrozenPrecision::F16 => Dtype::F16,
        FrozenPrecision::Bf16 => Dtype::Bf16,
    };
    let mut names = file.names().filter(|name| name.starts_with("backbone.transformer."));
    Ok(names.try_for_each(|name| file.require_range(name, dtype))?)
}

fn trainable(config: &TrainConfig) -> Trainable {
    Trainable::default()
        .with_image_encoder(config.model.train_image_encoder)
        .with_activation_checkpointing(config.activation_checkpointing)
}

/// Fails if the header of the initial weights states another decoder than the run has: tensors of other heads have the same
/// shapes.
fn require_same_decoder(file: &WeightFile, config: &TrainConfig) -> Result<(), TrainError> {
    let Some(stated) = NativeMetadata::read(file)?.and_then(|metadata| metadata.config) else {
        return Ok(());
    };
    let wrong = |key: &str, expected: String| {
        let reason = format!("has {expected} in its header, which must equal `{key}`");
        Err(TrainError::value("model.initial", file.path().display(), reason))
    };
    let model = &config.model;
    if stated.decoder.heads != model.decoder.heads {
        return wrong("model.decoder.heads", format!("{} decoder heads", stated.decoder.heads));
    }
    if stated.relation != model.relation {
        return wrong("model.relation", format!("the relation {:?}", stated.relation));
    }
    Ok(())
}

/// Loads the trained parts from a model file. Optimizer and schedule are those of a new run.
fn load_trained_parts(
    model: ZegClip,
    path: &Path,
    config: &TrainConfig,
    device: &Device,
) -> Result<ZegClip, TrainError> {
    let file = WeightFile::open(path)?;
    require_same_decoder(&file, config)?;
    let head = ZegClip {
        prompts: model
            .prompts
            .map(|prompts| load_parameters(prompts, "prompts", &file, device, FloatDType::F32))
            .transpose()?,
        relation_descriptor: load_parameters(
            model.relation_descriptor,
            "relation_descriptor",
            &file,
            device,
            FloatDType::F32,
        )?,
        decoder: load_parameters(model.decoder, "decoder", &file, device, FloatDType::F32)?,
        image_encoder: if config.model.train_image_encoder {
            load_parameters(model.image_encoder, "image_encoder", &file, device, FloatDType::F32)?
        } else {
            model.image_encoder
        },
    };
    Ok(trainable(config).apply(head, device))
}
