//! From weight files and options to a [`Segmenter`].

use std::path::{Path, PathBuf};

use burn::tensor::FloatDType;
use serde::{Deserialize, Serialize};
use zegclip_data::{TrainingSetting, Vocabulary};
use zegclip_model::{
    ModelOverrides, NativeMetadata, ZegClipConfig, device, load_image_encoder, load_zegclip, zegclip_config,
};
use zegclip_weights::WeightFile;

use crate::demo_model::{DEMO_MODEL_NAME, demo_model};
use crate::segmenter::{Method, Model, Sizes};
use crate::text::{TextFeatureFile, TextSource};
use crate::{DeviceName, Error, Segmenter};

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

/// Options of loading. Only the weights are needed.
#[derive(Debug, Clone)]
pub struct SegmenterBuilder {
    /// `None`: the demo model.
    weights: Option<PathBuf>,
    clip: Option<PathBuf>,
    text_features: Option<PathBuf>,
    device: DeviceName,
    precision: Precision,
    overrides: ModelOverrides,
    batch: usize,
    method: Method,
}

impl SegmenterBuilder {
    /// Weights of a trained model: a native file or the authors' checkpoint.
    pub fn new(weights: impl AsRef<Path>) -> Self {
        Self {
            weights: Some(weights.as_ref().to_owned()),
            ..Self::demo()
        }
    }

    /// The demo model, which is compiled in; see [`demo_model`].
    pub fn demo() -> Self {
        Self {
            weights: None,
            clip: None,
            text_features: None,
            device: DeviceName::Auto,
            precision: Precision::F32,
            overrides: ModelOverrides::default(),
            batch: 1,
            method: Method::ZegClip,
        }
    }

    /// CLIP's own weights, for the text encoder (and the image encoder) that the weights lack.
    #[must_use]
    pub fn clip(mut self, path: impl AsRef<Path>) -> Self {
        self.clip = Some(path.as_ref().to_owned());
        self
    }

    /// Text features of the class list, see [`TextFeatureFile`].
    #[must_use]
    pub fn text_features(mut self, path: impl AsRef<Path>) -> Self {
        self.text_features = Some(path.as_ref().to_owned());
        self
    }

    /// Where to compute; the best device that opens by default.
    #[must_use]
    pub fn device(mut self, device: DeviceName) -> Self {
        self.device = device;
        self
    }

    /// Number type; f32 by default.
    #[must_use]
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Sizes that the weights cannot tell.
    #[must_use]
    pub fn model_overrides(mut self, overrides: ModelOverrides) -> Self {
        self.overrides = overrides;
        self
    }

    /// Windows that go through the model together; 1 by default.
    #[must_use]
    pub fn batch(mut self, windows: usize) -> Self {
        self.batch = windows.max(1);
        self
    }

    /// How masks are made. [`Method::MaskClip`] needs no trained model, only CLIP's weights.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Loads the model.
    ///
    /// # Errors
    /// [`Error::Model`] for files, sizes and devices; [`Error::NoF16`]; [`Error::TextFeatureFile`].
    pub fn load(self) -> Result<Segmenter, Error> {
        let weights = match &self.weights {
            Some(path) => WeightFile::open(path)?.stays_mapped(),
            None => WeightFile::from_bytes(DEMO_MODEL_NAME, demo_model())?,
        };
        let name = self.weights.unwrap_or_else(|| DEMO_MODEL_NAME.into());
        let clip = self.clip.as_deref().map(WeightFile::open).transpose()?;
        let clip = clip.map(WeightFile::stays_mapped);
        let metadata = NativeMetadata::read(&weights)?;
        let given = self.text_features.as_deref().map(TextFeatureFile::read).transpose()?;
        let device = device::open(self.device)?;
        let dtype = match self.precision {
            Precision::F32 => FloatDType::F32,
            Precision::F16 if device::supports_f16(&device.device) => FloatDType::F16,
            Precision::F16 => {
                return Err(Error::NoF16 {
                    device: device.description,
                });
            }
        };
        let (model, sizes) = match self.method {
            Method::ZegClip => {
                let config = zegclip_config(&weights, clip.as_ref(), &self.overrides)?;
                let sizes = Sizes::from(&config);
                let model = load_zegclip(&config, &weights, clip.as_ref(), &device.device, dtype)?;
                (Model::zegclip(model, &config), sizes)
            }
            Method::MaskClip => {
                let (encoder, embed_dim) = load_image_encoder(&weights, &self.overrides, &device.device, dtype)?;
                let positions = encoder.positional_embedding.dims()[0] - 1;
                let stored = positions.isqrt() * encoder.patch_size();
                let image_size = self.overrides.image_size.unwrap_or(stored);
                let stride = self
                    .overrides
                    .stride
                    .unwrap_or(ZegClipConfig::default_stride(image_size));
                let sizes = Sizes {
                    image_size,
                    stride,
                    embed_dim,
                };
                (Model::MaskClip(Box::new(encoder)), sizes)
            }
        };
        let metadata = metadata.unwrap_or_default();
        let setting = metadata.setting.as_deref().and_then(TrainingSetting::parse);
        let vocabulary = metadata
            .vocabulary
            .map(|text| Vocabulary::from_toml_text(&text, &format!("`{}`", name.display())))
            .transpose()?;
        let encoder = if weights.parts().text_encoder {
            Some(weights)
        } else {
            clip.filter(|clip| clip.parts().text_encoder)
        };
        let text = TextSource {
            given,
            encoder,
            overrides: self.overrides,
            width: sizes.embed_dim,
            weights: name,
        };
        let segmenter = Segmenter::new(model, sizes, device, dtype, text, vocabulary, self.batch);
        Ok(segmenter.with_setting(setting))
    }
}
