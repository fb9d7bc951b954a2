//! Pictures side by side under their titles.

use image::RgbImage;

use super::{
    canvas::{INK, paste, sheet},
    text::Text,
};
use crate::resize_bilinear;

/// Puts pictures side by side, each under its title, all as high as the first.
pub fn side_by_side(panels: &[(&str, &RgbImage)]) -> RgbImage {
    let Some((_, first)) = panels.first() else {
        return sheet(1, 1);
    };
    let height = first.height().max(1);
    let text = Text::for_picture(first.width(), height);
    let gap = text.height / 2;
    let pictures = panels.iter().map(|(title, picture)| {
        let scaled = f64::from(picture.width()) * f64::from(height) / f64::from(picture.height().max(1));
        (title, resize_bilinear(picture, scaled.round().max(1.0) as u32, height))
    });
    let pictures = pictures.collect::<Vec<_>>();
    let width = pictures.iter().map(|(_, picture)| picture.width() + gap).sum::<u32>() - gap;
    let top = text.height + gap;
    let mut sheet = sheet(width, top + height);
    let mut x = 0;
    for (title, picture) in &pictures {
        let title = text.shortened(title, picture.width());
        let indent = picture.width().saturating_sub(text.width(&title)) / 2;
        text.draw(&mut sheet, x + indent, gap / 2, &title, INK);
        paste(&mut sheet, picture, x, top);
        x += picture.width() + gap;
    }
    sheet
}
