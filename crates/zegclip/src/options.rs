//! How scores become labels, and how masks and numbers are computed.

use serde::{Deserialize, Serialize};
use zegclip_data::{TrainingSetting, Vocabulary};
use zegclip_model::SEEN_CLASS_BIAS;
use zegclip_model::dense_clip::{DenseMethodName, DenseProtocol, Pamr, SlidingWindow};

use crate::Error;

/// The least presence, see [`SegmentOptions::with_min_presence`], that the program `zegclip segment` asks of classes of a trained model:
/// the largest one that takes nothing from hIoU on scenes of the demo, where it avoids a fifth of the classes that are not there.
pub const TRAINED_MIN_PRESENCE: f32 = 0.3;

/// Largest side of a resized image or window in pixels.
const MAX_SIDE: usize = 1 << 14;

/// Largest factor of cosines: ten times CLIP's own.
const MAX_LOGIT_SCALE: f64 = 1000.0;

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
    min_presence: Option<f32>,
}

/// How masks are made: by a trained model, or by plain CLIP without training for segmentation.
///
/// Methods on plain CLIP score every *name* by its cosine with patches; the probability of a class is that of its best name after a
/// softmax. [`DenseProtocol`] has their settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// The trained model: prompts, relation descriptor, decoder.
    #[default]
    ZegClip,
    /// MaskCLIP as later papers compare it.
    MaskClip,
    /// MaskCLIP as released: exact GELU, norms with epsilon 1e-6, ImageNet's statistics.
    #[serde(rename = "maskclip-release")]
    MaskClipRelease,
    /// SCLIP.
    Sclip,
    /// ClearCLIP.
    ClearClip,
    /// NACLIP.
    NaClip,
    /// ResCLIP, which computes the last block anew for each class list.
    ResClip,
    /// SC-CLIP, which has the best published figures of them.
    #[serde(rename = "sc-clip")]
    ScClip,
}

/// Settings of a method on plain CLIP that differ from its protocol; `None` leaves that of the protocol.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DenseOverrides {
    /// Short side of the resized image in pixels, at least 1.
    pub short_side: Option<usize>,
    /// Side of a window in pixels, at least 1; `Some(None)`: the whole image at once.
    pub window: Option<Option<usize>>,
    /// Pixels from one window to the next, from 1 to the side of a window; half of another side if that alone is given.
    pub stride: Option<usize>,
    /// Factor of cosines before their softmax, positive.
    pub logit_scale: Option<f64>,
    /// Refinement of scores by colors; `Some(None)`: none.
    pub refinement: Option<Option<Pamr>>,
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
    /// CLIP has no seen classes, hence no bias.
    #[must_use]
    pub fn with_seen_class_bias(mut self, bias: f32) -> Self {
        self.seen_class_bias = Some(bias);
        self
    }

    /// A pixel whose best score is lower than `score`, in `[-1, 1]`, has no class. By default every pixel has one. Scores of methods on
    /// plain CLIP are probabilities.
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

    /// A class that is less present than `minimum`, in `[0, 1]`, has no pixels; if none is present, no pixel has a class. Background
    /// classes are always present. By default all classes of the list are taken to be in the image.
    ///
    /// The presence of a class is the best score of a patch in any window, before the seen-class bias; for methods on plain CLIP the
    /// best probability of a patch among the names of the list, which a longer list makes smaller.
    #[must_use]
    pub fn with_min_presence(mut self, minimum: f32) -> Self {
        self.min_presence = Some(minimum);
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

    /// The lowest presence of a class that has pixels.
    pub fn min_presence(&self) -> Option<f32> {
        self.min_presence
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
        let check = |name, lowest: f32, value: Option<f32>| match value {
            Some(value) if !(lowest..=1.0).contains(&value) => Err(Error::OptionRange { name, value, lowest }),
            _ => Ok(()),
        };
        check("seen_class_bias", -1.0, self.seen_class_bias)?;
        check("min_score", -1.0, self.min_score)?;
        check("min_presence", 0.0, self.min_presence)
    }
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::ZegClip,
        Self::MaskClip,
        Self::MaskClipRelease,
        Self::Sclip,
        Self::ClearClip,
        Self::NaClip,
        Self::ResClip,
        Self::ScClip,
    ];

    /// The method on plain CLIP; `None` for the trained model.
    pub const fn dense(self) -> Option<DenseMethodName> {
        Some(match self {
            Self::ZegClip => return None,
            Self::MaskClip => DenseMethodName::MaskClip,
            Self::MaskClipRelease => DenseMethodName::MaskClipRelease,
            Self::Sclip => DenseMethodName::Sclip,
            Self::ClearClip => DenseMethodName::ClearClip,
            Self::NaClip => DenseMethodName::NaClip,
            Self::ResClip => DenseMethodName::ResClip,
            Self::ScClip => DenseMethodName::ScClip,
        })
    }

    /// The name of an option: `zegclip`, `sc-clip`, …
    pub fn name(self) -> &'static str {
        self.dense().map_or("zegclip", DenseMethodName::name)
    }
}

impl From<DenseMethodName> for Method {
    fn from(name: DenseMethodName) -> Self {
        let same = |method: &Self| method.dense() == Some(name);
        Self::ALL.into_iter().find(same).unwrap_or_default()
    }
}

impl DenseOverrides {
    /// The name of a setting that is given.
    pub(crate) fn first(&self) -> Option<&'static str> {
        let given = [
            ("short side", self.short_side.is_some()),
            ("window", self.window.is_some()),
            ("stride", self.stride.is_some()),
            ("logit scale", self.logit_scale.is_some()),
            ("refinement", self.refinement.is_some()),
        ];
        given.into_iter().find_map(|(name, given)| given.then_some(name))
    }

    /// A protocol with these settings.
    pub(crate) fn apply(self, mut protocol: DenseProtocol) -> Result<DenseProtocol, Error> {
        let wrong = |setting, value: f64| Err(Error::DenseSetting { setting, value });
        if let Some(short_side) = self.short_side {
            if short_side == 0 || short_side > MAX_SIDE {
                return wrong("short side", short_side as f64);
            }
            protocol.short_side = short_side;
            protocol.max_long_side = protocol.max_long_side.max(short_side);
        }
        if let Some(side) = self.window {
            protocol.windows = side.map(|side| SlidingWindow {
                side,
                stride: (side / 2).max(1),
            });
        }
        match (&mut protocol.windows, self.stride) {
            (Some(window), Some(stride)) => window.stride = stride,
            (None, Some(stride)) => return wrong("stride", stride as f64),
            (_, None) => {}
        }
        if let Some(SlidingWindow { side, stride }) = protocol.windows {
            if side == 0 || side > MAX_SIDE {
                return wrong("window", side as f64);
            }
            if stride == 0 || stride > side {
                return wrong("stride", stride as f64);
            }
        }
        if let Some(scale) = self.logit_scale {
            if !(scale > 0.0 && scale <= MAX_LOGIT_SCALE) {
                return wrong("logit scale", scale);
            }
            protocol.logit_scale = scale;
        }
        if let Some(refinement) = self.refinement {
            protocol.pamr = refinement;
        }
        Ok(protocol)
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
                SegmentOptions::new().with_min_presence(value),
            ] {
                assert!(matches!(options.check(), Err(Error::OptionRange { .. })), "{options:?}");
            }
        }
        SegmentOptions::new().with_min_score(-1.0).check().unwrap();
        assert!(SegmentOptions::new().with_min_presence(-0.1).check().is_err());
    }

    #[test]
    fn methods_are_named_as_their_serial_form() {
        for method in Method::ALL {
            assert_eq!(serde_json::to_value(method).unwrap(), method.name());
            assert_eq!(method.dense().map_or(Method::ZegClip, Method::from), method);
        }
    }

    #[test]
    fn settings_of_methods_are_checked() {
        let protocol = || DenseProtocol::of_method(DenseMethodName::ScClip, 224);
        let whole = DenseOverrides {
            window: Some(None),
            short_side: Some(448),
            ..DenseOverrides::default()
        };
        let applied = whole.clone().apply(protocol()).unwrap();
        assert_eq!((applied.short_side, applied.windows), (448, None));
        let side = DenseOverrides {
            window: Some(Some(320)),
            ..DenseOverrides::default()
        };
        let window = SlidingWindow { side: 320, stride: 160 };
        assert_eq!(side.clone().apply(protocol()).unwrap().windows, Some(window));
        let stride = |stride| Some(stride);
        for wrong in [
            DenseOverrides {
                short_side: Some(0),
                ..side.clone()
            },
            DenseOverrides {
                window: Some(Some(0)),
                ..side.clone()
            },
            DenseOverrides {
                stride: stride(0),
                ..side.clone()
            },
            DenseOverrides {
                stride: stride(321),
                ..side.clone()
            },
            DenseOverrides {
                stride: stride(100),
                ..whole
            },
            DenseOverrides {
                logit_scale: Some(f64::NAN),
                ..side.clone()
            },
            DenseOverrides {
                logit_scale: Some(-1.0),
                ..side
            },
        ] {
            let error = wrong.clone().apply(protocol()).unwrap_err();
            assert!(matches!(error, Error::DenseSetting { .. }), "{wrong:?}: {error}");
        }
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
