//! The engine: photo to windows to masks to labels.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use burn::tensor::{FloatDType, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use zegclip_data::{
    ImageLimits, RgbImage, TrainingSetting, Vocabulary, normalise, read_image, resize_bilinear, test_size,
};
use zegclip_kernels::{MaskDecoding, WindowMasks, on_worker};
use zegclip_model::clip::ImageEncoder;
use zegclip_model::config::MaskActivation;
use zegclip_model::prompt::PromptKvCache;
use zegclip_model::{ModelOverrides, SEEN_CLASS_BIAS, ZegClip, ZegClipConfig};

use crate::loader::SegmenterBuilder;
use crate::mask_decoding::{Decoded, decode, decode_on_gpu};
use crate::segmentation::{Labels, Segmentation, Timings};
use crate::text::TextSource;
use crate::windows::{Window, windows};
use crate::{DeviceName, Error, OpenDevice};

/// How scores become labels.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SegmentOptions {
    /// Whether the scores of seen classes are lowered by [`SEEN_CLASS_BIAS`] (calibrated stacking). `None` follows the
    /// model's training: biased unless the file states that unseen classes took part in it.
    pub seen_class_bias: Option<bool>,
    /// A pixel whose best score is lower has no class.
    pub threshold: Option<f32>,
    /// Return the scores.
    pub scores: bool,
}

/// How masks are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// The trained model: prompts, relation descriptor, decoder.
    #[default]
    ZegClip,
    /// Plain CLIP without any training for segmentation, patch features times text features (MaskCLIP): what ZegCLIP has to
    /// beat.
    MaskClip,
}

/// What makes masks.
#[derive(Debug)]
pub(crate) enum Model {
    ZegClip {
        model: Box<ZegClip>,
        prompts: PromptKvCache,
        activation: MaskActivation,
    },
    MaskClip(Box<ImageEncoder>),
}

impl Model {
    pub(crate) fn zegclip(model: ZegClip, config: &ZegClipConfig) -> Self {
        Self::ZegClip {
            prompts: model.prepare(),
            model: Box::new(model),
            activation: config.mask_activation,
        }
    }

    /// What turns its masks into scores.
    fn mask_activation(&self) -> MaskActivation {
        match self {
            Self::ZegClip { activation, .. } => *activation,
            Self::MaskClip(_) => MaskActivation::Sigmoid,
        }
    }

    /// Masks `[batch, classes, height, width]` at patch grid.
    fn predict(&self, image: Tensor<4>, text_features: Tensor<2>) -> Tensor<4> {
        match self {
            Self::ZegClip { model, prompts, .. } => model.predict(image, text_features, prompts),
            Self::MaskClip(encoder) => encoder.maskclip_logits(image, text_features),
        }
    }
}

/// What windows need to know of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Side of a window in pixels.
    pub(crate) image_size: usize,
    /// Pixels from one window to the next.
    pub(crate) stride: usize,
    /// Width of the joint embedding.
    pub(crate) embed_dim: usize,
}

impl From<&ZegClipConfig> for Sizes {
    fn from(config: &ZegClipConfig) -> Self {
        Self {
            image_size: config.image_size,
            stride: config.stride,
            embed_dim: config.embed_dim,
        }
    }
}

/// A loaded model on a device.
#[derive(Debug)]
pub struct Segmenter {
    model: Model,
    sizes: Sizes,
    device: OpenDevice,
    dtype: FloatDType,
    text: TextSource,
    vocabulary: Option<Vocabulary>,
    setting: Option<TrainingSetting>,
    batch: usize,
    /// Text features by class list.
    encoded: Mutex<HashMap<String, Arc<Tensor<2>>>>,
}

impl Segmenter {
    /// Loads a model. Further options: [`SegmenterBuilder`].
    ///
    /// # Errors
    /// As [`SegmenterBuilder::load`].
    pub fn load(weights: impl AsRef<Path>, device: DeviceName) -> Result<Self, Error> {
        SegmenterBuilder::new(weights).device(device).load()
    }

    /// Loads the demo model, which is compiled in: it knows only drawings of the 155 things and grounds of the vocabulary
    /// `demo`.
    ///
    /// # Errors
    /// [`Error::Model`] for a device that this machine lacks.
    pub fn demo(device: DeviceName) -> Result<Self, Error> {
        SegmenterBuilder::demo().device(device).load()
    }

    pub(crate) fn new(
        model: Model,
        sizes: Sizes,
        device: OpenDevice,
        dtype: FloatDType,
        text: TextSource,
        vocabulary: Option<Vocabulary>,
        batch: usize,
    ) -> Self {
        Self {
            model,
            sizes,
            device,
            dtype,
            text,
            vocabulary,
            setting: None,
            batch,
            encoded: Mutex::new(HashMap::new()),
        }
    }

    /// A model that is in memory already, with the text features `[classes, embed_dim]` of the one class list that it will
    /// be asked for.
    pub fn with_text_features(
        model: ZegClip,
        config: ZegClipConfig,
        device: OpenDevice,
        classes: &Vocabulary,
        text_features: Tensor<2>,
    ) -> Self {
        let sizes = Sizes::from(&config);
        let text = TextSource {
            given: None,
            encoder: None,
            overrides: ModelOverrides::default(),
            width: sizes.embed_dim,
            weights: "the model in memory".into(),
        };
        let segmenter = Self::new(
            Model::zegclip(model, &config),
            sizes,
            device,
            FloatDType::F32,
            text,
            None,
            1,
        );
        let mut encoded = segmenter
            .encoded
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        encoded.insert(key_of(classes), Arc::new(text_features));
        drop(encoded);
        segmenter
    }

    /// The device it runs on.
    pub fn device(&self) -> &OpenDevice {
        &self.device
    }

    /// The class list that the model was trained for, if its file says so.
    pub fn vocabulary(&self) -> Option<&Vocabulary> {
        self.vocabulary.as_ref()
    }

    pub(crate) fn with_setting(self, setting: Option<TrainingSetting>) -> Self {
        Self { setting, ..self }
    }

    /// How the model was trained, if its file says so.
    pub fn setting(&self) -> Option<TrainingSetting> {
        self.setting
    }

    /// Segments a photo with the published settings.
    ///
    /// # Errors
    /// As [`segment_with`](Self::segment_with).
    pub fn segment(&self, photo: &RgbImage, classes: &Vocabulary) -> Result<Segmentation, Error> {
        self.segment_with(photo, classes, &SegmentOptions::default())
    }

    /// Segments a photo: short side to the model's window, sliding windows, labels at the photo's own size.
    ///
    /// # Errors
    /// [`Error::NoTextEncoder`], [`Error::TextFeatureShape`] for class lists that the model cannot read;
    /// [`Error::Execution`] if the device fails.
    pub fn segment_with(
        &self,
        photo: &RgbImage,
        classes: &Vocabulary,
        options: &SegmentOptions,
    ) -> Result<Segmentation, Error> {
        let text = self.text_features(classes)?;
        let started = Instant::now();
        let (width, height) = test_size(photo.width(), photo.height(), self.sizes.image_size as u32);
        // A photo of one row would become a strip of millions of columns.
        ImageLimits::default().check((width, height), "the photo at the model's size")?;
        let resized = resize_bilinear(photo, width, height);
        let pixels = normalise(&resized);
        let size = [height as usize, width as usize];
        let preparation = started.elapsed();
        let started = Instant::now();
        let windows = self.windows(size);
        let masks = self.predict(&pixels, size, &windows, &text);
        // Plain CLIP saw no class more than another.
        let biased = !matches!(self.model, Model::MaskClip(_))
            && options
                .seen_class_bias
                .unwrap_or(self.setting.is_none_or(|setting| setting == TrainingSetting::Inductive));
        let seen_class_bias = seen_class_bias(classes, biased);
        let decoding = MaskDecoding {
            resized: size,
            output: [photo.height() as usize, photo.width() as usize],
            activation: self.model.mask_activation(),
            seen_class_bias: &seen_class_bias,
            min_score: options.threshold,
            scores: options.scores,
        };
        let (model, decoded, decoding_started) = if self.device.gpu && decoding.fits_device() {
            self.device.device.sync().map_err(Error::execution)?;
            let model = started.elapsed();
            let started = Instant::now();
            let labels = decode_on_gpu(Tensor::cat(masks, 0), &windows, &decoding)?;
            (model, Decoded { labels, scores: None }, started)
        } else {
            let masks = read_masks(masks, &windows)?;
            let model = started.elapsed();
            let started = Instant::now();
            (model, decode(&masks, &decoding), started)
        };
        Ok(Segmentation {
            labels: Labels(decoded.labels),
            scores: decoded.scores,
            windows: windows.len(),
            timings: Timings {
                preparation,
                model,
                decoding: decoding_started.elapsed(),
            },
            classes: classes.len(),
        })
    }

    /// Text features `[classes, embed_dim]`, computed once a class list.
    ///
    /// # Errors
    /// As [`segment_with`](Self::segment_with).
    pub fn text_features(&self, classes: &Vocabulary) -> Result<Arc<Tensor<2>>, Error> {
        let key = key_of(classes);
        let encoded = || self.encoded.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(features) = encoded().get(&key) {
            return Ok(features.clone());
        }
        // Without the lock: a thread that waits for its tasks may take up another call of this very function.
        let features = Arc::new(self.text.features(classes, &self.device.device, self.dtype)?);
        encoded().insert(key, features.clone());
        Ok(features)
    }

    /// Names of a class list with words that the weights never saw, because they were trained on a small world of words:
    /// what is found under such a name means nothing. Empty for CLIP's own weights, whose tokens make up every word.
    ///
    /// # Errors
    /// [`Error::Model`] if the description of the weights cannot be read.
    pub fn unknown_names<'a>(&self, classes: &'a Vocabulary) -> Result<Vec<&'a str>, Error> {
        self.text.unknown_names(classes)
    }

    /// Masks of all windows over a normalised image `[3, height, width]`.
    ///
    /// # Errors
    /// [`Error::Execution`] if the device fails.
    pub fn window_masks(
        &self,
        pixels: &[f32],
        size: [usize; 2],
        text_features: &Tensor<2>,
    ) -> Result<Vec<WindowMasks>, Error> {
        let windows = self.windows(size);
        read_masks(self.predict(pixels, size, &windows, text_features), &windows)
    }

    fn windows(&self, size: [usize; 2]) -> Vec<Window> {
        windows(size[0], size[1], self.sizes.image_size, self.sizes.stride)
    }

    /// Masks `[windows, classes, height, width]` of a batch after the other, on the device.
    fn predict(
        &self,
        pixels: &[f32],
        size: [usize; 2],
        windows: &[Window],
        text_features: &Tensor<2>,
    ) -> Vec<Tensor<4>> {
        let predict = |batch: &[Window]| {
            let [height, width] = [batch[0].height, batch[0].width];
            let mut values = Vec::with_capacity(batch.len() * 3 * height * width);
            for window in batch {
                cut(pixels, size, window, &mut values);
            }
            let shape = [batch.len(), 3, height, width];
            let image = Tensor::<4>::from_data(TensorData::new(values, shape), &self.device.device).cast(self.dtype);
            self.model.predict(image, text_features.clone()).cast(FloatDType::F32)
        };
        on_worker(|| windows.chunks(self.batch).map(predict).collect())
    }
}

/// Masks `[windows, classes, height, width]` off their device.
fn read_masks(masks: Vec<Tensor<4>>, windows: &[Window]) -> Result<Vec<WindowMasks>, Error> {
    let mut read = Vec::with_capacity(windows.len());
    let mut windows = windows.iter();
    for masks in masks {
        let [_, classes, rows, columns] = masks.dims();
        let data = masks.permute([0, 2, 3, 1]).try_into_data().map_err(Error::execution)?;
        let values: Vec<f32> = data.iter::<f32>().collect();
        for (values, window) in values.chunks_exact(rows * columns * classes).zip(&mut windows) {
            read.push(WindowMasks {
                origin: [window.top, window.left],
                size: [window.height, window.width],
                grid: [rows, columns],
                values: values.to_vec(),
            });
        }
    }
    Ok(read)
}

/// Reads a photo under the default limits, upright.
///
/// # Errors
/// [`Error::Data`] naming the file.
pub fn open_image(path: impl AsRef<Path>) -> Result<RgbImage, Error> {
    Ok(read_image(path.as_ref(), &ImageLimits::default())?)
}

/// The bias to subtract from the scores of each class: [`SEEN_CLASS_BIAS`] for seen classes if `biased`, else 0.
fn seen_class_bias(classes: &Vocabulary, biased: bool) -> Vec<f32> {
    let bias = |seen: bool| if seen && biased { SEEN_CLASS_BIAS } else { 0.0 };
    classes.seen().flags().map(bias).collect()
}

fn cut(pixels: &[f32], size: [usize; 2], window: &Window, into: &mut Vec<f32>) {
    for channel in 0..3 {
        for row in window.top..window.top + window.height {
            let start = (channel * size[0] + row) * size[1] + window.left;
            into.extend_from_slice(&pixels[start..start + window.width]);
        }
    }
}

fn key_of(classes: &Vocabulary) -> String {
    let names: Vec<String> = classes.classes().iter().map(|class| class.to_spec()).collect();
    format!("{}\u{1}{}", names.join("\n"), classes.templates().join("\n"))
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;

    /// Tasks of one call may run on a thread that waits in another call.
    #[test]
    fn photos_may_be_segmented_on_the_pool_itself() {
        let segmenter = Segmenter::demo("cpu".parse().unwrap()).unwrap();
        let photos: Vec<RgbImage> = (0..6u8)
            .map(|seed| RgbImage::from_fn(60, 40, |x, y| [seed * 40, x as u8 * 4, y as u8 * 6].into()))
            .collect();
        let names = ["cat, grass", "train, sheep, sea"].map(|names| Vocabulary::from_names(names).unwrap());
        let label = |(photo, classes): (&RgbImage, &Vocabulary)| segmenter.segment(photo, classes).unwrap().labels;
        let work = |index: usize| (&photos[index], &names[index % 2]);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let together: Vec<_> = pool.install(|| (0..6).into_par_iter().map(|index| label(work(index))).collect());
        let one_by_one: Vec<_> = (0..6).map(|index| label(work(index))).collect();
        assert!(together == one_by_one, "other labels");
    }
}
