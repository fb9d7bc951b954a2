//! Labels over a photo.

use image::{Rgb, RgbImage};

use super::{
    canvas::mix,
    legend::{enlargement, with_legend},
};
use crate::{ClassIndex, DataError, LabelMap, Vocabulary, palette::Color, resize_bilinear, resize_labels_nearest};

/// How much of a class's colour covers the photo unless asked otherwise.
pub const DEFAULT_OPACITY: f32 = 0.6;

/// The outline between classes, light enough to be seen on any colour of the palettes.
const OUTLINE: Color = [255, 255, 255];
const OUTLINE_OPACITY: f32 = 0.85;
/// Outlines are one pixel wide up to this short side, two up to twice of it …
const OUTLINE_SIDE: u32 = 900;
/// Colour of ignored pixels where there is no photo.
const IGNORED: Color = [255, 255, 255];

/// The photo with its classes in colour, outlined, and a legend of those that occur.
///
/// Small photos are enlarged by a whole factor, so the result is larger than the photo for two reasons.
///
/// # Errors
/// [`DataError::OverlaySize`] unless photo and labels are of the same size.
pub fn overlay(
    photo: &RgbImage,
    labels: &LabelMap,
    vocabulary: &Vocabulary,
    opacity: f32,
) -> Result<RgbImage, DataError> {
    let factor = enlargement(photo.width(), photo.height());
    if factor == 1 || photo.dimensions() != labels.dimensions() {
        return Ok(with_legend(
            &blend(photo, labels, vocabulary, opacity)?,
            labels,
            vocabulary,
        ));
    }
    // Enlarged first, so that outlines stay thin.
    let (width, height) = (photo.width() * factor, photo.height() * factor);
    let (photo, labels) = (
        resize_bilinear(photo, width, height),
        resize_labels_nearest(labels, width, height),
    );
    Ok(with_legend(
        &blend(&photo, &labels, vocabulary, opacity)?,
        &labels,
        vocabulary,
    ))
}

/// As [`overlay`] without legend, `[height, width, 3]` of the photo. Ignored pixels stay as they are.
///
/// # Errors
/// [`DataError::OverlaySize`] unless photo and labels are of the same size.
pub fn blend(
    photo: &RgbImage,
    labels: &LabelMap,
    vocabulary: &Vocabulary,
    opacity: f32,
) -> Result<RgbImage, DataError> {
    if photo.dimensions() != labels.dimensions() {
        return Err(DataError::OverlaySize {
            photo: photo.dimensions(),
            labels: labels.dimensions(),
        });
    }
    let opacity = if opacity.is_finite() {
        opacity.clamp(0.0, 1.0)
    } else {
        DEFAULT_OPACITY
    };
    let palette = vocabulary.palette();
    let mut blended = photo.clone();
    for (pixel, &label) in blended.pixels_mut().zip(labels.as_raw()) {
        if let Some(&color) = palette.get(usize::from(label)) {
            *pixel = Rgb(mix(pixel.0, color, opacity));
        }
    }
    outline(&mut blended, labels);
    Ok(blended)
}

/// The labels alone in their colours, ignored pixels white, `[height, width, 3]`.
pub fn colorize(labels: &LabelMap, vocabulary: &Vocabulary) -> RgbImage {
    let palette = vocabulary.palette();
    let color = |class: ClassIndex| palette.get(class.index()).copied();
    RgbImage::from_fn(labels.width(), labels.height(), |x, y| {
        Rgb(labels.get(x, y).and_then(color).unwrap_or(IGNORED))
    })
}

/// Draws the borders between labels: pixels that differ from the one `thickness` to the right or below.
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
