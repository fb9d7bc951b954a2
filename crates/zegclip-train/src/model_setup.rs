//! The model of a run before its first iteration, and the file that it becomes.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, FloatDType, Tensor};
use zegclip_data::{TrainingSetting, Vocabulary};
use zegclip_model::clip::{ImageEncoder, TextEncoder};
use zegclip_model::config::{PromptForm, TextConfig, VisionConfig, ZegClipConfig};
use zegclip_model::parameters::{ExportedParameter, export_parameters, load_parameters};
use zegclip_model::{ModelOverrides, NativeMetadata, ZegClip, clip_config, load_text_encoder};
use zegclip_weights::{IfExists, OutputTensor, WeightFile, write_native};

use crate::seed::{Drawn, seed_of};
use crate::text_feature_cache::TextFeatureCache;
use crate::text_features::{encoded, missing, published};
use crate::training::Checkpoint;
use crate::{FrozenPrecision, TrainConfig, TrainError, freeze};

/// What training starts from.
#[derive(Debug)]
pub(crate) struct ModelSetup {
    /// Its sizes.
    pub(crate) config: ZegClipConfig,
    /// `[classes, embed_dim]`, plain.
    pub(crate) text_features: Tensor<2>,
    clip: ClipSource,
    published_text_features: bool,
    cache: TextFeatureCache,
    setting: TrainingSetting,
    seed: u64,
    frozen_precision: FrozenPrecision,
    device: Device,
}

/// Where CLIP comes from; its text encoder goes into the model file.
#[derive(Debug)]
enum ClipSource {
    File(WeightFile),
    Untrained(Box<TextEncoder>, TextConfig),
}

impl ModelSetup {
    /// Loads or draws everything, and the model with its frozen and trained parts where they belong. `vocabulary` are the
    /// classes that training may name.
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
        let model_config = model_config(config, vision, embed_dim)?;
        let image_encoder = image_encoder(&clip, &model_config, config.seed, device)?;
        let published_text_features = config.model.published_text_features;
        let text_features = text_features(&clip, published_text_features, vocabulary, embed_dim, &cache, device)?;
        let mut head = drawn(device, seed_of(config.seed, Drawn::Head), |host| ZegClip {
            image_encoder,
            ..ZegClip::new(&model_config, host)
        });
        if let Some(similarity) = config.model.similarity {
            head = head.with_similarity_init(similarity);
        }
        let mut model = freeze::trainable(
            head,
            config.model.train_image_encoder,
            config.activation_checkpointing,
            device,
        );
        // Checkpoints of a run hold a task, which is made of this model.
        if let Some(initial) = config
            .model
            .initial
            .as_ref()
            .filter(|path| !Checkpoint::is_checkpoint(path))
        {
            model = start_from(model, initial, config, device)?;
        }
        if frozen_precision != FrozenPrecision::F32 {
            model.image_encoder = freeze::with_matrices_in(model.image_encoder, frozen_precision.dtype());
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
            device,
        };
        Ok((setup, model))
    }

    /// Text features of any class list from where those of the training come: `[classes, embed_dim]`.
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

    /// Writes a plain model with its text encoder and class list: a file that `segment` needs nothing else for.
    pub(crate) fn write(&self, model: &ZegClip, vocabulary: &Vocabulary, path: &Path) -> Result<(), TrainError> {
        let mut model = model.clone();
        if self.frozen_precision != FrozenPrecision::F32 {
            // The file gets CLIP as it was, not what is left of it in a smaller type.
            model.image_encoder = image_encoder(&self.clip, &self.config, self.seed, &self.device)?;
        }
        let parameters = export_parameters(&model, "");
        let untrained = match &self.clip {
            // Text features of the release are not this encoder's: whoever has it in the file would take it for theirs.
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
                // With the temperature, the file is also the CLIP that it was made of, which pre-training can go on from.
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
        for (key, width, heads) in [
            (
                "model.untrained_clip.vision.heads",
                sizes.vision.width,
                sizes.vision.heads,
            ),
            ("model.untrained_clip.text.heads", sizes.text.width, sizes.text.heads),
        ] {
            divides(key, heads, width)?;
        }
        let encoder = drawn(device, seed_of(config.seed, Drawn::UntrainedTextEncoder), |host| {
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
        ClipSource::Untrained(..) => Ok(drawn(device, seed_of(seed, Drawn::UntrainedImageEncoder), encoder)),
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
            // The encoder lives only as long as it is needed: its token embedding alone takes 100 MB.
            let encoder = load_text_encoder(file, &ModelOverrides::default(), device, FloatDType::F32)?;
            encoded(&encoder, vocabulary)
        }
        ClipSource::File(file) => {
            let fix = "it holds no text encoder; name CLIP's whole weights in `model.clip`, or use \
                       `model.published_text_features = true`";
            Err(missing(vocabulary, format!("`{}`: {fix}", file.path().display())))
        }
    }
}

fn model_config(config: &TrainConfig, vision: VisionConfig, embed_dim: usize) -> Result<ZegClipConfig, TrainError> {
    let model = &config.model;
    let value = |key, value: usize, reason: String| {
        Err(TrainError::Value {
            key,
            value: value.to_string(),
            reason,
        })
    };
    divides("model.decoder.heads", model.decoder.heads, embed_dim)?;
    if model.decoder.ffn_ratio == 0 {
        let reason = "at least one is needed".to_owned();
        return value("model.decoder.ffn_ratio", 0, reason);
    }
    if vision.patch_size == 0 || model.image_size < vision.patch_size {
        return value(
            "model.image_size",
            model.image_size,
            format!("a patch has {} pixels a side", vision.patch_size),
        );
    }
    let prompts = model.prompts.to_model();
    let blocks = prompts.as_ref().map_or(0, |prompts| match prompts.form {
        PromptForm::Shallow => 1,
        PromptForm::Deep(blocks) => blocks + 1,
        PromptForm::Reverse(blocks) => blocks,
    });
    if blocks > vision.layers {
        let reason = format!(
            "the image encoder has {} blocks, the first counts as one in the deep form",
            vision.layers
        );
        return value("model.prompts.blocks", model.prompts.blocks, reason);
    }
    Ok(ZegClipConfig {
        image_size: model.image_size,
        stride: model.stride,
        embed_dim,
        vision: VisionConfig {
            position_grid: model.image_size / vision.patch_size,
            ..vision
        },
        prompts,
        relation: model.relation,
        decoder: model.decoder.clone(),
        mask_activation: config.loss.form.mask_activation(),
    })
}

/// Takes what is trained from a model file; optimizer and schedule start anew.
fn start_from(model: ZegClip, path: &Path, config: &TrainConfig, device: &Device) -> Result<ZegClip, TrainError> {
    let file = WeightFile::open(path)?;
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
    Ok(freeze::trainable(
        head,
        config.model.train_image_encoder,
        config.activation_checkpointing,
        device,
    ))
}

fn divides(key: &'static str, heads: usize, width: usize) -> Result<(), TrainError> {
    if heads > 0 && width > 0 && width.is_multiple_of(heads) {
        return Ok(());
    }
    Err(TrainError::Value {
        key,
        value: heads.to_string(),
        reason: format!("it must divide the width {width}"),
    })
}

/// Makes a module and draws all its initial values from a seed, then moves it to `device`. They are drawn in host memory,
/// since every kind of device has another generator: a seed is one model on all of them. burn would draw each value at its
/// first use, which would depend on what is used first, and from a generator of the whole process, so that only one module
/// at a time is drawn here.
pub fn drawn<M: Module>(device: &Device, seed: u64, make: impl FnOnce(&Device) -> M) -> M {
    static DRAWING: Mutex<()> = Mutex::new(());
    struct Draw;
    impl ModuleMapper for Draw {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            Param::initialized(param.id, param.val())
        }
    }
    let _alone = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
    let host = Device::flex();
    host.seed(seed);
    make(&host).map(&mut Draw).to_device(device)
}
