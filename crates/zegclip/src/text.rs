//! Sources of text features: a file, a text encoder, or the published features of a vocabulary.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use safetensors::SafeTensors;
use zegclip_data::{TextFeatures, Vocabulary, published_text_features, read_npy};
use zegclip_model::clip::text_features;
use zegclip_model::config::TextConfig;
use zegclip_model::{ModelOverrides, load_text_encoder, text_config};
use zegclip_weights::{WeightFile, names};

use crate::Error;
use crate::error::TextFeatureProblem;
use crate::text_cache::TextFeatureCache;

/// Multiply-accumulates a token, about a tenth of a second on a CPU: features of less work are not kept.
const MIN_CACHED_WORK: usize = 1_000_000_000;

/// Text features of one class list in a file: `[classes, width]` as `.npy`, or as the only (or the `text_features`) tensor
/// of a safetensors file.
#[derive(Debug, Clone)]
pub struct TextFeatureFile {
    path: PathBuf,
    features: TextFeatures,
}

impl TextFeatureFile {
    /// Reads a file; its content decides which of the two formats it has.
    ///
    /// # Errors
    /// [`Error::TextFeatureFile`] unless it is a matrix of finite floating-point numbers.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let features = read(path).map_err(|source| Error::TextFeatureFile {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            features,
        })
    }
}

fn read(path: &Path) -> Result<TextFeatures, TextFeatureProblem> {
    let bytes = std::fs::read(path)?;
    let features = if bytes.starts_with(b"\x93NUMPY") {
        read_npy(path)?
    } else {
        let file = SafeTensors::deserialize(&bytes)?;
        let names = file.names();
        let name = match names.as_slice() {
            [only] => (*only).to_owned(),
            _ => "text_features".to_owned(),
        };
        let tensor = file.tensor(&name).map_err(|_| TextFeatureProblem::NoTensor)?;
        let [classes, width] = tensor.shape() else {
            let shape = tensor.shape().to_vec();
            return Err(TextFeatureProblem::Shape { shape });
        };
        let data = match tensor.dtype() {
            safetensors::Dtype::F32 => tensor
                .data()
                .chunks_exact(4)
                .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
                .collect(),
            safetensors::Dtype::F16 => tensor
                .data()
                .chunks_exact(2)
                .map(|bytes| burn::tensor::f16::from_le_bytes([bytes[0], bytes[1]]).to_f32())
                .collect(),
            dtype => return Err(TextFeatureProblem::Type { dtype }),
        };
        TextFeatures {
            classes: *classes,
            width: *width,
            data,
        }
    };
    if features.data.iter().any(|value| !value.is_finite()) {
        return Err(TextFeatureProblem::NotFinite);
    }
    Ok(features)
}

/// The sources of a model, in order of preference.
#[derive(Debug)]
pub(crate) struct TextSource {
    pub(crate) given: Option<TextFeatureFile>,
    /// A file with a text encoder.
    pub(crate) encoder: Option<WeightFile>,
    pub(crate) overrides: ModelOverrides,
    /// Width of the model's joint embedding.
    pub(crate) width: usize,
    /// For messages.
    pub(crate) weights: PathBuf,
    /// Whether each name of a class has a row of its own.
    pub(crate) by_name: bool,
    /// Templates instead of those of the class list.
    pub(crate) templates: Option<Vec<String>>,
    /// What the encoder computed in earlier processes.
    pub(crate) cache: Option<TextFeatureCache>,
    /// The device that the encoder computes on, whose rounding its features have.
    pub(crate) device: String,
}

impl TextSource {
    /// Text features of a class list: `[classes, width]`, or `[names, width]`.
    pub(crate) fn features(
        &self,
        vocabulary: &Vocabulary,
        device: &Device,
        dtype: FloatDType,
    ) -> Result<Tensor<2>, Error> {
        let names = vocabulary.classes().iter().map(|class| class.names().count());
        let rows = if self.by_name { names.sum() } else { vocabulary.len() };
        let expected = [rows, self.width];
        let check = |origin: String, found: [usize; 2]| {
            if found == expected {
                Ok(())
            } else {
                Err(Error::TextFeatureShape {
                    origin,
                    found,
                    expected,
                })
            }
        };
        if let Some(file) = &self.given {
            let found = [file.features.classes, file.features.width];
            check(format!("`{}`", file.path.display()), found)?;
            return Ok(to_tensor(&file.features, device).cast(dtype));
        }
        if let Some(file) = &self.encoder {
            let classes: Vec<Vec<String>> = vocabulary
                .classes()
                .iter()
                .map(|class| class.names().map(str::to_owned).collect())
                .collect();
            let classes = match self.by_name {
                true => classes.into_iter().flatten().map(|name| vec![name]).collect(),
                false => classes,
            };
            let templates = self.templates.as_deref().unwrap_or(vocabulary.templates());
            let features = self.encoded(file, &classes, templates, device)?;
            check(format!("`{}`", file.path().display()), features.dims())?;
            return Ok(features.cast(dtype));
        }
        // Published features belong to names in an order, not to the name of a vocabulary.
        let built_in = ["voc20", "coco171"]
            .into_iter()
            .find(|name| Vocabulary::built_in(name).is_ok_and(|built_in| built_in.names().eq(vocabulary.names())));
        if let Some((name, features)) = built_in.and_then(|name| Some((name, published_text_features(name)?))) {
            check(
                format!("vocabulary `{name}` (published, of CLIP ViT-B/16)"),
                [features.classes, features.width],
            )?;
            return Ok(to_tensor(&features, device).cast(dtype));
        }
        let mut classes: Vec<&str> = vocabulary.names().take(3).collect();
        if vocabulary.len() > 3 {
            classes.push("…");
        }
        Err(Error::NoTextEncoder {
            weights: self.weights.clone(),
            classes: classes.join(", "),
        })
    }

    /// Features of the encoder in `file`, or those that an earlier process computed.
    fn encoded(
        &self,
        file: &WeightFile,
        classes: &[Vec<String>],
        templates: &[String],
        device: &Device,
    ) -> Result<Tensor<2>, Error> {
        let (config, _) = text_config(file, &self.overrides)?;
        let prompts = classes.iter().map(Vec::len).sum::<usize>() * templates.len();
        let work = prompts.saturating_mul(12 * config.layers * config.width * config.width);
        let cache = self.cache.as_ref().filter(|_| work >= MIN_CACHED_WORK);
        let key = cache
            .map(|_| self.cache_key(file, &config, classes, templates))
            .transpose()?;
        let cache = cache.zip(key.as_deref());
        if let Some(features) = cache.and_then(|(cache, key)| cache.read(key)) {
            return Ok(to_tensor(&features, device));
        }
        // Dropped after use: its token embedding alone takes 100 MB.
        let encoder = load_text_encoder(file, &self.overrides, device, FloatDType::F32)?;
        let features = text_features(&encoder, classes, templates)?;
        if let Some((cache, key)) = cache {
            let [classes, width] = features.dims();
            let data = features.clone().try_into_data().map_err(Error::execution)?;
            let data = data.iter::<f32>().collect();
            cache.write(key, &TextFeatures { classes, width, data });
        }
        Ok(features)
    }

    /// All that features depend on.
    fn cache_key(
        &self,
        file: &WeightFile,
        config: &TextConfig,
        classes: &[Vec<String>],
        templates: &[String],
    ) -> Result<String, Error> {
        let weights = file.fingerprint(names::TEXT_ENCODER)?;
        let classes: Vec<String> = classes.iter().map(|names| names.join("|")).collect();
        Ok(format!(
            "{:08x} {}\n{config:?}\n{}\n{}\n\n{}",
            weights.crc32,
            weights.length,
            self.device,
            classes.join("\n"),
            templates.join("\n")
        ))
    }

    /// Names with words that the text encoder was not trained on, if it was trained on few.
    pub(crate) fn unknown_names<'a>(&self, vocabulary: &'a Vocabulary) -> Result<Vec<&'a str>, Error> {
        let (None, Some(file)) = (&self.given, &self.encoder) else {
            return Ok(Vec::new());
        };
        let (config, _) = text_config(file, &self.overrides)?;
        let names = vocabulary.classes().iter().flat_map(|class| class.names());
        Ok(names.filter(|name| !config.unknown_tokens(name).is_empty()).collect())
    }
}

fn to_tensor(features: &TextFeatures, device: &Device) -> Tensor<2> {
    let shape = [features.classes, features.width];
    Tensor::from_data(TensorData::new(features.data.clone(), shape), device)
}
