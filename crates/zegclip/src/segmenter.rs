//! Inference: image → windows → features → masks → labels.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use burn::tensor::{FloatDType, Tensor, TensorData};
use zegclip_data::{
    ClassIndex, ImageLimits, RgbImage, TrainingSetting, Vocabulary, normalize, read_image, resize_bilinear, test_size,
};
use zegclip_kernels::{MaskDecoding, WindowMasks, on_worker};
use zegclip_model::{ModelOverrides, SEEN_CLASS_BIAS, ZegClip, ZegClipConfig};

use crate::builder::SegmenterBuilder;
use crate::encoded_image::{EncodedImage, Layout};
use crate::mask_decoding::{Decoded, decode, decode_on_gpu};
use crate::model::{Features, Model, Sizes};
use crate::options::SegmentOptions;
use crate::segmentation::{Segmentation, Timings};
use crate::text::TextSource;
use crate::windows::{Window, windows};
use crate::{DeviceChoice, Error, OpenDevice};

/// Windows of several images that a GPU computes together unless
/// [`SegmenterBuilder::window_batch`] states a number: a few hundred MB of activations of a published model.
const WINDOWS_ON_GPU: usize = 8;

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
    /// Text features by class list.
    encoded: Mutex<HashMap<String, Arc<Tensor<2>>>>,
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

/// An image at the model's size.
struct Prepared {
    /// Normalized: `[3, height, width]`.
    pixels: Vec<f32>,
    layout: Layout,
    time: Duration,
}

/// The encoded class list of a call, and how scores become labels.
struct Words {
    text_features: Arc<Tensor<2>>,
    /// Subtracted from the score of each scored class.
    bias: Vec<f32>,
    /// The first of the scored classes, which results name.
    listed: usize,
    background: Vec<ClassIndex>,
    min_score: Option<f32>,
    scores: bool,
}

/// Windows of a batch of images that go through the model one after the other.
#[derive(Debug, Clone, Copy)]
struct Job {
    image: usize,
    window: Window,
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
            },
            vocabulary: None,
            setting: None,
            window_batch: None,
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

    /// The type of the numbers that it computes with.
    pub fn precision(&self) -> crate::Precision {
        match self.dtype {
            FloatDType::F16 => crate::Precision::F16,
            _ => crate::Precision::F32,
        }
    }

    /// Segments an image with the published settings.
    ///
    /// # Errors
    /// As [`segment_with`](Self::segment_with).
    pub fn segment(&self, image: &RgbImage, classes: &Vocabulary) -> Result<Segmentation, Error> {
        self.segment_with(image, classes, &SegmentOptions::default())
    }

    /// Segments an image: short side to the side of the model's window, sliding windows, labels at the image's own size.
    ///
    /// # Errors
    /// [`Error::Data`] for an image without pixels, or of such proportions that it is too large at the model's size;
    /// [`Error::OptionRange`]; [`Error::NoTextEncoder`], [`Error::TextFeatureShape`] and [`Error::Model`] for class lists that
    /// the model cannot encode; [`Error::Execution`] if the device fails.
    pub fn segment_with(
        &self,
        image: &RgbImage,
        classes: &Vocabulary,
        options: &SegmentOptions,
    ) -> Result<Segmentation, Error> {
        let words = self.words(classes, options)?;
        let mut results = self.segment_all(std::slice::from_ref(image), &words, self.window_batch.unwrap_or(1))?;
        results.pop().ok_or(Error::NoImages)
    }

    /// Segments several images with the published settings.
    ///
    /// ```
    /// use zegclip::{RgbImage, Segmenter, Vocabulary};
    ///
    /// # #[cfg(feature = "demo")] {
    /// let segmenter = Segmenter::demo("cpu")?;
    /// let images = [[30, 90, 200], [60, 160, 40]].map(|color| RgbImage::from_pixel(48, 48, color.into()));
    /// let results = segmenter.segment_batch(&images, &Vocabulary::from_names("sea, grass")?)?;
    /// assert_eq!(results.len(), 2);
    /// # }
    /// # Ok::<(), zegclip::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`segment_batch_with`](Self::segment_batch_with).
    pub fn segment_batch(&self, images: &[RgbImage], classes: &Vocabulary) -> Result<Vec<Segmentation>, Error> {
        self.segment_batch_with(images, classes, &SegmentOptions::default())
    }

    /// Segments several images, which may differ in size. The results, in the order of the images, are those of single calls.
    ///
    /// Windows of one size share a forward pass, whichever image they are of: as many as
    /// [`SegmenterBuilder::window_batch`] states; otherwise 8 on a GPU, and 1 on the CPU, which a single window uses fully.
    /// Memory grows with that number, not with the number of images. On the CPU results are equal to those of single calls in
    /// every bit; on a GPU the kernels of a larger batch may round differently.
    ///
    /// # Errors
    /// [`Error::NoImages`] for an empty list, else as [`segment_with`](Self::segment_with). One image that fails is the failure
    /// of the batch.
    pub fn segment_batch_with(
        &self,
        images: &[RgbImage],
        classes: &Vocabulary,
        options: &SegmentOptions,
    ) -> Result<Vec<Segmentation>, Error> {
        if images.is_empty() {
            return Err(Error::NoImages);
        }
        let words = self.words(classes, options)?;
        let together = self
            .window_batch
            .unwrap_or(if self.device.gpu { WINDOWS_ON_GPU } else { 1 });
        self.segment_all(images, &words, together)
    }

    /// Encodes an image, to segment it with many class lists by [`segment_encoded`](Self::segment_encoded): most of the time
    /// of [`segment`](Self::segment) is that of the encoder.
    ///
    /// ```
    /// use zegclip::{RgbImage, Segmenter, Vocabulary};
    ///
    /// # #[cfg(feature = "demo")] {
    /// let segmenter = Segmenter::demo("cpu")?;
    /// let encoded = segmenter.encode(&RgbImage::from_pixel(64, 64, [200, 180, 90].into()))?;
    /// for names in ["sand, sea", "sand, grass, cat"] {
    ///     let result = segmenter.segment_encoded(&encoded, &Vocabulary::from_names(names)?)?;
    ///     assert_eq!(result.labels().dimensions(), (64, 64));
    /// }
    /// # }
    /// # Ok::<(), zegclip::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Data`] for an image without pixels, or of such proportions that it is too large at the model's size;
    /// [`Error::Execution`] if the device fails.
    pub fn encode(&self, image: &RgbImage) -> Result<EncodedImage, Error> {
        let Prepared { pixels, layout, time } = self.prepare(image)?;
        let started = Instant::now();
        let features = on_worker(|| {
            let batches = layout.windows.chunks(self.window_batch.unwrap_or(1));
            let encode = |batch: &[Window]| {
                let cuts: Vec<_> = batch.iter().map(|window| (&*pixels, layout.resized, *window)).collect();
                self.model.encode(self.cut(&cuts))
            };
            batches.map(encode).collect()
        });
        if self.device.gpu {
            self.device.device.sync().map_err(Error::execution)?;
        }
        Ok(EncodedImage {
            segmenter: self.id,
            layout,
            features,
            preparation: time,
            encoding: started.elapsed(),
        })
    }

    /// Segments an encoded image with the published settings.
    ///
    /// # Errors
    /// As [`segment_encoded_with`](Self::segment_encoded_with).
    pub fn segment_encoded(&self, image: &EncodedImage, classes: &Vocabulary) -> Result<Segmentation, Error> {
        self.segment_encoded_with(image, classes, &SegmentOptions::default())
    }

    /// Segments an encoded image. The result is that of [`segment_with`](Self::segment_with) in every bit; its timings have no
    /// preparation and only the decoder's part of the model.
    ///
    /// # Errors
    /// [`Error::ForeignEncoding`] for an image that another segmenter encoded, else as [`segment_with`](Self::segment_with).
    pub fn segment_encoded_with(
        &self,
        image: &EncodedImage,
        classes: &Vocabulary,
        options: &SegmentOptions,
    ) -> Result<Segmentation, Error> {
        if image.segmenter != self.id {
            return Err(Error::ForeignEncoding);
        }
        let words = self.words(classes, options)?;
        let started = Instant::now();
        let masks = on_worker(|| {
            let features = image.features.iter().cloned();
            features
                .map(|features| self.masks(features, &words.text_features))
                .collect::<Result<Vec<_>, _>>()
        })?;
        let timings = Timings {
            model: started.elapsed(),
            ..Timings::default()
        };
        self.labels(masks, &image.layout, &words, timings)
    }

    /// Text features `[classes, embed_dim]`, computed once for a class list.
    ///
    /// # Errors
    /// [`Error::NoTextEncoder`], [`Error::TextFeatureShape`] and [`Error::Model`] for class lists that the model cannot encode.
    pub fn text_features(&self, classes: &Vocabulary) -> Result<Arc<Tensor<2>>, Error> {
        let key = key_of(classes);
        if let Some(features) = self.encoded().get(&key) {
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

    /// Masks of all windows over a normalized image `[3, height, width]`, before their activation. `size` is
    /// `[height, width]`, `text_features` `[classes, embed_dim]`.
    ///
    /// # Errors
    /// [`Error::PixelCount`], [`Error::TextFeatureShape`]; [`Error::Execution`] if the device fails.
    pub fn window_masks(
        &self,
        pixels: &[f32],
        size: [usize; 2],
        text_features: &Tensor<2>,
    ) -> Result<Vec<WindowMasks>, Error> {
        if pixels.len() != 3 * size[0] * size[1] || pixels.is_empty() {
            let values = pixels.len();
            return Err(Error::PixelCount { size, values });
        }
        let classes = text_features.dims()[0];
        check_text_features("the argument", text_features, classes, self.sizes)?;
        let windows = windows(size[0], size[1], self.sizes.image_size, self.sizes.stride);
        let masks = on_worker(|| {
            let predict = |batch: &[Window]| {
                let cuts: Vec<_> = batch.iter().map(|window| (pixels, size, *window)).collect();
                self.masks(self.model.encode(self.cut(&cuts)), text_features)
            };
            let batches = windows.chunks(self.window_batch.unwrap_or(1));
            batches.map(predict).collect::<Result<Vec<_>, _>>()
        })?;
        read_masks(masks, &windows)
    }

    fn encoded(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Tensor<2>>>> {
        self.encoded.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn remember(&self, key: String, features: Arc<Tensor<2>>) {
        self.encoded().insert(key, features);
    }

    fn words(&self, classes: &Vocabulary, options: &SegmentOptions) -> Result<Words, Error> {
        options.check()?;
        let scored = options.scored_classes(classes)?;
        let background = options.background_classes().iter();
        Ok(Words {
            text_features: self.text_features(&scored)?,
            bias: self.seen_class_bias(&scored, options),
            listed: classes.len(),
            background: background.filter_map(|name| scored.find(name)).collect(),
            min_score: options.min_score(),
            scores: options.keeps_scores(),
        })
    }

    /// What is subtracted from the score of each class.
    fn seen_class_bias(&self, classes: &Vocabulary, options: &SegmentOptions) -> Vec<f32> {
        let trained = match self.setting {
            None | Some(TrainingSetting::Inductive) => SEEN_CLASS_BIAS,
            Some(_) => 0.0,
        };
        let bias = match self.model {
            Model::ZegClip { .. } => options.seen_class_bias().unwrap_or(trained),
            Model::MaskClip(_) => 0.0,
        };
        let flags = classes.seen().flags();
        flags.map(|seen| if seen { bias } else { 0.0 }).collect()
    }

    /// Where the windows of an image are, and its size in the model.
    fn layout(&self, image: &RgbImage) -> Result<Layout, Error> {
        let (width, height) = test_size(image.width(), image.height(), self.sizes.image_size as u32);
        let limits = ImageLimits::default();
        limits.check(image.dimensions(), "the image")?;
        // An image of one row would become a strip of millions of columns.
        limits.check((width, height), "the image at the model's size")?;
        let resized = [height as usize, width as usize];
        Ok(Layout {
            resized,
            output: [image.height() as usize, image.width() as usize],
            windows: windows(resized[0], resized[1], self.sizes.image_size, self.sizes.stride),
        })
    }

    fn prepare(&self, image: &RgbImage) -> Result<Prepared, Error> {
        let layout = self.layout(image)?;
        let started = Instant::now();
        let [height, width] = layout.resized.map(|length| length as u32);
        let pixels = normalize(&resize_bilinear(image, width, height));
        Ok(Prepared {
            pixels,
            layout,
            time: started.elapsed(),
        })
    }

    /// Windows `[windows, 3, rows, columns]` of normalized images `[3, height, width]`.
    fn cut(&self, cuts: &[(&[f32], [usize; 2], Window)]) -> Tensor<4> {
        let [height, width] = cuts
            .first()
            .map_or([0, 0], |(_, _, window)| [window.height, window.width]);
        let mut values = Vec::with_capacity(cuts.len() * 3 * height * width);
        for (pixels, size, window) in cuts {
            cut(pixels, *size, window, &mut values);
        }
        let data = TensorData::new(values, [cuts.len(), 3, height, width]);
        Tensor::<4>::from_data(data, &self.device.device).cast(self.dtype)
    }

    /// Masks `[windows, classes, height, width]` at patch grid.
    fn masks(&self, features: Features, text_features: &Tensor<2>) -> Result<Tensor<4>, Error> {
        let masks = self.model.decode(features, text_features.clone());
        Ok(masks.ok_or(Error::ForeignEncoding)?.cast(FloatDType::F32))
    }

    /// Segments images `together` windows at a time. An image is prepared when its first window is computed and forgotten
    /// after its last one.
    fn segment_all(&self, images: &[RgbImage], words: &Words, together: usize) -> Result<Vec<Segmentation>, Error> {
        let mut jobs = Vec::new();
        for (index, image) in images.iter().enumerate() {
            let windows = self.layout(image)?.windows;
            jobs.extend(windows.into_iter().map(|window| Job { image: index, window }));
        }
        // Stable, and all windows of an image have one size: they stay side by side.
        jobs.sort_by_key(|job| (job.window.height, job.window.width));
        let mut results: Vec<Option<Segmentation>> = images.iter().map(|_| None).collect();
        let mut open: HashMap<usize, Unfinished> = HashMap::new();
        let groups = jobs.chunk_by(|a, b| (a.window.height, a.window.width) == (b.window.height, b.window.width));
        for batch in groups.flat_map(|group| group.chunks(together.max(1))) {
            for job in batch {
                if let (std::collections::hash_map::Entry::Vacant(entry), Some(image)) =
                    (open.entry(job.image), images.get(job.image))
                {
                    entry.insert(Unfinished::new(self.prepare(image)?));
                }
            }
            let started = Instant::now();
            let cuts: Vec<_> = batch
                .iter()
                .filter_map(|job| open.get(&job.image).map(|image| (image, job.window)))
                .map(|(image, window)| (&*image.prepared.pixels, image.prepared.layout.resized, window))
                .collect();
            let masks = on_worker(|| self.masks(self.model.encode(self.cut(&cuts)), &words.text_features))?;
            let time = started.elapsed();
            let mut first = 0;
            for of_image in batch.chunk_by(|a, b| a.image == b.image) {
                let (count, index) = (of_image.len(), of_image.first().map_or(0, |job| job.image));
                let own = match count == batch.len() {
                    true => masks.clone(),
                    false => masks.clone().narrow(0, first, count),
                };
                first += count;
                let Some(image) = open.get_mut(&index) else { continue };
                image.masks.push(own);
                image.windows += count;
                image.time += time.mul_f64(count as f64 / batch.len() as f64);
                if image.windows == image.prepared.layout.windows.len()
                    && let (Some(image), Some(result)) = (open.remove(&index), results.get_mut(index))
                {
                    let timings = Timings {
                        preparation: image.prepared.time,
                        model: image.time,
                        ..Timings::default()
                    };
                    *result = Some(self.labels(image.masks, &image.prepared.layout, words, timings)?);
                }
            }
        }
        Ok(results.into_iter().flatten().collect())
    }

    /// Labels from the masks `[windows, classes, height, width]` of one batch of windows after the other.
    fn labels(
        &self,
        masks: Vec<Tensor<4>>,
        layout: &Layout,
        words: &Words,
        mut timings: Timings,
    ) -> Result<Segmentation, Error> {
        let decoding = MaskDecoding {
            resized: layout.resized,
            output: layout.output,
            activation: self.model.mask_activation(),
            seen_class_bias: &words.bias,
            min_score: words.min_score,
            scores: words.scores,
        };
        let started = Instant::now();
        let (mut decoded, decoding_started) = if self.device.gpu && decoding.fits_device() {
            self.device.device.sync().map_err(Error::execution)?;
            timings.model += started.elapsed();
            let started = Instant::now();
            let labels = decode_on_gpu(Tensor::cat(masks, 0), &layout.windows, &decoding)?;
            (Decoded { labels, scores: None }, started)
        } else {
            let masks = read_masks(masks, &layout.windows)?;
            timings.model += started.elapsed();
            let started = Instant::now();
            (decode(&masks, &decoding), started)
        };
        if !words.background.is_empty() {
            let background = &words.background;
            decoded.labels = decoded
                .labels
                .map(|class| (!background.contains(&class)).then_some(class));
        }
        if let Some(scores) = &mut decoded.scores {
            let [height, width] = layout.output;
            scores.truncate(words.listed * height * width);
        }
        timings.decoding = decoding_started.elapsed();
        Ok(Segmentation {
            labels: decoded.labels,
            scores: decoded.scores,
            windows: layout.windows.len(),
            timings,
            classes: words.listed,
        })
    }
}

/// An image of a batch some of whose windows are computed.
struct Unfinished {
    prepared: Prepared,
    masks: Vec<Tensor<4>>,
    windows: usize,
    time: Duration,
}

impl Unfinished {
    fn new(prepared: Prepared) -> Self {
        Self {
            prepared,
            masks: Vec::new(),
            windows: 0,
            time: Duration::ZERO,
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

/// Reads an image file, upright, under the default limits ([`ImageLimits`]): `[height, width, 3]`.
///
/// # Errors
/// [`Error::Data`] naming the file.
pub fn open_image(path: impl AsRef<Path>) -> Result<RgbImage, Error> {
    Ok(read_image(path.as_ref(), &ImageLimits::default())?)
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
