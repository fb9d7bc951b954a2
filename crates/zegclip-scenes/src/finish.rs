//! What a camera does: uneven light, blur, noise, JPEG.

use image::{Rgb as Pixel, RgbImage};
use zegclip_codecs::JpegDecoder;
use zegclip_data::encode_jpeg;

use crate::color::Rgb;
use crate::noise::DrawF32;
use crate::settings::SceneSettings;
use zegclip_data::transforms::RandomStream;

/// Paints over a whole scene.
#[derive(Debug)]
pub(crate) struct Finish {
    /// Light grows by these shares from the middle to the right and the lower edge.
    slope: [f32; 2],
    vignette: f32,
    /// Factors of red, green and blue.
    tint: Rgb,
    /// Share of the neighbors in a blurred pixel.
    blur: f32,
    /// Standard deviation, of 255.
    noise: f32,
    noise_seed: u32,
    jpeg_quality: Option<u8>,
}

impl Finish {
    pub(crate) fn draw(stream: &mut RandomStream, settings: &SceneSettings) -> Self {
        let angle = stream.range(0.0, std::f32::consts::TAU);
        let strength = stream.range(0.0, 0.16);
        let (brightness, warmth) = (stream.range(0.93, 1.06), stream.range(-0.04, 0.04));
        Self {
            slope: [angle.cos() * strength, angle.sin() * strength],
            vignette: stream.range(-0.02, 0.14),
            tint: [brightness * (1.0 + warmth), brightness, brightness * (1.0 - warmth)],
            blur: if stream.chance(0.5) {
                stream.range(0.0, 0.2)
            } else {
                0.0
            },
            noise: stream.range(0.0, 5.0),
            noise_seed: stream.next_u64() as u32,
            jpeg_quality: {
                let (lossy, quality) = (stream.chance(0.5), stream.integer(70, 96) as u8);
                (settings.jpeg && lossy).then_some(quality)
            },
        }
    }

    /// `canvas`: `[size, size]` in rows.
    pub(crate) fn develop(&self, canvas: &mut [Rgb], size: u32) -> RgbImage {
        self.light(canvas, size);
        if self.blur > 0.0 {
            blur(canvas, size as usize, self.blur);
        }
        let mut image = RgbImage::new(size, size);
        let mut state = self.noise_seed | 1;
        for (pixel, color) in image.pixels_mut().zip(&*canvas) {
            // Xorshift (Marsaglia 2003). The sum of four bytes is nearly normal, with a deviation of 147.8.
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let sum = state.to_le_bytes().iter().map(|&byte| i32::from(byte)).sum::<i32>() - 510;
            let grain = sum as f32 * self.noise * (1.0 / 147.8) + 0.5;
            *pixel = Pixel(color.map(|value| (255.0 * value + grain) as u8));
        }
        self.jpeg_quality
            .and_then(|quality| through_jpeg(&image, quality))
            .unwrap_or(image)
    }

    fn light(&self, canvas: &mut [Rgb], size: u32) {
        let half = size as f32 / 2.0;
        for (row, y) in canvas.chunks_exact_mut(size as usize).zip(0_u32..) {
            let down = (y as f32 + 0.5 - half) / half;
            for (color, x) in row.iter_mut().zip(0_u32..) {
                let across = (x as f32 + 0.5 - half) / half;
                let light = 1.0 + self.slope[0] * across + self.slope[1] * down
                    - self.vignette * 0.5 * (across * across + down * down);
                for (value, tint) in color.iter_mut().zip(self.tint) {
                    *value = (*value * light * tint).clamp(0.0, 1.0);
                }
            }
        }
    }
}

/// Each pixel gives `share` away to its neighbors, first along rows, then along columns.
fn blur(canvas: &mut [Rgb], size: usize, share: f32) {
    let (keep, give) = (1.0 - share, share / 2.0);
    let blend = |before: Rgb, color: Rgb, after: Rgb| -> Rgb {
        std::array::from_fn(|channel| keep * color[channel] + give * (before[channel] + after[channel]))
    };
    for row in canvas.chunks_exact_mut(size) {
        let mut before = row.first().copied().unwrap_or_default();
        for x in 0..size {
            let Some(color) = row.get(x).copied() else { continue };
            let after = row.get(x + 1).copied().unwrap_or(color);
            if let Some(pixel) = row.get_mut(x) {
                *pixel = blend(before, color, after);
            }
            before = color;
        }
    }
    let mut above = canvas.get(..size).map(<[Rgb]>::to_vec).unwrap_or_default();
    for y in 0..size {
        let (done, below) = canvas.split_at_mut((y + 1) * size);
        let Some(row) = done.get_mut(y * size..) else { continue };
        for (x, pixel) in row.iter_mut().enumerate() {
            let color = *pixel;
            let after = below.get(x).copied().unwrap_or(color);
            if let Some(before) = above.get_mut(x) {
                *pixel = blend(*before, color, after);
                *before = color;
            }
        }
    }
}

fn through_jpeg(image: &RgbImage, quality: u8) -> Option<RgbImage> {
    let bytes = encode_jpeg(image, quality).ok()?;
    let decoded = JpegDecoder::new(&bytes).ok()?.decode(u64::MAX).ok()?;
    RgbImage::from_raw(decoded.width, decoded.height, decoded.pixels)
}
