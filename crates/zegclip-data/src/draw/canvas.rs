//! Filled rectangles and pasted images, clipped to the canvas.

use image::{Rgb, RgbImage};

use crate::palette::Color;

/// Color of the canvas.
pub(super) const BACKGROUND: Color = [255, 255, 255];
/// Color of text and thin lines.
pub(super) const INK: Color = [33, 37, 41];
/// Color of secondary text.
pub(super) const FAINT_INK: Color = [108, 117, 125];
/// Color of separating lines.
pub(super) const RULE: Color = [222, 226, 230];

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// An empty canvas.
pub(super) fn canvas(width: u32, height: u32) -> RgbImage {
    RgbImage::from_pixel(width, height, Rgb(BACKGROUND))
}

/// Fills a rectangle.
pub(super) fn fill(image: &mut RgbImage, rect: Rect, color: Color) {
    let right = rect.x.saturating_add(rect.width).min(image.width());
    let bottom = rect.y.saturating_add(rect.height).min(image.height());
    for y in rect.y.min(bottom)..bottom {
        for x in rect.x.min(right)..right {
            image.put_pixel(x, y, Rgb(color));
        }
    }
}

/// Fills a rectangle and draws its border of `thickness` pixels inside it.
pub(super) fn fill_bordered(image: &mut RgbImage, rect: Rect, color: Color, border: Color, thickness: u32) {
    fill(image, rect, border);
    let inner = Rect {
        x: rect.x + thickness,
        y: rect.y + thickness,
        width: rect.width.saturating_sub(2 * thickness),
        height: rect.height.saturating_sub(2 * thickness),
    };
    fill(image, inner, color);
}

/// Copies `source` with its top left corner to `(x, y)`.
pub(super) fn paste(image: &mut RgbImage, source: &RgbImage, x: u32, y: u32) {
    image::imageops::replace(image, source, x.into(), y.into());
}

/// Alpha blending: `opacity · over + (1 − opacity) · under`, with `opacity` in `[0, 1]`.
pub(super) fn mix(under: Color, over: Color, opacity: f32) -> Color {
    let mut mixed = under;
    for (under, over) in mixed.iter_mut().zip(over) {
        *under = (f32::from(*under) + opacity * (f32::from(over) - f32::from(*under))).round() as u8;
    }
    mixed
}
