//! [`TrainConfig`] as a [`Configuration`]: its keys, its validation, and the sizes of its model.

use std::path::PathBuf;

use zegclip_data::DataError;
use zegclip_data::transforms::TrainingPipeline;
use zegclip_model::config::{ClipConfig, PromptForm, Similarity, VisionConfig, ZegClipConfig};
use zegclip_model::{ModelOverrides, clip_config};
use zegclip_weights::WeightFile;

use crate::config::{DataConfig, FrozenPrecision, ModelConfig, PromptKind, RunConfig, TrainConfig};
use crate::config_keys::to_table;
use crate::limits::{
    self, BATCH_SIZE, CONTEXT_LENGTH, FFN_RATIO, IMAGE_SIZE, LAYERS, MAX_INTEGER, PARALLELISM, POSITION_GRID, PROMPTS,
    WIDTH, batch_pixels, below_one, condition, fraction, heads_divide, in_range, not_negative, positive, within_image,
};
use crate::{Configuration, OptimizerConfig, TrainError};

impl Configuration for TrainConfig {
    const RESUME_MUTABLE_KEYS: &'static [&'static str] = &["run", "data.threads", "data.batches_ahead"];

    fn schema_example() -> Self {
        let mut config = Self::default();
        config.model.clip = Some(PathBuf::new());
        config.model.initial = Some(PathBuf::new());
        config.model.similarity = Some(Similarity {
            scale: 1.0,
            threshold: 0.5,
        });
        config.model.untrained_clip = Some(ClipConfig::vit_b16());
        if let Some(clip) = &mut config.model.untrained_clip {
            clip.text.pruned_vocabulary = Some(Vec::new());
        }
        config.data.split = Some(String::new());
        config.run.evaluation_split = Some(String::new());
        config.optimizer.clip_norm = Some(1.0);
        config
    }

    fn validate(&self) -> Result<(), TrainError> {
        self.check()
    }

    fn preflight(&self) -> Result<(), TrainError> {
        self.check_clip_file()
    }
}

impl TrainConfig {
    /// [`Configuration::validate`].
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        let model = &self.model;
        in_range("seed", self.seed, &(0..=MAX_INTEGER))?;
        in_range("iterations", self.iterations, &(1..=MAX_INTEGER))?;
        limits::all_finite(self)?;
        in_range("batch_size", self.batch_size, &BATCH_SIZE)?;
        let divides = self.accumulation > 0 && self.batch_size.is_multiple_of(self.accumulation);
        let reason = format!("must divide `batch_size` = {}", self.batch_size);
        condition("accumulation", self.accumulation, divides, reason)?;
        in_range("model.image_size", model.image_size, &IMAGE_SIZE)?;
        batch_pixels("batch_size", self.batch_size, model.image_size)?;
        within_image("label_stride", self.label_stride, model.image_size, "model.image_size")?;
        self.data.check()?;
        model.check()?;
        let crop = self.data.pipeline.crop_size;
        let reason = format!("must equal `model.image_size` = {}", model.image_size);
        condition(
            "data.pipeline.crop_size",
            crop,
            crop as usize == model.image_size,
            reason,
        )?;
        not_negative("loss.focal_weight", self.loss.focal_weight)?;
        not_negative("loss.dice_weight", self.loss.dice_weight)?;
        fraction("loss.alpha", self.loss.alpha)?;
        not_negative("loss.gamma", self.loss.gamma)?;
        check_optimizer(&self.optimizer)?;
        positive("optimizer.lr_multiplier", self.optimizer.lr_multiplier)?;
        positive("schedule.warmup_ratio", self.schedule.warmup_ratio)?;
        fraction("schedule.warmup_ratio", self.schedule.warmup_ratio)?;
        not_negative("schedule.power", self.schedule.power)?;
        not_negative("schedule.min_lr", self.schedule.min_lr)?;
        self.run.check()?;
        match &model.untrained_clip {
            Some(clip) => self.zegclip_config(clip.vision.clone(), clip.embed_dim).map(|_| ()),
            None => Ok(()),
        }
    }

    /// [`Configuration::preflight`]: sizes against the weights of CLIP.
    pub(crate) fn check_clip_file(&self) -> Result<(), TrainError> {
        let Some(path) = &self.model.clip else { return Ok(()) };
        let ClipConfig { embed_dim, vision, .. } = clip_config(&WeightFile::open(path)?, &ModelOverrides::default())?;
        self.zegclip_config(vision, embed_dim).map(|_| ())
    }

    /// Sizes of the model on a CLIP with this image encoder.
    ///
    /// # Errors
    /// [`TrainError::Value`] for sizes that do not fit.
    pub(crate) fn zegclip_config(&self, vision: VisionConfig, embed_dim: usize) -> Result<ZegClipConfig, TrainError> {
        let model = &self.model;
        heads_divide("model.decoder.heads", model.decoder.heads, embed_dim)?;
        let fits = vision.patch_size > 0 && model.image_size >= vision.patch_size;
        let reason = format!("must be at least the patch size {}", vision.patch_size);
        condition("model.image_size", model.image_size, fits, reason)?;
        let prompts = model.prompts.to_model();
        let blocks = prompts.as_ref().map_or(0, |prompts| match prompts.form {
            PromptForm::Shallow => 1,
            PromptForm::Deep(blocks) => blocks.saturating_add(1),
            PromptForm::Reverse(blocks) => blocks,
        });
        let reason = format!(
            "the image encoder has {} blocks, the first of which the deep form adds",
            vision.layers
        );
        condition(
            "model.prompts.blocks",
            model.prompts.blocks,
            blocks <= vision.layers,
            reason,
        )?;
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
            mask_activation: self.loss.form.mask_activation(),
        })
    }
}

impl ModelConfig {
    fn check(&self) -> Result<(), TrainError> {
        let clip = self.clip.as_ref().map(|path| path.display().to_string());
        let clip = clip.unwrap_or_else(|| "absent".to_owned());
        let exclusive = self.clip.is_some() != self.untrained_clip.is_some();
        let reason = "exactly one of `model.clip` and `model.untrained_clip` must be present";
        condition("model.clip", clip, exclusive, reason)?;
        let frozen = !self.train_image_encoder || self.frozen_precision == FrozenPrecision::F32;
        let precision = format!("{:?}", self.frozen_precision).to_lowercase();
        let reason = "`model.train_image_encoder` leaves nothing frozen";
        condition("model.frozen_precision", precision, frozen, reason)?;
        within_image("model.stride", self.stride, self.image_size, "model.image_size")?;
        in_range("model.decoder.layers", self.decoder.layers, &LAYERS)?;
        in_range("model.decoder.ffn_ratio", self.decoder.ffn_ratio, &FFN_RATIO)?;
        below_one("model.decoder.dropout", self.decoder.dropout)?;
        if self.prompts.form != PromptKind::None {
            in_range("model.prompts.count", self.prompts.count, &PROMPTS)?;
        }
        below_one("model.prompts.dropout", self.prompts.dropout)?;
        if let Some(Similarity { scale, threshold }) = self.similarity {
            positive("model.similarity.scale", scale)?;
            let within = threshold > 0.0 && threshold < 1.0;
            condition("model.similarity.threshold", threshold, within, "must be in (0, 1)")?;
            let relation = serde_json::json!(self.relation);
            let reason = "`model.similarity` needs a descriptor that contains the text, such as `product_text`";
            condition("model.relation", relation, self.relation.ends_in_text(), reason)?;
        }
        self.untrained_clip.as_ref().map_or(Ok(()), |clip| {
            let patch_size = clip.vision.patch_size;
            let key = "model.untrained_clip.vision.patch_size";
            within_image(key, patch_size, self.image_size, "model.image_size")?;
            check_clip(clip)
        })
    }
}

fn check_clip(
    ClipConfig {
        embed_dim,
        vision,
        text,
    }: &ClipConfig,
) -> Result<(), TrainError> {
    for (key, value, range) in [
        ("embed_dim", *embed_dim, &WIDTH),
        ("vision.width", vision.width, &WIDTH),
        ("vision.layers", vision.layers, &LAYERS),
        ("vision.position_grid", vision.position_grid, &POSITION_GRID),
        ("text.width", text.width, &WIDTH),
        ("text.layers", text.layers, &LAYERS),
        ("text.context_length", text.context_length, &CONTEXT_LENGTH),
        ("text.vocabulary_size", text.vocabulary_size, &limits::vocabulary_size()),
    ] {
        in_range(&format!("model.untrained_clip.{key}"), value, range)?;
    }
    heads_divide("model.untrained_clip.vision.heads", vision.heads, vision.width)?;
    heads_divide("model.untrained_clip.text.heads", text.heads, text.width)?;
    let tokens = text.pruned_vocabulary.as_deref().unwrap_or_default();
    check_token_ids("model.untrained_clip.text.kept_tokens", tokens)
}

/// Fails unless token ids rise.
pub(crate) fn check_token_ids(key: &str, ids: &[u32]) -> Result<(), TrainError> {
    condition(
        key,
        "[…]",
        ids.is_sorted_by(|a, b| a < b),
        "token ids must be in rising order",
    )
}

impl DataConfig {
    fn check(&self) -> Result<(), TrainError> {
        condition("data.dataset", "\"\"", !self.dataset.is_empty(), "must name a data set")?;
        in_range("data.threads", self.threads, &PARALLELISM)?;
        in_range("data.batches_ahead", self.batches_ahead, &PARALLELISM)?;
        self.pipeline.validate().or_else(|error| match error {
            DataError::Setting { name, expected } => Err(TrainError::value(
                format!("data.pipeline.{name}"),
                pipeline_value(&self.pipeline, name)?,
                format!("must be {expected}"),
            )),
            error => Err(error.into()),
        })
    }
}

/// A setting as TOML.
fn pipeline_value(pipeline: &TrainingPipeline, name: &str) -> Result<String, TrainError> {
    let table = to_table(pipeline)?;
    let value = match name.split_once('.') {
        None => table.get(name),
        Some((table_name, key)) => table.get(table_name).and_then(|inner| inner.get(key)),
    };
    Ok(value.map_or_else(|| "absent".to_owned(), ToString::to_string))
}

impl RunConfig {
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        in_range("run.log_interval", self.log_interval, &(1..=MAX_INTEGER))?;
        in_range("run.checkpoint_interval", self.checkpoint_interval, &(1..=MAX_INTEGER))
    }
}

/// The coefficients that segmentation and pre-training have in common.
pub(crate) fn check_optimizer(optimizer: &OptimizerConfig) -> Result<(), TrainError> {
    positive("optimizer.lr", optimizer.lr)?;
    positive("optimizer.epsilon", optimizer.epsilon)?;
    positive("optimizer.clip_norm", optimizer.clip_norm.unwrap_or(1.0))?;
    not_negative("optimizer.weight_decay", optimizer.weight_decay)?;
    let within = optimizer.betas.iter().all(|beta| (0.0..1.0).contains(beta));
    let betas = format!("{:?}", optimizer.betas);
    condition("optimizer.betas", betas, within, "both must be in [0, 1)")
}

#[cfg(test)]
impl TrainConfig {
    /// A valid configuration that names no file.
    pub(crate) fn for_tests() -> Self {
        let mut config = Self::default();
        config.model.untrained_clip = Some(ClipConfig::vit_b16());
        "scenes".clone_into(&mut config.data.dataset);
        config
    }
}
