//! How scores become labels, and how masks and numbers are computed.

use serde::{Deserialize, Serialize};
use zegclip_data::{TrainingSetting, Vocabulary};
use zegclip_model::SEEN_CLASS_BIAS;

use crate::Error;

/// How scores become labels. The default is that of the published model.
///
/// ```
/// use zegclip::SegmentOptions;
///
/// let options = SegmentOptions::new()
///     .with_min_score(0.5)
///     .with_background_classes(["wall", "sky"])
///     .with_scores();
/// assert_eq!(options.min_score(), Some(0.5));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SegmentOptions {
    seen_class_bias: Option<f32>,
    min_score: Option<f32>,
    background_classes: Vec<String>,
    scores: bool,
}

/// How masks are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// The trained model: prompts, relation descriptor, decoder.
    #[default]
    ZegClip,
    /// Plain CLIP without training for segmentation, patch features times text features (MaskCLIP): the baseline of the paper.
    MaskClip,
}

/// Type of the numbers that the model computes with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Half precision, on devices that compute in it.
    F16,
}

impl SegmentOptions {
    /// The published settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// The options for a model of a training setting: [`SEEN_CLASS_BIAS`] is subtracted from the scores of seen classes in the
    /// inductive setting, and nothing in the others, where unseen classes take part in training.
    pub fn for_setting(setting: TrainingSetting) -> Self {
        Self::new().with_seen_class_bias(match setting {
            TrainingSetting::Inductive => SEEN_CLASS_BIAS,
            _ => 0.0,
        })
    }

    /// Subtracts `bias`, in `[-1, 1]`, from the scores of seen classes (calibrated stacking, Chao et al. 2016; published: 0.1).
    /// By default as the model was trained: [`SEEN_CLASS_BIAS`] unless its file states that unseen classes took part. Plain
    /// CLIP ([`Method::MaskClip`]) has no seen classes, hence no bias.
    #[must_use]
    pub fn with_seen_class_bias(mut self, bias: f32) -> Self {
        self.seen_class_bias = Some(bias);
        self
    }

    /// A pixel whose best score is lower than `score`, in `[-1, 1]`, has no class. By default every pixel has one.
    #[must_use]
    pub fn with_min_score(mut self, score: f32) -> Self {
        self.min_score = Some(score);
        self
    }

    /// Pixels of these classes have no class. Names that the class list lacks are scored beside it.
    #[must_use]
    pub fn with_background_classes(mut self, names: impl IntoIterator<Item: Into<String>>) -> Self {
        self.background_classes = names.into_iter().map(Into::into).collect();
        self
    }

    /// Keeps the scores, see [`Segmentation::scores`](crate::Segmentation::scores): `4 · classes · height · width` bytes.
    #[must_use]
    pub fn with_scores(mut self) -> Self {
        self.scores = true;
        self
    }

    /// The bias that was set.
    pub fn seen_class_bias(&self) -> Option<f32> {
        self.seen_class_bias
    }

    /// The lowest score of a pixel with a class.
    pub fn min_score(&self) -> Option<f32> {
        self.min_score
    }

    /// Names of the classes whose pixels have no class.
    pub fn background_classes(&self) -> &[String] {
        &self.background_classes
    }

    /// Whether scores are kept.
    pub fn keeps_scores(&self) -> bool {
        self.scores
    }

    /// The classes that are scored: those of the list, then background classes that it lacks.
    ///
    /// # Errors
    /// [`Error::Data`] for a background class with an empty name or two that are alike.
    pub fn scored_classes(&self, classes: &Vocabulary) -> Result<Vocabulary, Error> {
        if self.background_classes.is_empty() {
            return Ok(classes.clone());
        }
        Ok(classes.with_more_names(&self.background_classes)?)
    }

    /// Refuses numbers outside their range, NaN included.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let check = |name, value: Option<f32>| match value {
            Some(value) if !(-1.0..=1.0).contains(&value) => Err(Error::OptionRange { name, value }),
            _ => Ok(()),
        };
        check("seen_class_bias", self.seen_class_bias)?;
        check("min_score", self.min_score)
    }
}

impl Precision {
    /// `f32` or `f16`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_outside_their_range_are_refused() {
        for value in [-1.5, 1.5, f32::NAN, f32::INFINITY] {
            for options in [
                SegmentOptions::new().with_min_score(value),
                SegmentOptions::new().with_seen_class_bias(value),
            ] {
                assert!(matches!(options.check(), Err(Error::OptionRange { .. })), "{options:?}");
            }
        }
        SegmentOptions::new().with_min_score(-1.0).check().unwrap();
    }

    #[test]
    fn background_classes_come_after_the_list() {
        let classes = Vocabulary::from_names("cat, wall").unwrap();
        let options = SegmentOptions::new().with_background_classes(["wall", "sky"]);
        let scored = options.scored_classes(&classes).unwrap();
        assert_eq!(scored.names().collect::<Vec<_>>(), ["cat", "wall", "sky"]);
        assert_eq!(scored.seen().unseen_count(), 0);
        let classes = classes.with_seen_names(["cat"]).unwrap();
        let scored = options.scored_classes(&classes).unwrap();
        assert_eq!(scored.seen().flags().collect::<Vec<_>>(), [true, false, false]);
    }
}
