//! Labels over an image.

use image::{Rgb, RgbImage};

use super::{
    canvas::mix,
    legend::{enlargement, with_legend},
};
use crate::{ClassIndex, DataError, LabelMap, Vocabulary, palette::Color, resize_bilinear, resize_labels_nearest};

/// Opacity of class colors in overlays, in `[0, 1]`.
pub const DEFAULT_OPACITY: f32 = 0.6;

/// Color of outlines between classes, which is visible on all colors of the palettes.
const OUTLINE: Color = [255, 255, 255];
const OUTLINE_OPACITY: f32 = 0.85;
/// Outlines are one pixel wide for a shorter side below this, two below twice this, and so on.
const OUTLINE_SIDE: u32 = 900;
/// Color of ignored pixels without an image.
const IGNORED: Color = [255, 255, 255];

/// The image with its classes in color and outlined, and a [legend](with_legend) of those that occur.
///
/// `image` is `[height, width, 3]`, `labels` `[height, width]`, `opacity` that of the class colors in `[0, 1]`. The result is
/// larger than the image: the legend is added, and images with a shorter side below 256 pixels are enlarged by an
/// integer factor.
///
/// # Errors
/// [`DataError::OverlaySize`] unless image and labels have the same size.
pub fn overlay(
    image: &RgbImage,
    labels: &LabelMap,
    vocabulary: &Vocabulary,
    opacity: f32,
) -> Result<RgbImage, DataError> {
    let factor = enlargement(image.width(), image.height());
    if factor == 1 || image.dimensions() != labels.dimensions() {
        return Ok(with_legend(
            &blend(image, labels, vocabulary, opacity)?,
            labels,
            vocabulary,
        ));
    }
    // Enlarged first, so that outlines stay thin.
    let (width, height) = (image.width() * factor, image.height() * factor);
    let (image, labels) = (
        resize_bilinear(image, width, height),
        resize_labels_nearest(labels, width, height),
    );
    Ok(with_legend(
        &blend(&image, &labels, vocabulary, opacity)?,
        &labels,
        vocabulary,
    ))
}

/// As [`overlay`] without legend and enlargement: `[height, width, 3]` of the image. Ignored pixels keep their color.
///
/// `opacity` is clamped to `[0, 1]`; one that is not finite counts as [`DEFAULT_OPACITY`].
///
/// # Errors
/// [`DataError::OverlaySize`] unless image and labels have the same size.
pub fn blend(
    image: &RgbImage,
    labels: &LabelMap,
    vocabulary: &Vocabulary,
    opacity: f32,
) -> Result<RgbImage, DataError> {
    if image.dimensions() != labels.dimensions() {
        return Err(DataError::OverlaySize {
            image: image.dimensions(),
            labels: labels.dimensions(),
        });
    }
    let opacity = if opacity.is_finite() {
        opacity.clamp(0.0, 1.0)
    } else {
        DEFAULT_OPACITY
    };
    let palette = vocabulary.palette();
    let mut blended = image.clone();
    for (pixel, &label) in blended.pixels_mut().zip(labels.as_raw()) {
        if let Some(&color) = palette.get(usize::from(label)) {
            *pixel = Rgb(mix(pixel.0, color, opacity));
        }
    }
    outline(&mut blended, labels);
    Ok(blended)
}

/// The labels in the colors of their classes, ignored pixels in white: `[height, width, 3]`.
pub fn colorize(labels: &LabelMap, vocabulary: &Vocabulary) -> RgbImage {
    let palette = vocabulary.palette();
    let color = |class: ClassIndex| palette.get(class.index()).copied();
    RgbImage::from_fn(labels.width(), labels.height(), |x, y| {
        Rgb(labels.get(x, y).and_then(color).unwrap_or(IGNORED))
    })
}

/// Draws outlines between labels: pixels whose label differs `thickness` pixels to the right or below.
fn outline(image: &mut RgbImage, labels: &LabelMap) {
    let (width, height) = labels.dimensions();
    let thickness = (width.min(height) / OUTLINE_SIDE + 1) as usize;
    let rows = labels.rows().collect::<Vec<_>>();
    for (y, row) in rows.iter().enumerate() {
        let below = rows.get(y + thickness).copied().unwrap_or(row);
        for (x, label) in row.iter().enumerate() {
            let right = row.get(x + thickness).unwrap_or(label);
            if (right != label || below.get(x) != Some(label))
                && let Some(pixel) = image.get_pixel_mut_checked(x as u32, y as u32)
            {
                *pixel = Rgb(mix(pixel.0, OUTLINE, OUTLINE_OPACITY));
            }
        }
    }
}
