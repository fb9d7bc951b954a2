//! The steps between image and labels.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::tensor::{FloatDType, Int, Tensor, TensorData};
use zegclip_data::{
    ClassIndex, ImageLimits, LabelMap, RgbImage, TrainingSetting, Vocabulary, normalize, normalize_with,
    resize_bilinear, test_size,
};
use zegclip_kernels::{
    MaskDecoding, NO_CLASS, NameDecoding, NamePlanes, WindowCosines, WindowMasks, decode_names, on_worker,
};
use zegclip_model::SEEN_CLASS_BIAS;
use zegclip_model::dense_clip::{DenseProtocol, ImageStatistics, Pamr, SlidingWindow};
use zegclip_model::interpolate::resize_bilinear as resize_tensor;

use super::Segmenter;
use crate::Error;
use crate::encoded_image::Layout;
use crate::mask_decoding::{Decoded, decode, decode_on_gpu};
use crate::model::{DenseModel, Features, Model, Sizes};
use crate::options::SegmentOptions;
use crate::presence::Presence;
use crate::segmentation::{ClassPresence, Segmentation, Timings};
use crate::windows::{Window, windows};

/// Mean of red, green and blue in CLIP's training, on 0 to 255.
const CLIP_MEAN: [f32; 3] = [122.771, 116.746, 104.094];
/// Their standard deviation.
const CLIP_STD: [f32; 3] = [68.501, 66.632, 70.323];

/// An image at the model's size.
pub(super) struct Prepared {
    /// Normalized: `[3, height, width]`.
    pub(super) pixels: Vec<f32>,
    pub(super) layout: Layout,
    pub(super) time: Duration,
}

/// The encoded class list of a call, and how scores become labels.
#[derive(Clone)]
pub(super) struct EncodedClasses {
    pub(super) text_features: Arc<Tensor<2>>,
    /// Subtracted from the score of each scored class.
    pub(super) bias: Vec<f32>,
    /// The first of the scored classes, which results name.
    pub(super) listed: usize,
    pub(super) background: Vec<ClassIndex>,
    pub(super) min_score: Option<f32>,
    pub(super) scores: bool,
    /// The class of each row of the text features.
    pub(super) class_of_row: Vec<u16>,
    /// A class of the list that is less present has no pixels.
    pub(super) min_presence: Option<f32>,
}

impl EncodedClasses {
    /// The list with some of its classes, and the rows of the text features that they have.
    fn only(&self, kept: &[u16]) -> (Self, Vec<i64>) {
        let place = |class: &u16| {
            kept.binary_search(class)
                .ok()
                .and_then(|place| u16::try_from(place).ok())
        };
        let rows = (0..).zip(&self.class_of_row);
        let kept_rows: Vec<(i64, u16)> = rows.filter_map(|(row, class)| Some((row, place(class)?))).collect();
        let classes = kept.iter().map(|class| usize::from(*class));
        let background = self
            .background
            .iter()
            .filter_map(|class| ClassIndex::new(place(&class.get())?));
        let only = Self {
            bias: classes
                .clone()
                .filter_map(|class| self.bias.get(class).copied())
                .collect(),
            listed: classes.filter(|class| *class < self.listed).count(),
            background: background.collect(),
            class_of_row: kept_rows.iter().map(|(_, class)| *class).collect(),
            ..self.clone()
        };
        (only, kept_rows.into_iter().map(|(row, _)| row).collect())
    }
}

impl Segmenter {
    pub(super) fn encode_classes(
        &self,
        classes: &Vocabulary,
        options: &SegmentOptions,
    ) -> Result<EncodedClasses, Error> {
        options.check()?;
        let scored = options.scored_classes(classes)?;
        let background = options.background_classes().iter();
        Ok(EncodedClasses {
            text_features: self.text_features(&scored)?,
            bias: self.seen_class_bias(&scored, options),
            listed: classes.len(),
            background: background.filter_map(|name| scored.find(first_name(name))).collect(),
            min_score: options.min_score(),
            scores: options.keeps_scores(),
            class_of_row: (0..)
                .zip(scored.classes())
                .flat_map(|(index, class)| {
                    let rows = if self.text.by_name { class.names().count() } else { 1 };
                    std::iter::repeat_n(index, rows)
                })
                .collect(),
            min_presence: options.min_presence(),
        })
    }

    /// What is subtracted from the score of each class.
    pub(super) fn seen_class_bias(&self, classes: &Vocabulary, options: &SegmentOptions) -> Vec<f32> {
        let trained = match self.setting {
            None | Some(TrainingSetting::Inductive) => SEEN_CLASS_BIAS,
            Some(_) => 0.0,
        };
        let bias = match self.model {
            Model::ZegClip { .. } => options.seen_class_bias().unwrap_or(trained),
            Model::Dense(_) => 0.0,
        };
        let flags = classes.seen().flags();
        flags.map(|seen| if seen { bias } else { 0.0 }).collect()
    }

    /// Where the windows of an image are, and its size in the model.
    pub(super) fn layout(&self, image: &RgbImage) -> Result<Layout, Error> {
        let Sizes {
            short_side,
            max_long_side,
            ..
        } = self.sizes;
        let (width, height) = test_size(image.width(), image.height(), short_side as u32);
        let longest = u32::try_from(max_long_side).unwrap_or(u32::MAX);
        let (width, height) = match width.max(height) > longest {
            true => size_of_long_side(image.width(), image.height(), longest),
            false => (width, height),
        };
        let limits = ImageLimits::default();
        limits.check(image.dimensions(), "the image")?;
        // An image of one row would become a strip of millions of columns.
        if width.max(height) > limits.max_side {
            return Err(Error::Proportions {
                size: image.dimensions(),
                short: width.min(height),
                long: width.max(height),
                limit: limits.max_side,
            });
        }
        limits.check((width, height), "the image at the model's size")?;
        let resized = [height as usize, width as usize];
        Ok(Layout {
            resized,
            output: [image.height() as usize, image.width() as usize],
            windows: self.windows(resized),
            colors: None,
        })
    }

    /// Windows over a resized image of `[height, width]` pixels.
    pub(super) fn windows(&self, resized: [usize; 2]) -> Vec<Window> {
        let [height, width] = resized;
        match self.sizes.windows {
            Some(SlidingWindow { side, stride }) => windows(height, width, side, stride),
            None => vec![Window {
                top: 0,
                left: 0,
                height,
                width,
            }],
        }
    }

    pub(super) fn prepare(&self, image: &RgbImage) -> Result<Prepared, Error> {
        let mut layout = self.layout(image)?;
        // Before their pages are read: those of a file that became shorter are gone.
        self.require_unchanged_weights()?;
        let started = Instant::now();
        let [height, width] = layout.resized.map(|length| length as u32);
        let resized = resize_bilinear(image, width, height);
        let protocol = self.protocol();
        let pixels = match protocol.map(|protocol| protocol.statistics) {
            Some(ImageStatistics::Clip) => normalize_with(&resized, CLIP_MEAN, CLIP_STD),
            Some(ImageStatistics::ImageNet) | None => normalize(&resized),
        };
        if protocol.is_some_and(|protocol| protocol.pamr.is_some()) {
            layout.colors = Some(pixels.as_slice().into());
        }
        Ok(Prepared {
            pixels,
            layout,
            time: started.elapsed(),
        })
    }

    /// Runs work on the device. burn reports a GPU that is lost, and much of what a driver refuses, by a panic.
    pub(super) fn guarded<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        if !self.device.gpu {
            return work();
        }
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(Error::execution(text.unwrap_or("it says nothing about the cause")))
        })
    }

    /// Windows `[windows, 3, rows, columns]` of normalized images `[3, height, width]`.
    pub(super) fn cut(&self, cuts: &[(&[f32], [usize; 2], Window)]) -> Tensor<4> {
        #[cfg(test)]
        tests::fail_if_lost(self.id);
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
    pub(super) fn masks(&self, features: Features, text_features: &Tensor<2>) -> Result<Tensor<4>, Error> {
        Ok(self
            .model
            .decode(features, text_features.clone())?
            .cast(FloatDType::F32))
    }

    /// Labels from the masks `[windows, classes, height, width]` of one batch of windows after the other.
    pub(super) fn labels(
        &self,
        masks: Vec<Tensor<4>>,
        layout: &Layout,
        encoded: &EncodedClasses,
        mut timings: Timings,
    ) -> Result<Segmentation, Error> {
        let Some(minimum) = encoded.min_presence else {
            return self.labels_of_masks(masks, layout, encoded, timings);
        };
        let started = Instant::now();
        let mut presence = Presence::default();
        for masks in &masks {
            presence.add(masks, self.model.patch_scores())?;
        }
        let presence = presence.of_classes(&encoded.class_of_row);
        let kept: Vec<u16> = (0..)
            .zip(&presence)
            .filter(|(class, presence)| **presence >= minimum || self.is_background(*class, encoded))
            .map(|(class, _)| class)
            .collect();
        timings.model += started.elapsed();
        let mut result = if kept.is_empty() {
            nothing(layout, encoded, timings)
        } else {
            let (present, rows) = encoded.only(&kept);
            let rows = Tensor::<1, Int>::from_data(TensorData::new(rows.clone(), [rows.len()]), &self.device.device);
            let masks = masks.into_iter().map(|masks| masks.select(1, rows.clone()));
            self.labels_of_masks(masks.collect(), layout, &present, timings)?
        };
        result.labels = result
            .labels
            .map(|class| kept.get(class.index()).copied().and_then(ClassIndex::new));
        if let Some(scores) = &mut result.scores {
            *scores = at_their_classes(scores, &kept, encoded.listed, self.lowest_score(), layout.output);
        }
        result.classes = encoded.listed;
        result.presence = Some(ClassPresence {
            minimum,
            of_classes: presence.into_iter().take(encoded.listed).collect(),
        });
        Ok(result)
    }

    /// Whether a class stands for everything else, so that it is never absent.
    fn is_background(&self, class: u16, encoded: &EncodedClasses) -> bool {
        let of_protocol = |protocol: &DenseProtocol| protocol.min_probability.is_some() || protocol.min_area.is_some();
        let first = class == 0 && self.protocol().is_some_and(of_protocol);
        first || encoded.background.iter().any(|background| background.get() == class)
    }

    /// The score of a class that is not in the image.
    fn lowest_score(&self) -> f32 {
        match self.model {
            Model::ZegClip { .. } => -1.0,
            Model::Dense(_) => 0.0,
        }
    }

    fn labels_of_masks(
        &self,
        masks: Vec<Tensor<4>>,
        layout: &Layout,
        encoded: &EncodedClasses,
        mut timings: Timings,
    ) -> Result<Segmentation, Error> {
        if let Model::Dense(dense) = &self.model {
            return self.labels_of_names(dense, masks, layout, encoded, timings);
        }
        let decoding = MaskDecoding {
            resized: layout.resized,
            output: layout.output,
            activation: self.model.mask_activation(),
            seen_class_bias: &encoded.bias,
            min_score: encoded.min_score,
            scores: encoded.scores,
        };
        let started = Instant::now();
        let (decoded, decoding_started) = if self.device.gpu && decoding.fits_device() {
            self.device.device.sync().map_err(Error::execution)?;
            timings.model += started.elapsed();
            let started = Instant::now();
            let masks = Tensor::cat(masks, 0);
            // The sum of finite masks is finite, and one number travels.
            if !masks
                .clone()
                .sum()
                .try_into_scalar::<f32>()
                .map_err(Error::execution)?
                .is_finite()
            {
                return Err(Error::NotFinite);
            }
            let labels = decode_on_gpu(masks, &layout.windows, &decoding)?;
            (Decoded { labels, scores: None }, started)
        } else {
            let masks = read_masks(masks, &layout.windows)?;
            timings.model += started.elapsed();
            let started = Instant::now();
            (decode(&masks, &decoding)?, started)
        };
        timings.decoding = decoding_started.elapsed();
        self.require_unchanged_weights()?;
        Ok(finished(decoded, layout, encoded, timings))
    }

    /// As [`labels`](Self::labels) from the cosines `[windows, names, height, width]` of a method on plain CLIP.
    fn labels_of_names(
        &self,
        dense: &DenseModel,
        cosines: Vec<Tensor<4>>,
        layout: &Layout,
        encoded: &EncodedClasses,
        mut timings: Timings,
    ) -> Result<Segmentation, Error> {
        let protocol = &dense.protocol;
        let started = Instant::now();
        let masks = read_masks(cosines, &layout.windows)?;
        timings.model += started.elapsed();
        let started = Instant::now();
        let at_once = protocol.windows.is_none() && !protocol.resized_twice;
        let windows: Vec<WindowCosines> = masks
            .into_iter()
            .map(|masks| {
                if at_once {
                    let size = layout.output;
                    return WindowCosines::unpadded(WindowMasks { size, ..masks });
                }
                let padded = dense.padded(masks.size);
                WindowCosines {
                    masks,
                    spanned: padded.spanned,
                    offset: padded.offset,
                }
            })
            .collect();
        let min_probability = protocol.min_probability.map(|minimum| minimum as f32);
        let decoding = NameDecoding {
            resized: if at_once { layout.output } else { layout.resized },
            output: layout.output,
            class_of_name: &encoded.class_of_row,
            logit_scale: protocol.logit_scale as f32,
            softmax: protocol.softmax,
            min_probability: encoded.min_score.or(min_probability),
            min_area: protocol.min_area.map(|share| share as f32),
            below: if min_probability.is_some() { 0 } else { NO_CLASS },
            planes: if encoded.scores {
                NamePlanes::Probabilities
            } else {
                NamePlanes::None
            },
        };
        let decoded = match (&protocol.pamr, &layout.colors) {
            (Some(pamr), Some(colors)) => {
                let refined = self.refine(pamr, colors, &windows, layout, &decoding)?;
                let decoding = NameDecoding {
                    resized: layout.output,
                    ..decoding
                };
                decode_names(&[refined], &decoding)
            }
            _ => decode_names(&windows, &decoding),
        };
        let [height, width] = layout.output.map(|length| length as u32);
        let decoded = Decoded {
            labels: LabelMap::from_raw(width, height, decoded.labels)?,
            scores: decoded.scores,
        };
        timings.decoding = started.elapsed();
        self.require_unchanged_weights()?;
        Ok(finished(decoded, layout, encoded, timings))
    }

    /// Mean cosines at the image's own size, refined by its colors.
    fn refine(
        &self,
        pamr: &Pamr,
        colors: &[f32],
        windows: &[WindowCosines],
        layout: &Layout,
        decoding: &NameDecoding<'_>,
    ) -> Result<WindowCosines, Error> {
        let planes = NameDecoding {
            planes: NamePlanes::Cosines,
            min_area: None,
            ..*decoding
        };
        let scores = decode_names(windows, &planes).scores.unwrap_or_default();
        let device = &self.device.device;
        let ([height, width], [rows, columns]) = (layout.output, layout.resized);
        let names = decoding.class_of_name.len();
        let scores = Tensor::<4>::from_data(TensorData::new(scores, [1, names, height, width]), device);
        let image = Tensor::<4>::from_data(TensorData::new(colors.to_vec(), [1, 3, rows, columns]), device);
        let refined = on_worker(|| {
            let refined = pamr.refine(resize_tensor(image, layout.output), scores);
            refined.permute([0, 2, 3, 1]).try_into_data()
        });
        Ok(WindowCosines::unpadded(WindowMasks {
            origin: [0, 0],
            size: layout.output,
            grid: layout.output,
            values: refined.map_err(Error::execution)?.iter::<f32>().collect(),
        }))
    }
}

/// The result of an image, in which pixels of background classes have no class.
fn finished(mut decoded: Decoded, layout: &Layout, encoded: &EncodedClasses, timings: Timings) -> Segmentation {
    if !encoded.background.is_empty() {
        let background = &encoded.background;
        decoded.labels = decoded
            .labels
            .map(|class| (!background.contains(&class)).then_some(class));
    }
    if let Some(scores) = &mut decoded.scores {
        let [height, width] = layout.output;
        scores.truncate(encoded.listed * height * width);
    }
    Segmentation {
        labels: decoded.labels,
        scores: decoded.scores,
        windows: layout.windows.len(),
        timings,
        classes: encoded.listed,
        presence: None,
    }
}

/// The result of an image in which no class is present.
fn nothing(layout: &Layout, encoded: &EncodedClasses, timings: Timings) -> Segmentation {
    let [height, width] = layout.output.map(|length| length as u32);
    let decoded = Decoded {
        labels: LabelMap::filled(width, height, None),
        scores: encoded.scores.then(Vec::new),
    };
    finished(decoded, layout, encoded, timings)
}

/// Scores `[kept, height, width]` at the places of their classes: `[listed, height, width]`.
fn at_their_classes(scores: &[f32], kept: &[u16], listed: usize, absent: f32, [height, width]: [usize; 2]) -> Vec<f32> {
    let pixels = height * width;
    let mut all = vec![absent; listed * pixels];
    for (class, plane) in kept.iter().zip(scores.chunks_exact(pixels.max(1))) {
        let first = usize::from(*class) * pixels;
        if let Some(place) = all.get_mut(first..first + pixels) {
            place.copy_from_slice(plane);
        }
    }
    all
}

/// The size `(width, height)` of an image whose long side becomes `long_side`, rounded as mmcv does.
fn size_of_long_side(width: u32, height: u32, long_side: u32) -> (u32, u32) {
    let scale = f64::from(long_side) / f64::from(width.max(height).max(1));
    let round = |side: u32| ((f64::from(side) * scale + 0.5) as u32).max(1);
    (round(width), round(height))
}

/// Masks `[windows, classes, height, width]` off their device.
pub(super) fn read_masks(masks: Vec<Tensor<4>>, windows: &[Window]) -> Result<Vec<WindowMasks>, Error> {
    let mut read = Vec::with_capacity(windows.len());
    let mut windows = windows.iter();
    for masks in masks {
        let [_, classes, rows, columns] = masks.dims();
        let data = masks.permute([0, 2, 3, 1]).try_into_data().map_err(Error::execution)?;
        let values: Vec<f32> = data.iter::<f32>().collect();
        if !values.iter().all(|value| value.is_finite()) {
            return Err(Error::NotFinite);
        }
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

fn cut(pixels: &[f32], size: [usize; 2], window: &Window, into: &mut Vec<f32>) {
    for channel in 0..3 {
        for row in window.top..window.top + window.height {
            let start = (channel * size[0] + row) * size[1] + window.left;
            into.extend_from_slice(&pixels[start..start + window.width]);
        }
    }
}

/// The name by which a class of synonyms `a|b` is found.
fn first_name(class: &str) -> &str {
    class.split('|').next().unwrap_or(class).trim()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use burn::tensor::Device;

    use super::*;

    /// The segmenter whose device is lost.
    static LOST: AtomicU64 = AtomicU64::new(u64::MAX);

    pub(super) fn fail_if_lost(segmenter: u64) {
        assert_ne!(LOST.load(Ordering::Relaxed), segmenter, "parent device is lost");
    }

    #[cfg(feature = "demo")]
    #[test]
    fn a_device_that_is_lost_is_an_error_of_every_call() {
        let mut segmenter = Segmenter::demo("cpu").unwrap();
        let (image, classes) = (RgbImage::new(48, 48), Vocabulary::from_names("cat, grass").unwrap());
        segmenter.segment(&image, &classes).unwrap();
        // What is caught is what a driver does, not a mistake of this program.
        segmenter.device.gpu = true;
        LOST.store(segmenter.id, Ordering::Relaxed);
        let pixels = vec![0.0; 3 * 48 * 48];
        let features = segmenter.text_features(&classes).unwrap();
        let failed = [
            segmenter.segment(&image, &classes).map(|_| ()),
            segmenter
                .segment_batch(&[image.clone(), image.clone()], &classes)
                .map(|_| ()),
            segmenter.encode(&image).map(|_| ()),
            segmenter.window_masks(&pixels, [48, 48], &features).map(|_| ()),
        ];
        for result in failed {
            let error = result.unwrap_err();
            assert!(
                matches!(&error, Error::Execution { reason } if reason.contains("parent device is lost")),
                "{error}"
            );
        }
        LOST.store(u64::MAX, Ordering::Relaxed);
        segmenter.segment(&image, &classes).unwrap();
    }

    #[test]
    fn masks_that_are_not_finite_are_refused() {
        let window = Window {
            top: 0,
            left: 0,
            height: 32,
            width: 32,
        };
        let masks = |value: f32| Tensor::<4>::full([1, 3, 2, 2], value, &Device::flex());
        assert!(read_masks(vec![masks(0.5)], &[window]).is_ok());
        for value in [f32::NAN, f32::INFINITY] {
            let error = read_masks(vec![masks(value)], &[window]).unwrap_err();
            assert!(matches!(error, Error::NotFinite), "{error}");
        }
    }
}
