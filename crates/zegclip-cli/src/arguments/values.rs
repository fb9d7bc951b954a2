//! Values of arguments.

use std::ffi::OsString;
use std::str::FromStr;

use clap::ValueEnum;
use serde::{Deserialize, Deserializer};
use zegclip::{Benchmark, DenseMethodName, DenseProtocol, DeviceName, Method, Precision};
use zegclip_data::TrainingSetting;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PrecisionName {
    #[default]
    F32,
    F16,
}

impl From<PrecisionName> for Precision {
    fn from(name: PrecisionName) -> Self {
        match name {
            PrecisionName::F32 => Self::F32,
            PrecisionName::F16 => Self::F16,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub(crate) enum MethodName {
    /// A trained model
    ZegClip,
    /// Plain CLIP: the best published figures
    #[serde(rename = "sc-clip")]
    #[value(name = "sc-clip")]
    ScClip,
    /// Plain CLIP
    ResClip,
    /// Plain CLIP
    NaClip,
    /// Plain CLIP
    ClearClip,
    /// Plain CLIP
    Sclip,
    /// Plain CLIP, as later papers compare it
    MaskClip,
    /// Plain CLIP, as released: other activations and colors than those of CLIP's training
    #[serde(rename = "maskclip-release")]
    #[value(name = "maskclip-release")]
    MaskClipRelease,
}

impl From<MethodName> for Method {
    fn from(name: MethodName) -> Self {
        match name {
            MethodName::ZegClip => Self::ZegClip,
            MethodName::ScClip => Self::ScClip,
            MethodName::ResClip => Self::ResClip,
            MethodName::NaClip => Self::NaClip,
            MethodName::ClearClip => Self::ClearClip,
            MethodName::Sclip => Self::Sclip,
            MethodName::MaskClip => Self::MaskClip,
            MethodName::MaskClipRelease => Self::MaskClipRelease,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RefinementName {
    /// Ten steps of pixel-adaptive refinement; needs the scores of all names at all pixels
    Pamr,
    /// None
    None,
}

/// Side of a window, or the whole image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WindowSide {
    Pixels(u16),
    Whole,
}

impl WindowSide {
    /// The side in pixels; `None` for the whole image.
    pub(crate) fn side(self) -> Option<usize> {
        match self {
            Self::Pixels(side) => Some(side.into()),
            Self::Whole => None,
        }
    }
}

impl std::str::FromStr for WindowSide {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse::<u16>()) {
            ("whole", _) => Ok(Self::Whole),
            (_, Ok(side)) if (1..=MAX_SIDE).contains(&side) => Ok(Self::Pixels(side)),
            _ => Err(format!(
                "a window is `whole` or a number of pixels from 1 to {MAX_SIDE}"
            )),
        }
    }
}

/// A window in a TOML: a number or `whole`.
impl<'de> Deserialize<'de> for WindowSide {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = toml::Value::deserialize(deserializer)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Largest side of windows and resized images.
const MAX_SIDE: u16 = 16384;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SplitName {
    Train,
    Test,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SettingName {
    /// 0.1 is subtracted from the scores of seen classes
    Inductive,
    /// Scores are used as they are
    Transductive,
    /// Every class is seen
    Full,
}

impl From<SettingName> for TrainingSetting {
    fn from(name: SettingName) -> Self {
        match name {
            SettingName::Inductive => Self::Inductive,
            SettingName::Transductive => Self::Transductive,
            SettingName::Full => Self::Full,
        }
    }
}

pub(super) fn parse_device(text: &str) -> Result<DeviceName, String> {
    text.parse()
        .map_err(|error: zegclip_model::device::DeviceError| error.to_string())
}

/// A device in a TOML.
pub(super) fn deserialize_device<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DeviceName>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_device(&text).map(Some).map_err(serde::de::Error::custom)
}

/// A path in a TOML.
pub(super) fn deserialize_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OsString>, D::Error> {
    String::deserialize(deserializer).map(|text| Some(text.into()))
}

pub(super) fn parse_opacity(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("an opacity is a number from 0 to 1".to_owned()),
    }
}

pub(crate) fn parse_score(text: &str) -> Result<f32, String> {
    match text.trim().parse::<f32>() {
        Ok(value) if (-1.0..=1.0).contains(&value) => Ok(value),
        _ => Err("a score is a number from -1 to 1".to_owned()),
    }
}

/// The least presence of a class.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub(crate) enum MinPresence {
    Off,
    AtLeast(f32),
}

impl MinPresence {
    pub(crate) fn minimum(self) -> Option<f32> {
        match self {
            Self::Off => None,
            Self::AtLeast(minimum) => Some(minimum),
        }
    }
}

impl FromStr for MinPresence {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "off" => Ok(Self::Off),
            number => match number.parse::<f32>() {
                Ok(minimum) if (0.0..=1.0).contains(&minimum) => Ok(Self::AtLeast(minimum)),
                _ => Err("a presence is a number from 0 to 1, or `off`".to_owned()),
            },
        }
    }
}

impl TryFrom<toml::Value> for MinPresence {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, Self::Error> {
        match value {
            toml::Value::String(text) => text.parse(),
            number => number.to_string().parse(),
        }
    }
}

/// Class names: on the command line separated by commas, in a TOML also a list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "class names are a list, or a text with commas between them")]
pub(crate) enum ClassNames {
    Text(String),
    List(Vec<String>),
}

impl From<&str> for ClassNames {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// `limit` of a TOML.
pub(super) fn deserialize_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let number = i64::deserialize(deserializer)?;
    match u64::try_from(number) {
        Ok(limit) if limit > 0 => Ok(Some(limit)),
        _ => Err(serde::de::Error::custom(format!(
            "{number} is not a number of images from 1"
        ))),
    }
}

/// `batch` of a TOML.
pub(super) fn deserialize_batch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    let number = i64::deserialize(deserializer)?;
    match u16::try_from(number) {
        Ok(batch) if (1..=256).contains(&batch) => Ok(Some(batch)),
        _ => Err(serde::de::Error::custom(format!(
            "{number} is not a number from 1 to 256"
        ))),
    }
}

pub(super) fn parse_logit_scale(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 1000.0 => Ok(value),
        _ => Err("a logit scale is a number above 0, at most 1000".to_owned()),
    }
}

pub(super) fn parse_protocol(text: &str) -> Result<DenseProtocol, String> {
    text.parse().map_err(|_| {
        let methods: Vec<&str> = DenseMethodName::ALL.iter().map(|method| method.name()).collect();
        let benchmarks: Vec<&str> = Benchmark::ALL.iter().map(|benchmark| benchmark.name()).collect();
        format!(
            "a protocol is METHOD-BENCHMARK, such as `sclip-voc21`; methods are {}; benchmarks are {}",
            methods.join(", "),
            benchmarks.join(", ")
        )
    })
}

/// A protocol in a TOML.
pub(super) fn deserialize_protocol<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<DenseProtocol>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_protocol(&text).map(Some).map_err(serde::de::Error::custom)
}

pub(super) fn parse_class_name(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("the class name is empty".to_owned()),
        name => Ok(name.to_owned()),
    }
}
