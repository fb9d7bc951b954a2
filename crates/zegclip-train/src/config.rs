//! The configuration of a training run. The defaults are the published recipe (inductive, PASCAL VOC 2012; paper, section 4.2).

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

/// The configuration of a training run. See [`Configuration`](crate::Configuration) for its text form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Seed of initial values, order, transforms and dropout, below 2⁶³.
    pub seed: u64,
    /// What training may know of unseen classes.
    pub setting: TrainingSetting,
    /// Number of updates, in `[1, 2⁶³)`.
    pub iterations: u64,
    /// Images of an update, in `[1, 65536]`, of at most 2³² pixels together.
    pub batch_size: usize,
    /// Number of micro-batches of a batch; divides `batch_size`. The result does not depend on it, memory does.
    pub accumulation: usize,
    /// Recomputes cheap activations in the backward pass instead of keeping them.
    pub activation_checkpointing: bool,
    /// Step between the rows and columns of labels that the loss uses, in `[1, model.image_size]`; 1, the published value, uses
    /// every pixel. The loss takes most of a small model's time, and masks have the resolution of the patch grid only.
    pub label_stride: usize,
    /// The model.
    pub model: ModelConfig,
    /// The data.
    pub data: DataConfig,
    /// The loss.
    pub loss: LossConfig,
    /// AdamW, or Muon for matrices.
    pub optimizer: OptimizerConfig,
    /// Learning rates.
    pub schedule: ScheduleConfig,
    /// What is written and when. The result does not depend on it.
    pub run: RunConfig,
}

/// The model and the source of its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// Weights of CLIP in any supported format. Exactly one of `clip` and `untrained_clip` is present.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<PathBuf>,
    /// Checkpoint or model file with initial prompts, relation descriptor and decoder. Transductive training starts from
    /// `checkpoints/half-way` of an inductive run (paper, section 4.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial: Option<PathBuf>,
    /// Initializes relation descriptor and decoder so that masks equal this similarity of CLIP's patches and texts; without it
    /// they are random, as published. It needs a CLIP with informative patches (`loss.patches` of pre-training) and a
    /// descriptor that contains the text. `initial` takes precedence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<Similarity>,
    /// Sizes of an untrained CLIP, for experiments without weights. Widths are in `[1, 65536]`, layers in `[1, 1024]`,
    /// `context_length` in `[3, 4096]`, `vocabulary_size` in `[49408, 2²⁰]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untrained_clip: Option<ClipConfig>,
    /// Uses the published text features of VOC and COCO-Stuff (CLIP ViT-B/16) instead of the text encoder.
    pub published_text_features: bool,
    /// Side of crops and windows in pixels, in `[1, 16384]`.
    pub image_size: usize,
    /// Pixels from one window of the sliding window to the next, in `[1, image_size]`.
    pub stride: usize,
    /// Prompts of the image encoder.
    pub prompts: PromptSettings,
    /// Form of the relation descriptor.
    pub relation: RelationForm,
    /// The decoder.
    pub decoder: DecoderConfig,
    /// Trains the image encoder too (`FT` in the paper's Table 3).
    pub train_image_encoder: bool,
    /// Type of the weight matrices of the frozen image encoder's blocks. Trained parameters, tokens between blocks, losses and
    /// the model file are f32. Smaller types are faster on GPUs with f16 or bf16 units, and slower on a CPU.
    pub frozen_precision: FrozenPrecision,
}

/// Type of the weight matrices of frozen blocks.
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

/// Form of the prompts (paper, section 3.2 and Table 5).
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
    /// Their form.
    pub form: PromptKind,
    /// Prompt tokens of a block, in `[1, 65536]`.
    pub count: usize,
    /// Blocks with their own prompts; the deep form adds the first block.
    pub blocks: usize,
    /// Dropout probability, in `[0, 1)`.
    pub dropout: f64,
}

/// The data and its transforms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// `NAME=DIR` or the TOML of a data set, as `zegclip dataset check` takes it.
    pub dataset: String,
    /// The split; the data set's training split by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// Threads that read and transform images, at most 1024; 0 is one. The result does not depend on it.
    pub threads: usize,
    /// Batches prepared in advance, at most 1024; 0 is one. The result does not depend on it.
    pub batches_ahead: usize,
    /// Resize, crop, flip, photometric distortion, normalization.
    pub pipeline: TrainingPipeline,
}

/// What is written and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// Iterations per line of `metrics.jsonl`, at least 1.
    pub log_interval: u64,
    /// Iterations between checkpoints, at least 1.
    pub checkpoint_interval: u64,
    /// Checkpoints kept, at least 2, apart from the best and the half-way one.
    pub keep: usize,
    /// Iterations between evaluations; 0 disables evaluation.
    pub evaluation_interval: u64,
    /// The split that is scored; that of published results by default.
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
            optimizer: OptimizerConfig::default(),
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
    /// The corresponding type of burn.
    pub fn dtype(self) -> FloatDType {
        match self {
            Self::F32 => FloatDType::F32,
            Self::F16 => FloatDType::F16,
            Self::Bf16 => FloatDType::BF16,
        }
    }

    /// # Errors
    /// [`TrainError::UnsupportedPrecision`].
    pub(crate) fn require_on(self, device: &Device) -> Result<(), TrainError> {
        let (name, dtype) = match self {
            Self::F32 => return Ok(()),
            Self::F16 => ("f16", DType::F16),
            Self::Bf16 => ("bf16", DType::BF16),
        };
        if device.supports_dtype(dtype) {
            return Ok(());
        }
        Err(TrainError::UnsupportedPrecision { precision: name })
    }
}

impl PromptSettings {
    /// The model's form of these settings; `None` without prompts.
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
    /// The base learning rate of all trained parameters: `lr · lr_multiplier`.
    pub fn base_rate(&self) -> f64 {
        self.optimizer.lr * self.optimizer.lr_multiplier
    }

    /// Iterations before the half-way checkpoint, from which transductive training starts.
    pub fn half_way(&self) -> u64 {
        self.iterations / 2
    }
}
