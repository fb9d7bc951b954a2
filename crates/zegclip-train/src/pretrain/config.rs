//! A pre-training run in numbers. What a TOML does not name is CLIP ViT-B/16.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use zegclip_model::config::{Activation, ClipConfig, TextConfig, VisionConfig};
use zegclip_model::{ModelOverrides, text_config};
use zegclip_weights::WeightFile;

use super::source::{PairSource, SCENES};
use crate::config::check_betas;
use crate::{Configuration, Method, OptimizerConfig, RunConfig, TrainError};

/// Everything that a run is made of. See [`Configuration`] for its text form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PretrainConfig {
    /// Seed of initial values, order and images; at most 2⁶³ − 1.
    pub seed: u64,
    /// Sizes of both encoders.
    pub model: PretrainModelConfig,
    /// Images and captions.
    pub data: PretrainDataConfig,
    /// Parts of the run, one after the other.
    pub stages: Vec<StageConfig>,
    /// What is learned of an image.
    pub loss: PretrainLoss,
    /// AdamW, or Muon for matrices. Norms, biases, embeddings and the temperature are not decayed.
    pub optimiser: PretrainOptimiser,
    /// Learning rates over all stages.
    pub schedule: CosineSchedule,
    /// What is measured as it goes on. Of no influence on the result.
    pub evaluation: EvaluationConfig,
    /// What is written and when. Of no influence on the result.
    pub run: RunConfig,
}

/// Sizes of CLIP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PretrainModelConfig {
    /// Width of the joint embedding.
    pub embed_dim: usize,
    /// The image encoder.
    pub vision: VisionSizes,
    /// The text encoder.
    pub text: TextSizes,
    /// Gives only tokens of the captions a row in the token embedding; all others share one.
    pub compact_tokens: bool,
    /// These tokens, in rising order. A run that begins finds them and records them here, so that it goes on with the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_tokens: Option<Vec<u32>>,
    /// CLIP of the same sizes to start from instead of random values, in any known format; positions are interpolated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial: Option<PathBuf>,
}

/// Sizes of the image encoder; its position grid follows from the stages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VisionSizes {
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Width of a token.
    pub width: usize,
    /// Transformer blocks.
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
    /// Width of a token.
    pub width: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Attention heads; divides `width`.
    pub heads: usize,
    /// Most tokens of a text. Longer captions are cut. Only as many as a batch needs are computed.
    pub context_length: usize,
    /// Non-linearity of the perceptrons.
    pub activation: Activation,
}

/// Images and captions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PretrainDataConfig {
    /// `scenes` for composed scenes, or a file with a line `{"image": PATH, "captions": [TEXT, …], "names": [TEXT, …]}` for
    /// each image, paths relative to the file. `names` are what the captions name, such as `cat` and `grass`; only
    /// `loss.patches` needs them.
    pub source: String,
    /// A folder of pictures to compose scenes of; else the embedded ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pictures: Option<PathBuf>,
    /// Share of the captions that name the ground, in `[0, 1]`; for scenes. Grounds are few and large: where every caption
    /// names one, it alone tells most images apart, and little is left to be learned of things.
    pub ground_captions: f64,
    /// The same form, held out for retrieval; only for a source of this form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<PathBuf>,
    /// Smallest share of an image's largest square that a crop has, in `(0, 1]`; for images from files.
    pub crop: f64,
    /// Probability of a mirrored image; for images from files.
    pub flip: f64,
    /// Threads that make or read images; 0 is one. Of no influence on the result.
    pub threads: usize,
    /// Batches made ahead; 0 is one. Of no influence on the result.
    pub batches_ahead: usize,
}

/// A part of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StageConfig {
    /// Number of updates.
    pub iterations: u64,
    /// Side of the images in pixels.
    pub image_size: usize,
    /// Pairs of an update: each image is told apart from this many captions.
    pub batch_size: usize,
    /// Pairs that go through the encoders at once. Below `batch_size`, features are computed twice and gradients cached
    /// between (Gao et al. 2021): the result is that of the whole batch, the memory that of a chunk. 0 is the whole batch.
    pub chunk: usize,
    /// Fewest and most pictures in a scene.
    pub pictures: [usize; 2],
    /// Longer side of the smallest and the largest picture of a scene in pixels.
    pub picture_size: [u32; 2],
}

/// What is learned of an image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PretrainLoss {
    /// Share of the loss in which each patch says which of the names in its image's captions it lies on, in `[0, 1]`; the
    /// rest is CLIP's contrastive loss of class tokens and captions. CLIP has 0: of its patches nothing is asked, and in a
    /// small model they say little. See [`patch_naming_loss`](super::patch_naming_loss).
    pub patches: f64,
}

/// AdamW, or Muon for matrices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PretrainOptimiser {
    /// `adamw` as CLIP, or `muon` for matrices of weights.
    pub method: Method,
    /// Learning rate at its height.
    pub lr: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Decay of the two moments.
    pub betas: [f64; 2],
    /// Added to the denominator.
    pub epsilon: f64,
    /// Longest allowed vector of all gradients; without it nothing is clipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
}

/// A linear rise, then half a cosine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CosineSchedule {
    /// Iterations of the rise.
    pub warmup: u64,
    /// Rate at the end.
    pub min_lr: f64,
}

/// What is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationConfig {
    /// Images of a split that are classified, and pairs that are retrieved.
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
            optimiser: PretrainOptimiser::default(),
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

impl Default for PretrainOptimiser {
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

impl PretrainOptimiser {
    /// As the optimizer takes it.
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
    /// Pairs that go through the encoders at once.
    pub fn chunk_size(&self) -> usize {
        if self.chunk == 0 { self.batch_size } else { self.chunk }
    }
}

impl PretrainConfig {
    /// Updates of all stages.
    pub fn iterations(&self) -> u64 {
        self.stages
            .iter()
            .fold(0, |sum, stage| sum.saturating_add(stage.iterations))
    }

    /// The stage that an iteration belongs to and the first iteration of it; the last stage beyond the end.
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

    /// Patches along a side of the images of a stage.
    pub fn grid(&self, stage: &StageConfig) -> usize {
        stage.image_size / self.model.vision.patch_size.max(1)
    }

    /// The same with the tokens that its captions have, if they are to be found.
    ///
    /// # Errors
    /// Those of reading the captions, or the header of `model.initial`.
    pub fn with_tokens(mut self, source: &PairSource) -> Result<Self, TrainError> {
        let model = &mut self.model;
        if !model.compact_tokens || model.kept_tokens.is_some() {
            return Ok(self);
        }
        model.kept_tokens = match &model.initial {
            // Its rows belong to its own list.
            Some(path) => {
                let file = WeightFile::open(path)?;
                text_config(&file, &ModelOverrides::default())?.0.pruned_vocabulary
            }
            None => Some(source.tokens(model.text.context_length)?),
        };
        Ok(self)
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
    const FREE_KEYS: &'static [&'static str] = &["run", "evaluation", "data.threads", "data.batches_ahead"];

    fn every_key() -> Self {
        let mut config = Self::default();
        config.model.kept_tokens = Some(Vec::new());
        config.model.initial = Some(PathBuf::new());
        config.data.pictures = Some(PathBuf::new());
        config.data.validation = Some(PathBuf::new());
        config.optimiser.clip_norm = Some(1.0);
        config
    }

    fn validate(&self) -> Result<(), TrainError> {
        let fail = |key, value: &dyn std::fmt::Display, reason: &str| Err(TrainError::value(key, value, reason));
        if i64::try_from(self.seed).is_err() {
            return fail("seed", &self.seed, "it must be below 2^63");
        }
        let model = &self.model;
        for (key, value) in [
            ("model.embed_dim", model.embed_dim),
            ("model.vision.patch_size", model.vision.patch_size),
            ("model.vision.layers", model.vision.layers),
            ("model.text.layers", model.text.layers),
        ] {
            if value == 0 {
                return fail(key, &0, "it must be at least 1");
            }
        }
        for (key, heads, width) in [
            ("model.vision.heads", model.vision.heads, model.vision.width),
            ("model.text.heads", model.text.heads, model.text.width),
        ] {
            if heads == 0 || width == 0 || !width.is_multiple_of(heads) {
                return fail(key, &heads, &format!("it must divide the width {width}"));
            }
        }
        if model.text.context_length < 3 {
            let reason = "a text has a start token, at least one more and an end token";
            return fail("model.text.context_length", &model.text.context_length, reason);
        }
        let kept = model.kept_tokens.as_deref().unwrap_or_default();
        if !kept.is_sorted_by(|a, b| a < b) {
            let reason = "ids must rise; leave it out, and the captions' tokens are found";
            return fail("model.kept_tokens", &"a list", reason);
        }
        if self.stages.is_empty() {
            return fail("stages", &"[]", "at least one is needed");
        }
        for stage in &self.stages {
            if stage.iterations == 0 {
                return fail("stages.iterations", &0, "at least one is needed");
            }
            if stage.image_size < model.vision.patch_size {
                let reason = format!("a patch has {} pixels a side", model.vision.patch_size);
                return fail("stages.image_size", &stage.image_size, &reason);
            }
            if stage.batch_size < 2 {
                let reason = "an image is told apart from other captions, so two pairs are the least";
                return fail("stages.batch_size", &stage.batch_size, reason);
            }
        }
        if self.data.source.is_empty() {
            return fail(
                "data.source",
                &"\"\"",
                "use `scenes`, or name a JSONL file of images and captions",
            );
        }
        if !(self.data.crop > 0.0 && self.data.crop <= 1.0) {
            return fail("data.crop", &self.data.crop, "it must lie in (0, 1]");
        }
        if !(0.0..=1.0).contains(&self.data.ground_captions) {
            let value = self.data.ground_captions;
            return fail("data.ground_captions", &value, "it must lie in [0, 1]");
        }
        if !(0.0..=1.0).contains(&self.data.flip) {
            return fail("data.flip", &self.data.flip, "it must lie in [0, 1]");
        }
        if !(0.0..=1.0).contains(&self.loss.patches) {
            return fail("loss.patches", &self.loss.patches, "it must lie in [0, 1]");
        }
        let optimiser = &self.optimiser;
        for (key, value) in [
            ("optimiser.lr", optimiser.lr),
            ("optimiser.epsilon", optimiser.epsilon),
            ("optimiser.clip_norm", optimiser.clip_norm.unwrap_or(1.0)),
        ] {
            if !(value.is_finite() && value > 0.0) {
                return fail(key, &value, "it must be a positive number");
            }
        }
        for (key, value) in [
            ("optimiser.weight_decay", optimiser.weight_decay),
            ("schedule.min_lr", self.schedule.min_lr),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return fail(key, &value, "it must not be negative");
            }
        }
        check_betas(optimiser.betas)?;
        self.run.check()
    }
}
