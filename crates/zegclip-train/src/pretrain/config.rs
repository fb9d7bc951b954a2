//! The configuration of a pre-training run. The defaults are CLIP ViT-B/16 (Radford et al. 2021).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use zegclip_model::config::{Activation, ClipConfig, TextConfig, VisionConfig};

use crate::{Configuration, Method, OptimizerConfig, RunConfig, TrainError};

/// The `data.source` of composed scenes.
pub(crate) const SCENES: &str = "scenes";

/// The configuration of a pre-training run. See [`Configuration`] for its text form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PretrainConfig {
    /// Seed of initial values, order and images, below 2⁶³.
    pub seed: u64,
    /// Sizes of both encoders.
    pub model: PretrainModelConfig,
    /// Images and captions.
    pub data: PretrainDataConfig,
    /// Stages of the run in order, at least one.
    pub stages: Vec<StageConfig>,
    /// The loss.
    pub loss: PretrainLoss,
    /// AdamW, or Muon for matrices. Norms, biases, embeddings and the temperature are not decayed.
    pub optimizer: PretrainOptimizer,
    /// Learning rates over all stages.
    pub schedule: CosineSchedule,
    /// Evaluations. The result does not depend on it.
    pub evaluation: EvaluationConfig,
    /// What is written and when. The result does not depend on it.
    pub run: RunConfig,
}

/// Sizes of CLIP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PretrainModelConfig {
    /// Width of the joint embedding, in `[1, 65536]`.
    pub embed_dim: usize,
    /// The image encoder.
    pub vision: VisionSizes,
    /// The text encoder.
    pub text: TextSizes,
    /// Restricts the token embedding to the tokens of the captions; all others share one row.
    pub compact_tokens: bool,
    /// These tokens, in rising order. A new run collects and records them here, so that a resumed run has the same ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_tokens: Option<Vec<u32>>,
    /// Weights of a CLIP of the same sizes with initial values, in any supported format; positions are interpolated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial: Option<PathBuf>,
}

/// Sizes of the image encoder; the stages determine its position grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VisionSizes {
    /// Side of a patch in pixels, at least 1.
    pub patch_size: usize,
    /// Width of a token, in `[1, 65536]`.
    pub width: usize,
    /// Transformer blocks, in `[1, 1024]`.
    pub layers: usize,
    /// Attention heads; divides `width`.
    pub heads: usize,
    /// Non-linearity of the perceptrons.
    pub activation: Activation,
}

/// Sizes of the text encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TextSizes {
    /// Width of a token, in `[1, 65536]`.
    pub width: usize,
    /// Transformer blocks, in `[1, 1024]`.
    pub layers: usize,
    /// Attention heads; divides `width`.
    pub heads: usize,
    /// Maximum number of tokens of a text, in `[3, 4096]`; longer captions are truncated, and batches are padded to their
    /// longest text only.
    pub context_length: usize,
    /// Non-linearity of the perceptrons.
    pub activation: Activation,
}

/// Images and captions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PretrainDataConfig {
    /// `scenes` for composed scenes, or a JSONL file with a line
    /// `{"image": PATH, "captions": [TEXT, …], "names": [TEXT, …]}` per image, paths relative to the file. `names` are the
    /// class names in the captions, such as `cat` and `grass`; only `loss.patches` needs them.
    pub source: String,
    /// A folder of pictures that scenes are composed of; the embedded pictures by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pictures: Option<PathBuf>,
    /// Fraction of the captions that name the ground, in `[0, 1]`; for scenes. Grounds are few and large: where every caption
    /// names one, grounds alone identify most images, and little is learned of objects.
    pub ground_captions: f64,
    /// A held-out JSONL file for retrieval; only for a JSONL source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<PathBuf>,
    /// Smallest area of a crop as a fraction of the image's largest square, in `(0, 1]`; for images from files.
    pub crop: f64,
    /// Probability of a horizontal flip, in `[0, 1]`; for images from files.
    pub flip: f64,
    /// Threads that compose or read images, at most 1024; 0 is one. The result does not depend on it.
    pub threads: usize,
    /// Batches prepared in advance, at most 1024; 0 is one. The result does not depend on it.
    pub batches_ahead: usize,
}

/// A stage of a run: iterations with images of one size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StageConfig {
    /// Number of updates, in `[1, 2⁶³)`.
    pub iterations: u64,
    /// Side of the images in pixels, from the patch size to 16384.
    pub image_size: usize,
    /// Pairs of an update, in `[2, 65536]`, with at most 2³² pixels together.
    pub batch_size: usize,
    /// Pairs per pass through the encoders; 0 is the complete batch. Below `batch_size`, features are computed twice, with
    /// cached gradients in between (Gao et al. 2021): the result does not depend on it, memory does.
    pub chunk: usize,
    /// Minimum and maximum number of pictures in a scene.
    pub pictures: [usize; 2],
    /// Minimum and maximum longer side of a picture in a scene, in pixels.
    pub picture_size: [u32; 2],
}

/// The loss of pre-training.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PretrainLoss {
    /// Weight of the patch-text loss, in `[0, 1]`; the contrastive loss of class tokens and captions has the rest. CLIP has 0,
    /// and patches of a small CLIP are then little informative. See [`patch_text_loss`](super::patch_text_loss).
    pub patches: f64,
}

/// AdamW, or Muon for matrices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PretrainOptimizer {
    /// `adamw` as CLIP, or `muon` for matrices of weights.
    pub method: Method,
    /// Maximum learning rate, above 0.
    pub lr: f64,
    /// Decoupled weight decay, at least 0.
    pub weight_decay: f64,
    /// Decay of the two moments, each in `[0, 1)`.
    pub betas: [f64; 2],
    /// Added to the denominator, above 0.
    pub epsilon: f64,
    /// Maximum L2 norm of all gradients, above 0; without it gradients are not clipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
}

/// Linear warm-up, then cosine decay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CosineSchedule {
    /// Iterations of warm-up.
    pub warmup: u64,
    /// Learning rate at the end, at least 0.
    pub min_lr: f64,
}

/// Evaluations of pre-training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationConfig {
    /// Images of a split that are classified, and pairs that are retrieved; at most 100,000.
    pub images: usize,
}

impl Default for PretrainConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            model: PretrainModelConfig::default(),
            data: PretrainDataConfig::default(),
            stages: vec![StageConfig::default()],
            loss: PretrainLoss::default(),
            optimizer: PretrainOptimizer::default(),
            schedule: CosineSchedule::default(),
            evaluation: EvaluationConfig::default(),
            run: RunConfig::default(),
        }
    }
}

impl Default for PretrainModelConfig {
    fn default() -> Self {
        let base = ClipConfig::vit_b16();
        Self {
            embed_dim: base.embed_dim,
            vision: VisionSizes::default(),
            text: TextSizes::default(),
            compact_tokens: false,
            kept_tokens: None,
            initial: None,
        }
    }
}

impl Default for VisionSizes {
    fn default() -> Self {
        let VisionConfig {
            patch_size,
            width,
            layers,
            heads,
            activation,
            ..
        } = VisionConfig::vit_b16();
        Self {
            patch_size,
            width,
            layers,
            heads,
            activation,
        }
    }
}

impl Default for TextSizes {
    fn default() -> Self {
        let base = TextConfig::base();
        Self {
            width: base.width,
            layers: base.layers,
            heads: base.heads,
            context_length: base.context_length,
            activation: base.activation,
        }
    }
}

impl Default for PretrainDataConfig {
    fn default() -> Self {
        Self {
            source: SCENES.to_owned(),
            pictures: None,
            ground_captions: 0.25,
            validation: None,
            crop: 0.9,
            flip: 0.5,
            threads: 2,
            batches_ahead: 2,
        }
    }
}

impl Default for StageConfig {
    fn default() -> Self {
        Self {
            iterations: 10_000,
            image_size: 224,
            batch_size: 512,
            chunk: 0,
            pictures: [1, 3],
            picture_size: [56, 156],
        }
    }
}

impl Default for PretrainOptimizer {
    fn default() -> Self {
        Self {
            method: Method::Adamw,
            lr: 5e-4,
            weight_decay: 0.2,
            betas: [0.9, 0.98],
            epsilon: 1e-6,
            clip_norm: None,
        }
    }
}

impl Default for CosineSchedule {
    fn default() -> Self {
        Self {
            warmup: 2000,
            min_lr: 0.0,
        }
    }
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self { images: 512 }
    }
}

impl PretrainOptimizer {
    /// The coefficients in the form of [`OptimizerConfig`].
    pub(crate) fn to_optimizer(&self) -> OptimizerConfig {
        OptimizerConfig {
            method: self.method,
            lr: self.lr,
            lr_multiplier: 1.0,
            weight_decay: self.weight_decay,
            betas: self.betas,
            epsilon: self.epsilon,
            decay_norms: false,
            clip_norm: self.clip_norm,
        }
    }
}

impl CosineSchedule {
    /// `lr · (i + 1) / W` for the first W iterations, then `min + (lr − min) · (1 + cos(π (i − W) / (N − W))) / 2`.
    pub fn rate(&self, lr: f64, iteration: u64, iterations: u64) -> f64 {
        if iteration < self.warmup {
            return lr * (iteration + 1) as f64 / self.warmup as f64;
        }
        let length = iterations.saturating_sub(self.warmup).max(1) as f64;
        let progress = ((iteration - self.warmup) as f64 / length).min(1.0);
        self.min_lr + (lr - self.min_lr) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
    }
}

impl StageConfig {
    /// Pairs per pass through the encoders.
    pub fn chunk_size(&self) -> usize {
        if self.chunk == 0 { self.batch_size } else { self.chunk }
    }
}

impl PretrainConfig {
    /// Total iterations of all stages.
    pub fn iterations(&self) -> u64 {
        self.stages
            .iter()
            .fold(0, |sum, stage| sum.saturating_add(stage.iterations))
    }

    /// The stage of an iteration and the stage's first iteration; the last stage beyond the end, `None` without stages.
    pub fn stage_of(&self, iteration: u64) -> Option<(&StageConfig, u64)> {
        let mut start = 0;
        let mut found = None;
        for stage in &self.stages {
            found = Some((stage, start));
            if iteration < start + stage.iterations {
                break;
            }
            start += stage.iterations;
        }
        found
    }

    /// Patches along a side of a stage's images.
    pub fn grid(&self, stage: &StageConfig) -> usize {
        stage.image_size / self.model.vision.patch_size.max(1)
    }

    /// Sizes of the model in a stage.
    pub fn clip_config(&self, stage: &StageConfig) -> ClipConfig {
        let VisionSizes {
            patch_size,
            width,
            layers,
            heads,
            activation,
        } = self.model.vision;
        let text = &self.model.text;
        ClipConfig {
            embed_dim: self.model.embed_dim,
            vision: VisionConfig {
                patch_size,
                width,
                layers,
                heads,
                position_grid: self.grid(stage),
                activation,
            },
            text: TextConfig {
                width: text.width,
                layers: text.layers,
                heads: text.heads,
                context_length: text.context_length,
                vocabulary_size: TextConfig::base().vocabulary_size,
                activation: text.activation,
                pruned_vocabulary: self.model.kept_tokens.clone(),
            },
        }
    }
}

impl Configuration for PretrainConfig {
    const RESUME_MUTABLE_KEYS: &'static [&'static str] = &["run", "evaluation", "data.threads", "data.batches_ahead"];

    fn schema_example() -> Self {
        let mut config = Self::default();
        config.model.kept_tokens = Some(Vec::new());
        config.model.initial = Some(PathBuf::new());
        config.data.pictures = Some(PathBuf::new());
        config.data.validation = Some(PathBuf::new());
        config.optimizer.clip_norm = Some(1.0);
        config
    }

    fn validate(&self) -> Result<(), TrainError> {
        self.check()
    }
}
