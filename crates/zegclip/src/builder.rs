//! From weight files and options to a [`Segmenter`].

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use burn::tensor::FloatDType;
use zegclip_data::{TrainingSetting, Vocabulary};
use zegclip_model::clip::templates::IMAGENET_80;
use zegclip_model::dense_clip::DenseProtocol;
use zegclip_model::{
    ModelOverrides, ModelPart, NativeMetadata, assumptions, device, load_image_encoder, load_zegclip, window_size,
    zegclip_config,
};
use zegclip_weights::WeightFile;

use crate::model::{DenseModel, Model, Sizes};
use crate::options::{DenseOverrides, Method, Precision};
use crate::segmenter::Parts;
use crate::text::{TextFeatureFile, TextSource};
use crate::text_cache::TextFeatureCache;
use crate::{DeviceChoice, Error, Segmenter};

/// Options of loading, made by [`Segmenter::builder`]. Only the weights are needed.
#[derive(Debug, Clone, Default)]
pub struct SegmenterBuilder {
    weights: Option<Weights>,
    clip: Option<PathBuf>,
    text_features: Option<PathBuf>,
    device: DeviceChoice,
    precision: Precision,
    overrides: ModelOverrides,
    window_batch: Option<usize>,
    method: Option<Method>,
    protocol: Option<DenseProtocol>,
    dense_overrides: DenseOverrides,
    templates: Option<Vec<String>>,
    text_cache: Option<PathBuf>,
}

#[derive(Debug, Clone)]
enum Weights {
    File(PathBuf),
    Memory { name: String, bytes: Cow<'static, [u8]> },
}

impl Segmenter {
    /// Loads the weights of a trained model: a native file or a checkpoint of the authors' code. `device` is a device name
    /// or a device that the application has already. Further options: [`Segmenter::builder`].
    ///
    /// ```no_run
    /// use zegclip::{Segmenter, Vocabulary, burn::tensor::Device, open_image};
    ///
    /// let device = Device::flex();
    /// let (image, classes) = (open_image("cat.jpg")?, Vocabulary::from_names("cat, grass")?);
    /// let result = Segmenter::load("zegclip-voc.safetensors", &device)?.segment(&image, &classes)?;
    /// # Ok::<(), zegclip::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`SegmenterBuilder::build`].
    pub fn load(weights: impl AsRef<Path>, device: impl Into<DeviceChoice>) -> Result<Self, Error> {
        Self::builder().weights(weights).device(device).build()
    }

    /// Options of loading.
    ///
    /// ```no_run
    /// use zegclip::{Precision, Segmenter};
    ///
    /// let segmenter = Segmenter::builder()
    ///     .weights("zegclip-voc.safetensors")
    ///     .clip("ViT-B-16.pt")
    ///     .device("vulkan")
    ///     .precision(Precision::F16)
    ///     .build()?;
    /// # Ok::<(), zegclip::Error>(())
    /// ```
    pub fn builder() -> SegmenterBuilder {
        SegmenterBuilder::default()
    }

    /// Loads the demo model, which is compiled in: it knows only drawings of the 155 things and grounds of the vocabulary
    /// `demo`.
    ///
    /// # Errors
    /// [`Error::Model`] for a device that this build or machine lacks.
    #[cfg(feature = "demo")]
    pub fn demo(device: impl Into<DeviceChoice>) -> Result<Self, Error> {
        Self::builder().demo().device(device).build()
    }
}

impl SegmenterBuilder {
    /// Weights of a trained model: a native file or a checkpoint of the authors' code.
    #[must_use]
    pub fn weights(mut self, path: impl AsRef<Path>) -> Self {
        self.weights = Some(Weights::File(path.as_ref().to_owned()));
        self
    }

    /// As [`weights`](Self::weights) with the bytes of a file in memory, such as one that is compiled in. `name` is the model's
    /// name in messages and results.
    #[must_use]
    pub fn weights_in_memory(mut self, name: impl Into<String>, bytes: impl Into<Cow<'static, [u8]>>) -> Self {
        self.weights = Some(Weights::Memory {
            name: name.into(),
            bytes: bytes.into(),
        });
        self
    }

    /// The demo model, which is compiled in; see [`demo_model`](crate::demo_model()).
    #[cfg(feature = "demo")]
    #[must_use]
    pub fn demo(self) -> Self {
        self.weights_in_memory(crate::DEMO_MODEL_NAME, crate::demo_model())
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

    /// Where to compute: a device name, or a device that the application has already. By default the best device that opens.
    #[must_use]
    pub fn device(mut self, device: impl Into<DeviceChoice>) -> Self {
        self.device = device.into();
        self
    }

    /// Number type; f32 by default.
    #[must_use]
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// What the weights do not state, or state wrongly.
    #[must_use]
    pub fn model_overrides(mut self, overrides: ModelOverrides) -> Self {
        self.overrides = overrides;
        self
    }

    /// Windows that go through the model together, at least 1. By default 1, and 8 in
    /// [`segment_batch`](Segmenter::segment_batch) on a GPU. Activations of a published model take about 50 MB a window.
    #[must_use]
    pub fn window_batch(mut self, windows: usize) -> Self {
        self.window_batch = Some(windows.max(1));
        self
    }

    /// How masks are made. By default the trained model of the weights, or [`Method::ScClip`] if they hold plain CLIP alone.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// A method on plain CLIP with settings of one's own. By default those of [`DenseProtocol::of_method`] for CLIP of the weights' size.
    #[must_use]
    pub fn protocol(mut self, protocol: DenseProtocol) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// Single settings of a method on plain CLIP instead of those of its protocol.
    #[must_use]
    pub fn dense_overrides(mut self, overrides: DenseOverrides) -> Self {
        self.dense_overrides = overrides;
        self
    }

    /// Prompt templates instead of those of class lists, each with one `{}`. By default methods on plain CLIP average over
    /// [`IMAGENET_80`], and trained models over the templates of the class list.
    #[must_use]
    pub fn templates(mut self, templates: Vec<String>) -> Self {
        self.templates = Some(templates);
        self
    }

    /// Keeps what a text encoder computes in this folder, of at most 64 MiB, so that another process with the same weights,
    /// names and templates needs no text encoder. Features that take less than about a tenth of a second are not kept, nor those of
    /// weights in memory. By default nothing is kept.
    #[must_use]
    pub fn text_cache(mut self, folder: impl AsRef<Path>) -> Self {
        self.text_cache = Some(folder.as_ref().to_owned());
        self
    }

    /// Loads the model.
    ///
    /// # Errors
    /// [`Error::NoWeights`] if none were named; [`Error::Model`] for files, sizes and devices; [`Error::NoF16`];
    /// [`Error::TextFeatureFile`]; [`Error::NotPlainClip`] and [`Error::DenseSetting`] for settings of methods on plain CLIP.
    pub fn build(self) -> Result<Segmenter, Error> {
        let mut text_cache = self.text_cache.map(TextFeatureCache::new);
        let (weights, name) = match self.weights.ok_or(Error::NoWeights)? {
            Weights::File(path) => (WeightFile::open(&path)?.stays_mapped(), path),
            Weights::Memory { name, bytes } => {
                text_cache = None;
                (WeightFile::from_bytes(&name, bytes)?, name.into())
            }
        };
        let clip = self.clip.as_deref().map(WeightFile::open).transpose()?;
        let clip = clip.map(WeightFile::stays_mapped);
        let metadata = NativeMetadata::read(&weights)?;
        let given = self.text_features.as_deref().map(TextFeatureFile::read).transpose()?;
        let device = self.device.open()?;
        let dtype = match self.precision {
            Precision::F32 => FloatDType::F32,
            Precision::F16 if device::supports_f16(&device.device) => FloatDType::F16,
            Precision::F16 => {
                return Err(Error::NoF16 {
                    device: device.description,
                });
            }
        };
        let mut assumed = Vec::new();
        let mut assume = |file: &WeightFile, part| -> Result<(), Error> {
            assumed.extend(assumptions(file, part, &self.overrides)?);
            Ok(())
        };
        let method = match (&self.protocol, self.method) {
            (Some(protocol), _) => protocol.method.into(),
            (None, Some(method)) => method,
            (None, None) if is_plain_clip(&weights) => Method::ScClip,
            (None, None) => Method::ZegClip,
        };
        let (model, sizes) = match method.dense() {
            None => {
                if let Some(setting) = self.dense_overrides.first() {
                    return Err(Error::NotPlainClip { setting });
                }
                let config = zegclip_config(&weights, clip.as_ref(), &self.overrides)?;
                let sizes = Sizes::from(&config);
                let model = load_zegclip(&config, &weights, clip.as_ref(), &device.device, dtype)?;
                let encoder = clip.as_ref().filter(|_| !weights.parts().image_encoder);
                assume(encoder.unwrap_or(&weights), ModelPart::ImageEncoder)?;
                assume(&weights, ModelPart::Decoder)?;
                (Model::zegclip(model, &config), sizes)
            }
            Some(name) => {
                warn_without_effect(&self.overrides.of_decoder(), "the method has no decoder");
                let (side, _) = window_size(&weights, &self.overrides)?;
                let (encoder, embed_dim) = load_image_encoder(&weights, &self.overrides, &device.device, dtype)?;
                assume(&weights, ModelPart::ImageEncoder)?;
                let mut overrides = self.dense_overrides;
                let protocol = self.protocol.unwrap_or_else(|| {
                    overrides.stride = overrides.stride.or(self.overrides.stride);
                    DenseProtocol::of_method(name, side)
                });
                let protocol = overrides.apply(protocol)?;
                let sizes = Sizes::from((&protocol, embed_dim));
                (Model::Dense(Box::new(DenseModel::new(encoder, protocol)?)), sizes)
            }
        };
        let metadata = metadata.unwrap_or_default();
        let setting = metadata.setting.as_deref().and_then(TrainingSetting::parse);
        let vocabulary = metadata
            .vocabulary
            .map(|text| Vocabulary::from_toml_text(&text, &format!("`{}`", name.display())))
            .transpose()?;
        // Other devices have copies of the weights.
        let in_place = [Some(&weights), clip.as_ref()]
            .into_iter()
            .flatten()
            .filter(|_| !device.gpu);
        let watched = in_place.map(WeightFile::watch).collect();
        let encoder = if weights.parts().text_encoder {
            Some(weights)
        } else {
            clip.filter(|clip| clip.parts().text_encoder)
        };
        if let (Some(encoder), None) = (&encoder, &given) {
            assume(encoder, ModelPart::TextEncoder)?;
        }
        let text = TextSource {
            given,
            encoder,
            overrides: self.overrides,
            width: sizes.embed_dim,
            weights: name,
            by_name: method.dense().is_some(),
            templates: match (self.templates, method.dense()) {
                (None, Some(_)) => Some(IMAGENET_80.map(str::to_owned).to_vec()),
                (templates, _) => templates,
            },
            cache: text_cache,
            device: device.description.clone(),
        };
        Ok(Segmenter::new(Parts {
            model,
            sizes,
            device,
            dtype,
            text,
            vocabulary,
            setting,
            window_batch: self.window_batch,
            assumptions: assumed,
            watched,
        }))
    }
}

/// Says that fields of a model configuration are not used.
pub(crate) fn warn_without_effect(fields: &[&str], why: &str) {
    if !fields.is_empty() {
        tracing::warn!("`{}` of the model configuration: no effect, {why}", fields.join("`, `"));
    }
}

/// Whether a file has CLIP's image encoder and nothing of a segmentation model.
fn is_plain_clip(file: &WeightFile) -> bool {
    let parts = file.parts();
    parts.image_encoder && !parts.decode_head && !parts.prompts
}
