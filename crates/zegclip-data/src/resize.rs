//! From an image to what the image encoder sees: resize, then normalize.

use image::RgbImage;
use rayon::prelude::*;

use crate::LabelMap;

/// The short side of an image at test time in the published configurations.
pub const TEST_SHORT_SIDE: u32 = 512;
/// Mean of ImageNet's red, green and blue, on 0 to 255: what the release normalizes with (not CLIP's own values).
pub const IMAGENET_MEAN: [f32; 3] = [123.675, 116.28, 103.53];
/// Standard deviation of ImageNet's red, green and blue, on 0 to 255.
pub const IMAGENET_STD: [f32; 3] = [58.395, 57.12, 57.375];

/// The size `(width, height)` of an image at test time: its short side becomes `short_side`, the aspect ratio stays,
/// however long the other side gets: an image one pixel high needs [`ImageLimits::check`](crate::ImageLimits::check)
/// on the result.
///
/// Computed and rounded as mmcv's `imrescale` does. A side without pixels stays so.
pub fn test_size(width: u32, height: u32, short_side: u32) -> (u32, u32) {
    if width == 0 || height == 0 {
        return (width, height);
    }
    let (long, short) = (f64::from(width.max(height)), f64::from(width.min(height)));
    let target = f64::from(short_side);
    // The long side goes through a product and back: the rounding error decides where the result is close to ½.
    let scale = (target * long / short / long).min(target / short);
    let round = |side: u32| (f64::from(side) * scale + 0.5) as u32;
    (round(width).max(1), round(height).max(1))
}

/// Bits of a weight in OpenCV's fixed-point interpolation.
const WEIGHT_BITS: u32 = 11;
const WEIGHT_ONE: f32 = (1 << WEIGHT_BITS) as f32;
/// Output rows that one task makes: neighbors share their source rows.
const ROWS_PER_TASK: usize = 32;
const CHANNELS: usize = 3;

/// Resizes bilinearly to `width × height`, bit-exactly as OpenCV's `resize` with `INTER_LINEAR` on 8 bits: pixel
/// centers at ½, borders repeated, no smoothing when the image shrinks, weights of 11 bits.
///
/// An image without pixels gives a black one.
pub fn resize_bilinear(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    if image.dimensions() == (width, height) {
        return image.clone();
    }
    let mut resized = RgbImage::new(width, height);
    let row_length = width as usize * CHANNELS;
    if image.is_empty() || row_length == 0 {
        return resized;
    }
    let columns = taps(image.width(), width)
        .into_iter()
        .map(Tap::clamped)
        .collect::<Vec<_>>();
    let rows = taps(image.height(), height);
    let source = image
        .as_raw()
        .chunks_exact(image.width() as usize * CHANNELS)
        .collect::<Vec<_>>();
    let tasks = resized
        .par_chunks_mut(row_length * ROWS_PER_TASK)
        .zip(rows.par_chunks(ROWS_PER_TASK));
    tasks.for_each(|(output, rows)| interpolate(output, rows, &columns, &source));
    resized
}

/// Fills consecutive output rows, `output` `[rows, columns, 3]`, from the source rows of the image.
pub(crate) fn interpolate(output: &mut [u8], rows: &[Tap], columns: &[Tap], source: &[&[u8]]) {
    let row_length = columns.len() * CHANNELS;
    let mut upper = Stretched::new(row_length);
    let mut lower = Stretched::new(row_length);
    for (output, tap) in output.chunks_exact_mut(row_length.max(1)).zip(rows) {
        if lower.row == Some(tap.first) {
            std::mem::swap(&mut upper, &mut lower);
        }
        upper.fill(tap.first, source, columns);
        lower.fill(tap.second, source, columns);
        for ((pixel, upper), lower) in output.iter_mut().zip(&upper.values).zip(&lower.values) {
            // 4 + 16 + 2 = 2 · 11 bits go, in OpenCV's order of rounding.
            let upper = (tap.weights[0] * (upper >> 4)) >> 16;
            let lower = (tap.weights[1] * (lower >> 4)) >> 16;
            *pixel = ((upper + lower + 2) >> 2).clamp(0, 255) as u8;
        }
    }
}

/// Where an output position reads: two neighboring source positions and their weights, which sum to 2¹¹ ± 1.
#[derive(Clone, Copy)]
pub(crate) struct Tap {
    first: usize,
    second: usize,
    weights: [i32; 2],
    /// Whether the center lies beyond the center of the first or last source pixel.
    outside: bool,
}

impl Tap {
    /// OpenCV gives all weight to the border pixel in rows, while columns keep two weights on it.
    pub(crate) fn clamped(self) -> Self {
        if self.outside {
            Self {
                second: self.first,
                weights: [1 << WEIGHT_BITS, 0],
                ..self
            }
        } else {
            self
        }
    }
}

/// The taps of each of `target` output positions along a side of `source` pixels.
pub(crate) fn taps(source: u32, target: u32) -> Vec<Tap> {
    let scale = f64::from(source) / f64::from(target);
    let last = i64::from(source) - 1;
    let tap = |position: u32| {
        let center = ((f64::from(position) + 0.5) * scale - 0.5) as f32;
        let first = center.floor();
        let fraction = center - first;
        let first = first as i64;
        let weights = [1.0 - fraction, fraction].map(|weight| (weight * WEIGHT_ONE).round_ties_even() as i32);
        let clamp = |position: i64| position.clamp(0, last) as usize;
        Tap {
            first: clamp(first),
            second: clamp(first + 1),
            weights,
            outside: first < 0 || first >= last,
        }
    };
    (0..target).map(tap).collect()
}

/// One source row stretched to the output's width, in units of 2⁻¹¹.
struct Stretched {
    row: Option<usize>,
    values: Vec<i32>,
}

impl Stretched {
    fn new(length: usize) -> Self {
        Self {
            row: None,
            values: vec![0; length],
        }
    }

    fn fill(&mut self, row: usize, source: &[&[u8]], columns: &[Tap]) {
        if self.row == Some(row) {
            return;
        }
        self.row = Some(row);
        let (pixels, _) = source.get(row).copied().unwrap_or_default().as_chunks::<CHANNELS>();
        let (values, _) = self.values.as_chunks_mut::<CHANNELS>();
        for (value, tap) in values.iter_mut().zip(columns) {
            let (Some(first), Some(second)) = (pixels.get(tap.first), pixels.get(tap.second)) else {
                continue;
            };
            for ((value, &first), &second) in value.iter_mut().zip(first).zip(second) {
                *value = i32::from(first) * tap.weights[0] + i32::from(second) * tap.weights[1];
            }
        }
    }
}

/// Resizes labels by taking the nearest one, as OpenCV's `INTER_NEAREST`: labels are never mixed.
pub fn resize_labels_nearest(labels: &LabelMap, width: u32, height: u32) -> LabelMap {
    if labels.dimensions() == (width, height) {
        return labels.clone();
    }
    // OpenCV inverts the ratio twice; its rounding decides at exact multiples.
    let scale = |source: u32, target: u32| 1.0 / (f64::from(target) / f64::from(source));
    let nearest =
        |position: u32, scale: f64, source: u32| ((f64::from(position) * scale) as u32).min(source.saturating_sub(1));
    let (scale_x, scale_y) = (scale(labels.width(), width), scale(labels.height(), height));
    LabelMap::from_fn(width, height, |x, y| {
        labels.get(
            nearest(x, scale_x, labels.width()),
            nearest(y, scale_y, labels.height()),
        )
    })
}

/// `(x − mean) / std` of each channel with ImageNet's numbers, `[3, height, width]`.
pub fn normalize(image: &RgbImage) -> Vec<f32> {
    normalize_with(image, IMAGENET_MEAN, IMAGENET_STD)
}

/// `(x − mean) / std` of each channel, `[3, height, width]`; mean and std on 0 to 255.
pub fn normalize_with(image: &RgbImage, mean: [f32; 3], std: [f32; 3]) -> Vec<f32> {
    let (pixels, _) = image.as_raw().as_chunks::<CHANNELS>();
    let mut normalized = Vec::with_capacity(image.as_raw().len());
    for ((channel, mean), std) in (0..CHANNELS).zip(mean).zip(std) {
        // Multiplied by the rounded inverse, as mmcv does.
        let inverse = (1.0 / f64::from(std)) as f32;
        let values = std::array::from_fn::<f32, 256, _>(|value| (value as f32 - mean) * inverse);
        let value = |pixel: &[u8; CHANNELS]| {
            pixel
                .get(channel)
                .and_then(|&value| values.get(usize::from(value)))
                .copied()
        };
        normalized.extend(pixels.iter().filter_map(value));
    }
    normalized
}
