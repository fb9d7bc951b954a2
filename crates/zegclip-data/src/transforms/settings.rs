//! Settings of the training pipeline.

use super::PhotometricDistortion;
use crate::{DataError, IMAGENET_MEAN, IMAGENET_STD, ImageLimits};

/// Settings of the training pipeline; the defaults are those published.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingPipeline {
    /// Longer and shorter side that an image fits into at ratio 1, aspect kept.
    pub scale: [u32; 2],
    /// The ratio is drawn between these.
    pub ratio: [f64; 2],
    /// Side of the square crop, in pixels.
    pub crop_size: u32,
    /// A crop is redrawn if one class fills this share of its labeled pixels; 1 never redraws.
    pub max_class_share: f64,
    /// How often at most.
    pub crop_redraws: u32,
    /// Probability of exchanging left and right.
    pub flip: f64,
    /// How far colors may go.
    pub distortion: PhotometricDistortion,
    /// Mean of red, green and blue, on 0–255.
    pub mean: [f32; 3],
    /// Standard deviation of red, green and blue, on 0–255.
    pub std: [f32; 3],
}

impl Default for TrainingPipeline {
    fn default() -> Self {
        Self {
            scale: [2048, 512],
            ratio: [0.5, 2.0],
            crop_size: 512,
            max_class_share: 0.75,
            crop_redraws: 10,
            flip: 0.5,
            distortion: PhotometricDistortion::default(),
            mean: IMAGENET_MEAN,
            std: IMAGENET_STD,
        }
    }
}

impl TrainingPipeline {
    /// Refuses settings that no training can mean.
    ///
    /// # Errors
    /// [`DataError::Setting`], which names the first.
    pub fn validate(&self) -> Result<(), DataError> {
        let ordered = |[low, high]: [f64; 2]| 0.0 < low && low <= high && high.is_finite();
        let finite = |values: [f32; 3]| values.iter().all(|value| value.is_finite());
        let largest = ImageLimits::default().max_side;
        let checks = [
            (
                "scale",
                "two sides of at least one pixel",
                self.scale.iter().all(|side| (1..=largest).contains(side)),
            ),
            (
                "ratio",
                "two numbers above 0 and at most 64, the lower first",
                ordered(self.ratio) && self.ratio[1] <= 64.0,
            ),
            (
                "crop_size",
                "a side of 1 to 16384 pixels",
                (1..=largest).contains(&self.crop_size),
            ),
            ("max_class_share", "a number above 0", self.max_class_share > 0.0),
            ("flip", "a probability of 0 to 1", (0.0..=1.0).contains(&self.flip)),
            (
                "distortion.brightness",
                "0 to 255",
                (0.0..=255.0).contains(&self.distortion.brightness),
            ),
            (
                "distortion.contrast",
                "two numbers above 0, the lower first",
                ordered(self.distortion.contrast),
            ),
            (
                "distortion.saturation",
                "two numbers above 0, the lower first",
                ordered(self.distortion.saturation),
            ),
            ("distortion.hue", "0 to 90", self.distortion.hue <= 90),
            ("mean", "three numbers", finite(self.mean)),
            (
                "std",
                "three numbers above 0",
                finite(self.std) && self.std.iter().all(|value| *value > 0.0),
            ),
        ];
        match checks.into_iter().find(|(_, _, holds)| !holds) {
            None => Ok(()),
            Some((name, expected, _)) => Err(DataError::Setting { name, expected }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senseless_settings_are_refused() {
        assert!(TrainingPipeline::default().validate().is_ok());
        let error = |toml: &str| {
            toml::from_str::<TrainingPipeline>(toml)
                .unwrap()
                .validate()
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error("crop_size = 0"),
            "the setting `crop_size` of the training pipeline must be a side of 1 to 16384 pixels"
        );
        assert!(error("ratio = [2.0, 0.5]").contains("`ratio`"));
        assert!(error("ratio = [nan, 0.5]").contains("`ratio`"));
        assert!(error("std = [1.0, 0.0, 1.0]").contains("`std`"));
        assert!(error("[distortion]\nhue = 200").contains("`distortion.hue`"));
    }

    #[test]
    fn settings_are_toml_without_unknown_keys() {
        let pipeline: TrainingPipeline = toml::from_str("crop_size = 256\n[distortion]\nhue = 0").unwrap();
        assert_eq!(
            (pipeline.crop_size, pipeline.distortion.hue, pipeline.flip),
            (256, 0, 0.5)
        );
        let back: TrainingPipeline = toml::from_str(&toml::to_string(&pipeline).unwrap()).unwrap();
        assert_eq!(back, pipeline);
        assert!(toml::from_str::<TrainingPipeline>("crop = 256").is_err());
    }
}
