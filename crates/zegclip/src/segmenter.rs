//! A model on a device, and what it is made of.

mod batch;
mod calls;
mod steps;

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use burn::tensor::{FloatDType, Tensor};
use zegclip_data::{ImageLimits, RgbImage, TrainingSetting, Vocabulary, read_image};
use zegclip_model::dense_clip::DenseProtocol;
use zegclip_model::{Assumption, ModelOverrides, ZegClip, ZegClipConfig};
use zegclip_weights::Watch;

use crate::model::{Model, Sizes};
use crate::text::TextSource;
use crate::{Error, Method, OpenDevice};

/// A model on a device. `Send + Sync`: one segmenter serves any number of threads.
///
/// ```
/// use zegclip::{RgbImage, Segmenter, Vocabulary};
///
/// # #[cfg(feature = "demo")] {
/// let segmenter = Segmenter::demo("cpu")?;
/// let image = RgbImage::from_pixel(64, 48, [40, 160, 60].into());
/// let result = segmenter.segment(&image, &Vocabulary::from_names("grass, sea, cat")?)?;
/// assert_eq!(result.labels().dimensions(), (64, 48));
/// # }
/// # Ok::<(), zegclip::Error>(())
/// ```
#[derive(Debug)]
pub struct Segmenter {
    id: u64,
    model: Model,
    sizes: Sizes,
    device: OpenDevice,
    dtype: FloatDType,
    text: TextSource,
    vocabulary: Option<Vocabulary>,
    setting: Option<TrainingSetting>,
    window_batch: Option<usize>,
    assumptions: Vec<Assumption>,
    /// The files whose pages the model may use in place.
    watched: Vec<Watch>,
    /// Text features by class list.
    encoded: Mutex<Encoded>,
}

/// What a [`Segmenter`] is made of.
pub(crate) struct Parts {
    pub(crate) model: Model,
    pub(crate) sizes: Sizes,
    pub(crate) device: OpenDevice,
    pub(crate) dtype: FloatDType,
    pub(crate) text: TextSource,
    pub(crate) vocabulary: Option<Vocabulary>,
    pub(crate) setting: Option<TrainingSetting>,
    pub(crate) window_batch: Option<usize>,
    pub(crate) assumptions: Vec<Assumption>,
    pub(crate) watched: Vec<Watch>,
}

/// A model in memory, for [`Segmenter::from_model`].
#[derive(Debug)]
pub struct ModelInMemory<'a> {
    /// The model, on `device`.
    pub model: ZegClip,
    /// Its configuration.
    pub config: ZegClipConfig,
    /// The device of the model.
    pub device: OpenDevice,
    /// The class list that it is used with: there is no text encoder for others.
    pub classes: &'a Vocabulary,
    /// Text features of that list on `device`: `[classes, embed_dim]`.
    pub text_features: Tensor<2>,
}

impl Segmenter {
    pub(crate) fn new(parts: Parts) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(0);
        Self {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            model: parts.model,
            sizes: parts.sizes,
            device: parts.device,
            dtype: parts.dtype,
            text: parts.text,
            vocabulary: parts.vocabulary,
            setting: parts.setting,
            window_batch: parts.window_batch,
            assumptions: parts.assumptions,
            watched: parts.watched,
            encoded: Mutex::default(),
        }
    }

    /// A segmenter of a model in memory.
    ///
    /// # Errors
    /// [`Error::TextFeatureShape`] unless the text features are `[classes, embed_dim]`.
    pub fn from_model(parts: ModelInMemory) -> Result<Self, Error> {
        let sizes = Sizes::from(&parts.config);
        check_text_features("the model in memory", &parts.text_features, parts.classes.len(), sizes)?;
        let segmenter = Self::new(Parts {
            model: Model::zegclip(parts.model, &parts.config),
            sizes,
            device: parts.device,
            dtype: FloatDType::F32,
            text: TextSource {
                given: None,
                encoder: None,
                overrides: ModelOverrides::default(),
                width: sizes.embed_dim,
                weights: "the model in memory".into(),
                by_name: false,
                templates: None,
                cache: None,
                device: String::new(),
            },
            vocabulary: None,
            setting: None,
            window_batch: None,
            assumptions: Vec::new(),
            watched: Vec::new(),
        });
        segmenter.remember(key_of(parts.classes), Arc::new(parts.text_features));
        Ok(segmenter)
    }

    /// The device that it computes on.
    pub fn device(&self) -> &OpenDevice {
        &self.device
    }

    /// The class list that the model was trained for, if its file states one.
    pub fn vocabulary(&self) -> Option<&Vocabulary> {
        self.vocabulary.as_ref()
    }

    /// How the model was trained, if its file states it.
    pub fn setting(&self) -> Option<TrainingSetting> {
        self.setting
    }

    /// The training setting that scores of a class list follow: that of the model (inductive if its file does not state it),
    /// or full supervision for classes other than the model's own, all of which are alike to it.
    pub fn setting_for(&self, classes: &Vocabulary) -> TrainingSetting {
        let other_classes = self
            .vocabulary
            .as_ref()
            .is_some_and(|own| !own.names().eq(classes.names()));
        if other_classes {
            TrainingSetting::Full
        } else {
            self.setting.unwrap_or(TrainingSetting::Inductive)
        }
    }

    /// The model in results and reports: the path of its weights, or the demo model with its limits.
    pub fn model_name(&self) -> String {
        let name = self.text.weights.display().to_string();
        #[cfg(feature = "demo")]
        if name == crate::DEMO_MODEL_NAME {
            return format!("{name}; {}", crate::DEMO_MODEL_LIMITS);
        }
        name
    }

    /// What is assumed of the model, because neither its files nor the given configuration state it. Results are wrong if an
    /// assumption is.
    pub fn assumptions(&self) -> &[Assumption] {
        &self.assumptions
    }

    /// Fails if a file whose pages the model uses in place was modified after it was opened.
    pub(crate) fn require_unchanged_weights(&self) -> Result<(), Error> {
        Ok(self.watched.iter().try_for_each(Watch::check)?)
    }

    /// How it makes masks.
    pub fn method(&self) -> Method {
        self.protocol()
            .map_or(Method::ZegClip, |protocol| protocol.method.into())
    }

    /// The settings of a method on plain CLIP; `None` for a trained model.
    pub fn protocol(&self) -> Option<&DenseProtocol> {
        match &self.model {
            Model::Dense(dense) => Some(&dense.protocol),
            Model::ZegClip { .. } => None,
        }
    }

    /// Prompt templates that the names of a class list are put into.
    pub fn templates<'a>(&'a self, classes: &'a Vocabulary) -> &'a [String] {
        self.text.templates.as_deref().unwrap_or(classes.templates())
    }

    /// The type of the numbers that it computes with.
    pub fn precision(&self) -> crate::Precision {
        match self.dtype {
            FloatDType::F16 => crate::Precision::F16,
            _ => crate::Precision::F32,
        }
    }

    /// Text features `[classes, embed_dim]`, or one row a name for methods on plain CLIP, computed once for a class list; those of the
    /// last 64 lists are kept.
    ///
    /// # Errors
    /// [`Error::NoTextEncoder`], [`Error::TextFeatureShape`] and [`Error::Model`] for class lists that the model cannot encode.
    pub fn text_features(&self, classes: &Vocabulary) -> Result<Arc<Tensor<2>>, Error> {
        let key = key_of(classes);
        if let Some(features) = self.encoded().features.get(&key) {
            return Ok(features.clone());
        }
        // Without the lock: a thread that waits for its tasks may take up another call of this very function.
        let features = Arc::new(self.text.features(classes, &self.device.device, self.dtype)?);
        self.remember(key, features.clone());
        Ok(features)
    }

    /// Names of a class list with words that the weights never saw, because they were trained on few words: regions found for
    /// such a name have no meaning. Empty for CLIP's own weights, whose tokens make up every word.
    ///
    /// # Errors
    /// [`Error::Model`] if the description of the weights cannot be read.
    pub fn unknown_names<'a>(&self, classes: &'a Vocabulary) -> Result<Vec<&'a str>, Error> {
        self.text.unknown_names(classes)
    }

    fn encoded(&self) -> std::sync::MutexGuard<'_, Encoded> {
        self.encoded.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn remember(&self, key: String, features: Arc<Tensor<2>>) {
        self.encoded().insert(key, features);
    }
}

/// Class lists whose text features a segmenter keeps; of further ones, the oldest is forgotten.
const KEPT_LISTS: usize = 64;

/// Text features of the last class lists.
#[derive(Debug, Default)]
struct Encoded {
    features: HashMap<String, Arc<Tensor<2>>>,
    order: VecDeque<String>,
}

impl Encoded {
    fn insert(&mut self, key: String, features: Arc<Tensor<2>>) {
        if self.features.insert(key.clone(), features).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > KEPT_LISTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.features.remove(&oldest);
        }
    }
}

fn check_text_features(origin: &str, features: &Tensor<2>, classes: usize, sizes: Sizes) -> Result<(), Error> {
    let (found, expected) = (features.dims(), [classes, sizes.embed_dim]);
    if found == expected && classes > 0 {
        return Ok(());
    }
    Err(Error::TextFeatureShape {
        origin: origin.to_owned(),
        found,
        expected,
    })
}

/// Reads an image file, upright, under the default limits ([`ImageLimits`]): `[height, width, 3]`.
///
/// # Errors
/// [`Error::Data`] naming the file.
pub fn open_image(path: impl AsRef<Path>) -> Result<RgbImage, Error> {
    Ok(read_image(path.as_ref(), &ImageLimits::default())?)
}

fn key_of(classes: &Vocabulary) -> String {
    let names: Vec<String> = classes.classes().iter().map(|class| class.to_spec()).collect();
    format!("{}\u{1}{}", names.join("\n"), classes.templates().join("\n"))
}
