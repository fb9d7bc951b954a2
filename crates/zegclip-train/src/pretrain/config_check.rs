//! Validation of [`PretrainConfig`].

use super::config::{PretrainConfig, PretrainDataConfig, PretrainModelConfig, StageConfig};
use crate::TrainError;
use crate::config_check::{check_optimizer, check_token_ids};
use crate::limits::{
    self, BATCH_SIZE, CONTEXT_LENGTH, EVALUATION_IMAGES, IMAGE_SIZE, LAYERS, MAX_INTEGER, PARALLELISM, WIDTH,
    batch_pixels, condition, fraction, heads_divide, in_range, not_negative,
};

impl PretrainConfig {
    /// [`Configuration::validate`](crate::Configuration::validate).
    pub(super) fn check(&self) -> Result<(), TrainError> {
        in_range("seed", self.seed, &(0..=MAX_INTEGER))?;
        for (index, stage) in self.stages.iter().enumerate() {
            in_range(
                &format!("stages.{index}.iterations"),
                stage.iterations,
                &(1..=MAX_INTEGER),
            )?;
        }
        limits::all_finite(self)?;
        self.model.check()?;
        condition("stages", "[]", !self.stages.is_empty(), "must have at least one stage")?;
        let total = self.iterations();
        let reason = "the stages must have less than 2^63 iterations together";
        condition("stages", total, total <= MAX_INTEGER, reason)?;
        for (index, stage) in self.stages.iter().enumerate() {
            stage.check(&format!("stages.{index}"), self.model.vision.patch_size)?;
        }
        self.data.check()?;
        fraction("loss.patches", self.loss.patches)?;
        in_range("evaluation.images", self.evaluation.images, &EVALUATION_IMAGES)?;
        check_optimizer(&self.optimizer.to_optimizer())?;
        not_negative("schedule.min_lr", self.schedule.min_lr)?;
        self.run.check()
    }
}

impl PretrainModelConfig {
    fn check(&self) -> Result<(), TrainError> {
        let Self { vision, text, .. } = self;
        for (key, value, range) in [
            ("model.embed_dim", self.embed_dim, &WIDTH),
            ("model.vision.patch_size", vision.patch_size, &IMAGE_SIZE),
            ("model.vision.width", vision.width, &WIDTH),
            ("model.vision.layers", vision.layers, &LAYERS),
            ("model.text.width", text.width, &WIDTH),
            ("model.text.layers", text.layers, &LAYERS),
            ("model.text.context_length", text.context_length, &CONTEXT_LENGTH),
        ] {
            in_range(key, value, range)?;
        }
        heads_divide("model.vision.heads", vision.heads, vision.width)?;
        heads_divide("model.text.heads", text.heads, text.width)?;
        check_token_ids("model.kept_tokens", self.kept_tokens.as_deref().unwrap_or_default())
    }
}

impl StageConfig {
    fn check(&self, key: &str, patch_size: usize) -> Result<(), TrainError> {
        let image_size = format!("{key}.image_size");
        in_range(&image_size, self.image_size, &IMAGE_SIZE)?;
        let reason = format!("must be at least the patch size {patch_size}");
        condition(&image_size, self.image_size, self.image_size >= patch_size, reason)?;
        let batch_size = format!("{key}.batch_size");
        // One pair has nothing to be contrasted with.
        in_range(&batch_size, self.batch_size, &(2..=*BATCH_SIZE.end()))?;
        batch_pixels(&batch_size, self.batch_size, self.image_size)
    }
}

impl PretrainDataConfig {
    fn check(&self) -> Result<(), TrainError> {
        let reason = "must be `scenes` or a file of pairs";
        condition("data.source", "\"\"", !self.source.is_empty(), reason)?;
        condition(
            "data.crop",
            self.crop,
            self.crop > 0.0 && self.crop <= 1.0,
            "must be in (0, 1]",
        )?;
        fraction("data.ground_captions", self.ground_captions)?;
        fraction("data.flip", self.flip)?;
        in_range("data.threads", self.threads, &PARALLELISM)?;
        in_range("data.batches_ahead", self.batches_ahead, &PARALLELISM)
    }
}
