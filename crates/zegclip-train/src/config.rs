//! A training run in numbers. The defaults are the published recipe (inductive, PASCAL VOC 2012).

use std::path::PathBuf;

use burn::tensor::{DType, Device, FloatDType};
use serde::{Deserialize, Serialize};
use zegclip_data::TrainingSetting;
use zegclip_data::transforms::TrainingPipeline;
use zegclip_model::config::{
    ClipConfig, DecoderConfig, PromptConfig, PromptForm, RelationForm, Similarity, ZegClipConfig,
};
use zegclip_model::loss::LossConfig;

use crate::{OptimizerConfig, ScheduleConfig, TrainError};

/// Everything that a run is made of. See [`Configuration`](crate::Configuration) for its text form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Seed of initial values, order, transforms and dropout; at most 2⁶³ − 1.
    pub seed: u64,
    /// What is known of unseen classes.
    pub setting: TrainingSetting,
    /// Number of updates.
    pub iterations: u64,
    /// Images of an update.
    pub batch_size: usize,
    /// Parts that a batch is computed in, one after the other; divides `batch_size`. The result is that of one part, the
    /// memory that of a part.
    pub accumulation: usize,
    /// Computes cheap activations again in the backward pass instead of keeping them.
    pub activation_checkpointing: bool,
    /// The loss looks at every so many-th row and column of the labels; 1, the published value, is every pixel. Masks are made
    /// at patch grid, so between patches labels repeat themselves nearly, and the loss over all classes of all pixels is most
    /// of a small model's time.
    pub label_stride: usize,
    /// The model.
    pub model: ModelConfig,
    /// The data.
    pub data: DataConfig,
    /// The loss.
    pub loss: LossConfig,
    /// AdamW, or Muon for matrices.
    pub optimiser: OptimizerConfig,
    /// Learning rates.
    pub schedule: ScheduleConfig,
    /// What is written and when. Of no influence on the result.
    pub run: RunConfig,
}

/// The model and where its weights come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// Weights of CLIP in any known format. Without it CLIP is untrained, with the sizes of `untrained_clip`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<PathBuf>,
    /// Checkpoint or model file whose prompts, relation descriptor and decoder to start from (transductive training starts
    /// from `checkpoints/half-way` of an inductive run).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial: Option<PathBuf>,
    /// Lets masks begin as this similarity of CLIP's patches and texts; without it relation descriptor and decoder begin
    /// at random, as published. Needs a CLIP whose patches say something (`loss.patches` of `zegclip pretrain`) and a
    /// descriptor with the text in it. `initial` goes before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<Similarity>,
    /// Sizes of an untrained CLIP, for experiments without weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untrained_clip: Option<ClipConfig>,
    /// Uses the text features that the release ships for VOC and COCO-Stuff (CLIP ViT-B/16) instead of the text encoder.
    pub published_text_features: bool,
    /// Side of crops and windows in pixels.
    pub image_size: usize,
    /// Pixels from one window of the sliding window to the next.
    pub stride: usize,
    /// Prompts of the image encoder.
    pub prompts: PromptSettings,
    /// Form of the relation descriptor.
    pub relation: RelationForm,
    /// The decoder.
    pub decoder: DecoderConfig,
    /// Trains the image encoder too (the paper's `FT`).
    pub train_image_encoder: bool,
    /// Type that the blocks of the frozen image encoder compute in; what is trained, the tokens between blocks, the losses
    /// and the model file stay f32. It pays on cards that multiply f16 or bf16 faster, and halves those weights; the
    /// processor gets slower by it.
    pub frozen_precision: FrozenPrecision,
}

/// Types of numbers that frozen blocks may compute in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FrozenPrecision {
    /// 32 bits, as published.
    #[default]
    F32,
    /// 16 bits with 11 of precision; values beyond 65504 overflow.
    F16,
    /// 16 bits with 8 of precision and the range of f32.
    Bf16,
}

/// How prompts enter, in one word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptKind {
    /// No prompts (the paper's `Fix`).
    None,
    /// Before the first block only.
    Shallow,
    /// Before the first block and the next `blocks` blocks.
    #[default]
    Deep,
    /// Before the last `blocks` blocks.
    Reverse,
}

/// Prompts of the image encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PromptSettings {
    /// How they enter.
    pub form: PromptKind,
    /// Prompts of a block.
    pub count: usize,
    /// Blocks with prompts of their own, the first not counted in the deep form.
    pub blocks: usize,
    /// Probability with which a value is dropped.
    pub dropout: f64,
}

/// The data and what is done to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// `NAME=DIR` or the TOML of a data set, as `zegclip dataset check` takes it.
    pub dataset: String,
    /// The split; else the one that the data set is trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// Threads that read and transform; 0 is one. Of no influence on the result.
    pub threads: usize,
    /// Batches made ahead; 0 is one. Of no influence on the result.
    pub batches_ahead: usize,
    /// Resize, crop, flip, colours.
    pub pipeline: TrainingPipeline,
}

/// What is written and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// Iterations from one line of `metrics.jsonl` to the next.
    pub log_interval: u64,
    /// Iterations from one checkpoint to the next.
    pub checkpoint_interval: u64,
    /// Checkpoints kept, at least two; the best and the half-way one not counted.
    pub keep: usize,
    /// Iterations from one evaluation to the next; 0 is none.
    pub evaluation_interval: u64,
    /// The split that is scored; else the one that published results are of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation_split: Option<String>,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            setting: TrainingSetting::Inductive,
            iterations: 20_000,
            batch_size: 16,
            accumulation: 1,
            activation_checkpointing: false,
            label_stride: 1,
            model: ModelConfig::default(),
            data: DataConfig::default(),
            loss: LossConfig::default(),
            optimiser: OptimizerConfig::default(),
            schedule: ScheduleConfig::default(),
            run: RunConfig::default(),
        }
    }
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            clip: None,
            initial: None,
            similarity: None,
            untrained_clip: None,
            published_text_features: false,
            image_size: 512,
            stride: ZegClipConfig::default_stride(512),
            prompts: PromptSettings::default(),
            relation: RelationForm::default(),
            decoder: DecoderConfig::published(),
            train_image_encoder: false,
            frozen_precision: FrozenPrecision::F32,
        }
    }
}

impl Default for PromptSettings {
    fn default() -> Self {
        Self {
            form: PromptKind::Deep,
            count: 10,
            blocks: 11,
            dropout: 0.1,
        }
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            dataset: String::new(),
            split: None,
            threads: 2,
            batches_ahead: 2,
            pipeline: TrainingPipeline::default(),
        }
    }
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            log_interval: 50,
            checkpoint_interval: 1000,
            keep: 2,
            evaluation_interval: 0,
            evaluation_split: None,
        }
    }
}

impl FrozenPrecision {
    /// As burn names it.
    pub fn dtype(self) -> FloatDType {
        match self {
            Self::F32 => FloatDType::F32,
            Self::F16 => FloatDType::F16,
            Self::Bf16 => FloatDType::BF16,
        }
    }

    /// # Errors
    /// [`TrainError::Value`] if the device does not compute in this type.
    pub(crate) fn require_on(self, device: &Device) -> Result<(), TrainError> {
        let (name, dtype) = match self {
            Self::F32 => return Ok(()),
            Self::F16 => ("f16", DType::F16),
            Self::Bf16 => ("bf16", DType::BF16),
        };
        if device.supports_dtype(dtype) {
            return Ok(());
        }
        Err(TrainError::Value {
            key: "model.frozen_precision",
            value: format!("\"{name}\""),
            reason: format!("the device does not compute in {name}; use \"f32\" or another device"),
        })
    }
}

impl RunConfig {
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        if self.checkpoint_interval == 0 || self.log_interval == 0 {
            let reason = "`log_interval` and `checkpoint_interval` must be at least 1";
            return Err(TrainError::value("run", &0, reason));
        }
        Ok(())
    }
}

impl PromptSettings {
    /// As the model takes them.
    pub fn to_model(&self) -> Option<PromptConfig> {
        let form = match self.form {
            PromptKind::None => return None,
            PromptKind::Shallow => PromptForm::Shallow,
            PromptKind::Deep => PromptForm::Deep(self.blocks),
            PromptKind::Reverse => PromptForm::Reverse(self.blocks),
        };
        Some(PromptConfig {
            count: self.count,
            form,
            dropout: self.dropout,
        })
    }
}

impl TrainConfig {
    /// The learning rate of everything trainable at full height.
    pub fn base_rate(&self) -> f64 {
        self.optimiser.lr * self.optimiser.lr_multiplier
    }

    /// Iteration after which the checkpoint that transductive training starts from is kept.
    pub fn half_way(&self) -> u64 {
        self.iterations / 2
    }

    /// [`Configuration::validate`](crate::Configuration::validate).
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        let fail = |key, value: &dyn std::fmt::Display, reason: &str| Err(TrainError::value(key, value, reason));
        let model = &self.model;
        if i64::try_from(self.seed).is_err() {
            return fail("seed", &self.seed, "it must be below 2^63");
        }
        if self.iterations == 0 {
            return fail("iterations", &0, "at least one is needed");
        }
        if self.batch_size == 0 {
            return fail("batch_size", &0, "at least one image is needed");
        }
        if self.accumulation == 0 || !self.batch_size.is_multiple_of(self.accumulation) {
            return fail(
                "accumulation",
                &self.accumulation,
                &format!("it must divide `batch_size` = {}", self.batch_size),
            );
        }
        if self.label_stride == 0 || self.label_stride > model.image_size {
            let reason = format!("it must lie in 1..={} (`model.image_size`)", model.image_size);
            return fail("label_stride", &self.label_stride, &reason);
        }
        if self.data.dataset.is_empty() {
            return fail(
                "data.dataset",
                &"\"\"",
                "name the data set: `--set data.dataset=voc2012=DIR`, or the TOML of your own",
            );
        }
        if self.data.pipeline.crop_size as usize != model.image_size {
            let reason = format!("crops must have the model's `model.image_size` = {}", model.image_size);
            return fail("data.pipeline.crop_size", &self.data.pipeline.crop_size, &reason);
        }
        if model.clip.is_some() == model.untrained_clip.is_some() {
            let reason =
                "give either the weights of CLIP (`model.clip`) or sizes of an untrained one (`model.untrained_clip`)";
            return fail(
                "model.clip",
                &model
                    .clip
                    .as_ref()
                    .map_or_else(|| "nothing".to_owned(), |path| path.display().to_string()),
                reason,
            );
        }
        if model.train_image_encoder && model.frozen_precision != FrozenPrecision::F32 {
            let reason = "nothing is frozen where `model.train_image_encoder` is set; use \"f32\"";
            return fail(
                "model.frozen_precision",
                &format!("{:?}", model.frozen_precision),
                reason,
            );
        }
        if model.stride == 0 || model.stride > model.image_size {
            return fail(
                "model.stride",
                &model.stride,
                &format!("it must lie in 1..={} (`model.image_size`)", model.image_size),
            );
        }
        if model.decoder.layers == 0 {
            return fail(
                "model.decoder.layers",
                &0,
                "at least one is needed: its scores are the masks",
            );
        }
        if let Some(Similarity { scale, threshold }) = model.similarity {
            if !(scale.is_finite() && scale > 0.0) {
                return fail("model.similarity.scale", &scale, "it must be a positive number");
            }
            if !(threshold > 0.0 && threshold < 1.0) {
                return fail("model.similarity.threshold", &threshold, "it must lie in (0, 1)");
            }
            if !model.relation.ends_in_text() {
                let reason = "with `model.similarity` the descriptor must have the text in it, such as `product_text`";
                let given = serde_json::json!(model.relation);
                return fail("model.relation", &given, reason);
            }
        }
        if model.prompts.form != PromptKind::None && model.prompts.count == 0 {
            return fail(
                "model.prompts.count",
                &0,
                "use `model.prompts.form = \"none\"` for no prompts",
            );
        }
        for (key, value) in [
            ("model.prompts.dropout", model.prompts.dropout),
            ("model.decoder.dropout", model.decoder.dropout),
        ] {
            if !(0.0..1.0).contains(&value) {
                return fail(key, &value, "it must lie in [0, 1)");
            }
        }
        let finite_positive = |value: f64| value.is_finite() && value > 0.0;
        let optimiser = &self.optimiser;
        for (key, value) in [
            ("optimiser.lr", optimiser.lr),
            ("optimiser.lr_multiplier", optimiser.lr_multiplier),
            ("optimiser.epsilon", optimiser.epsilon),
            ("optimiser.clip_norm", optimiser.clip_norm.unwrap_or(1.0)),
            ("schedule.warmup_ratio", self.schedule.warmup_ratio),
        ] {
            if !finite_positive(value) {
                return fail(key, &value, "it must be a positive number");
            }
        }
        check_betas(optimiser.betas)?;
        self.run.check()
    }
}

/// The decays of both moments of AdamW.
pub(crate) fn check_betas(betas: [f64; 2]) -> Result<(), TrainError> {
    if betas.iter().all(|beta| (0.0..1.0).contains(beta)) {
        return Ok(());
    }
    let value = format!("{betas:?}");
    Err(TrainError::value("optimiser.betas", &value, "both must lie in [0, 1)"))
}
