//! Images side by side under their titles.

use image::RgbImage;

use super::{
    canvas::{INK, canvas, paste},
    text::Text,
};
use crate::resize_bilinear;

/// Images side by side, each under its centered title, all scaled to the height of the first.
///
/// The result is one line of text higher than the first image; without images it is 1×1 pixel.
pub fn side_by_side(panels: &[(&str, &RgbImage)]) -> RgbImage {
    let Some((_, first)) = panels.first() else {
        return canvas(1, 1);
    };
    let height = first.height().max(1);
    let text = Text::for_image(first.width(), height);
    let gap = text.height / 2;
    let images = panels.iter().map(|(title, image)| {
        let scaled = f64::from(image.width()) * f64::from(height) / f64::from(image.height().max(1));
        (title, resize_bilinear(image, scaled.round().max(1.0) as u32, height))
    });
    let images = images.collect::<Vec<_>>();
    let width = images.iter().map(|(_, image)| image.width() + gap).sum::<u32>() - gap;
    let top = text.height + gap;
    let mut drawing = canvas(width, top + height);
    let mut x = 0;
    for (title, image) in &images {
        let title = text.shortened(title, image.width());
        let indent = image.width().saturating_sub(text.width(&title)) / 2;
        text.draw(&mut drawing, x + indent, gap / 2, &title, INK);
        paste(&mut drawing, image, x, top);
        x += image.width() + gap;
    }
    drawing
}
