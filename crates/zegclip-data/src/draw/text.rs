//! Lines of text.

use std::sync::OnceLock;

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};
use image::{Rgb, RgbImage};

use super::canvas::mix;
use crate::palette::Color;

/// The compiled-in font; without it drawings have no text.
fn font() -> Option<&'static FontRef<'static>> {
    static FONT: OnceLock<Option<FontRef<'static>>> = OnceLock::new();
    const FILE: &[u8] = include_bytes!("../../assets/fonts/DejaVuSans.ttf");
    FONT.get_or_init(|| FontRef::try_from_slice(FILE).ok()).as_ref()
}

/// Text of one size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    /// Height of a line in pixels, ascent plus descent.
    pub(super) height: u32,
}

impl Text {
    /// Text for an image: 1/28 of its shorter side high, between 16 and 72 pixels.
    pub(super) fn for_image(width: u32, height: u32) -> Self {
        Self {
            height: (width.min(height) / 28).clamp(16, 72),
        }
    }

    /// Width of a line in pixels.
    pub(super) fn width(self, text: &str) -> u32 {
        self.layout(text).1.ceil() as u32
    }

    /// Draws a line whose top left corner is `(x, y)`.
    pub(super) fn draw(self, image: &mut RgbImage, x: u32, y: u32, text: &str, color: Color) {
        let Some(font) = font() else { return };
        for glyph in self.layout(text).0 {
            let Some(outline) = font.outline_glyph(glyph) else {
                continue;
            };
            let bounds = outline.px_bounds();
            outline.draw(|column, row, coverage| {
                let x = f64::from(x) + f64::from(bounds.min.x) + f64::from(column);
                let y = f64::from(y) + f64::from(bounds.min.y) + f64::from(row);
                if x >= 0.0
                    && y >= 0.0
                    && let Some(pixel) = image.get_pixel_mut_checked(x as u32, y as u32)
                {
                    *pixel = Rgb(mix(pixel.0, color, coverage.clamp(0.0, 1.0)));
                }
            });
        }
    }

    /// The text, truncated with `…` if it is wider than `width` pixels.
    pub(super) fn shortened(self, text: &str, width: u32) -> String {
        if self.width(text) <= width {
            return text.to_owned();
        }
        let cuts = text
            .char_indices()
            .rev()
            .map(|(end, _)| format!("{}…", text.get(..end).unwrap_or_default().trim_end()));
        cuts.into_iter()
            .find(|cut| self.width(cut) <= width)
            .unwrap_or_default()
    }

    /// Glyphs from `(0, 0)` on, and their total advance in pixels.
    fn layout(self, text: &str) -> (Vec<Glyph>, f32) {
        let Some(font) = font() else { return (Vec::new(), 0.0) };
        let font = font.as_scaled(PxScale::from(self.height as f32));
        let mut glyphs: Vec<Glyph> = Vec::new();
        let mut x = 0.0;
        for character in text.chars() {
            let id = font.glyph_id(if character.is_control() { ' ' } else { character });
            x += glyphs.last().map_or(0.0, |last| font.kern(last.id, id));
            glyphs.push(id.with_scale_and_position(font.scale(), point(x, font.ascent())));
            x += font.h_advance(id);
        }
        (glyphs, x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_has_the_characters_of_drawings() {
        let font = font().unwrap();
        for character in "Aaäéñçß€Ωж★…·–%0".chars() {
            assert_ne!(font.glyph_id(character).0, 0, "{character}");
        }
    }

    #[test]
    fn long_names_are_truncated_with_an_ellipsis() {
        let text = Text { height: 16 };
        let name = "a very long name of a class, longer than useful";
        let short = text.shortened(name, 120);
        assert!(
            short.ends_with('…') && text.width(&short) <= 120 && short.len() > 8,
            "{short}"
        );
        assert_eq!(text.shortened("cat", 120), "cat");
        assert_eq!(text.shortened("cat", 1), "");
    }

    #[test]
    fn text_is_clipped_to_the_image() {
        let mut image = super::super::canvas::canvas(20, 20);
        Text { height: 40 }.draw(&mut image, 5, 0, "Wide text", [0; 3]);
        assert!(image.pixels().any(|pixel| pixel.0[0] < 128));
    }
}
