//! A picture at halved sizes, so that a small copy is sampled as fast and as smoothly as a large one.

use image::RgbaImage;

use crate::noise::floor;

/// Sizes kept: whole, half, quarter, eighth, sixteenth.
const LEVELS: usize = 5;
/// Opacity from which a pixel counts as part of the picture.
const VISIBLE: u8 = 8;

/// The visible part of a picture, premultiplied by its opacity, 0 to 255 a channel.
#[derive(Clone, Debug)]
pub(crate) struct Mipmap {
    levels: Vec<Level>,
    /// Size of the visible part at level 0 in pixels.
    width: f32,
    height: f32,
}

#[derive(Clone, Debug)]
struct Level {
    width: usize,
    height: usize,
    /// `[height, width, 4]`
    pixels: Vec<[u8; 4]>,
}

impl Mipmap {
    /// Cuts out what can be seen; `None` if nothing can.
    pub(crate) fn new(picture: &RgbaImage) -> Option<Self> {
        let visible = || picture.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[3] >= VISIBLE);
        let left = visible().map(|(x, ..)| x).min()?;
        let right = visible().map(|(x, ..)| x).max()? + 1;
        let top = visible().map(|(_, y, _)| y).min()?;
        let bottom = visible().map(|(_, y, _)| y).max()? + 1;
        // A transparent border, and sides that can be halved to the last level without a shift.
        let padded = |length: u32| (length as usize + 2).next_multiple_of(1 << (LEVELS - 1));
        let (width, height) = (padded(right - left), padded(bottom - top));
        let mut pixels = vec![[0; 4]; width * height];
        for (row, y) in pixels.chunks_exact_mut(width).skip(1).zip(top..bottom) {
            for (pixel, x) in row.iter_mut().skip(1).zip(left..right) {
                let [red, green, blue, opacity] = picture.get_pixel(x, y).0;
                let times = |value: u8| ((u32::from(value) * u32::from(opacity) + 127) / 255) as u8;
                *pixel = [times(red), times(green), times(blue), opacity];
            }
        }
        let mut levels = vec![Level { width, height, pixels }];
        while let Some(last) = levels.last().filter(|_| levels.len() < LEVELS) {
            levels.push(last.halved());
        }
        Some(Self {
            levels,
            width: (right - left) as f32,
            height: (bottom - top) as f32,
        })
    }

    /// `(width, height)` of the visible part in the file's pixels.
    pub(crate) fn size(&self) -> (f32, f32) {
        (self.width, self.height)
    }

    /// The level to sample when one pixel of the scene covers `step` pixels of the picture.
    pub(crate) fn level(&self, step: f32) -> usize {
        (0..LEVELS - 1)
            .take_while(|&level| step > 1.5 * (1 << level) as f32)
            .count()
    }

    /// The premultiplied color, 0 to 255, at a point of the visible part in the file's pixels.
    pub(crate) fn sample(&self, level: usize, x: f32, y: f32) -> [f32; 4] {
        let Some(Level { width, height, pixels }) = self.levels.get(level.min(LEVELS - 1)) else {
            return [0.0; 4];
        };
        let shrink = 1.0 / (1 << level.min(LEVELS - 1)) as f32;
        let (x, y) = ((x + 1.0) * shrink - 0.5, (y + 1.0) * shrink - 0.5);
        if !(x > -1.0 && y > -1.0 && x < *width as f32 && y < *height as f32) {
            return [0.0; 4];
        }
        let (left, top) = (floor(x), floor(y));
        let (across, down) = (x - left as f32, y - top as f32);
        let at = |x: i32, y: i32| {
            // Negative numbers become too large ones.
            let inside = (x as usize) < *width && (y as usize) < *height;
            let pixel = inside.then(|| pixels.get(y as usize * width + x as usize)).flatten();
            pixel.copied().unwrap_or_default().map(f32::from)
        };
        let corners = [
            at(left, top),
            at(left + 1, top),
            at(left, top + 1),
            at(left + 1, top + 1),
        ];
        let weights = [
            (1.0 - across) * (1.0 - down),
            across * (1.0 - down),
            (1.0 - across) * down,
            across * down,
        ];
        std::array::from_fn(|channel| (0..4).map(|corner| weights[corner] * corners[corner][channel]).sum())
    }
}

impl Level {
    fn halved(&self) -> Self {
        let (width, height) = (self.width / 2, self.height / 2);
        let pixels = self.pixels.chunks_exact(2 * self.width).flat_map(|rows| {
            let (upper, lower) = rows.split_at(self.width);
            upper.chunks_exact(2).zip(lower.chunks_exact(2)).map(|(upper, lower)| {
                std::array::from_fn(|channel| {
                    let sum = upper
                        .iter()
                        .chain(lower)
                        .map(|pixel| u32::from(pixel[channel]))
                        .sum::<u32>();
                    ((sum + 2) / 4) as u8
                })
            })
        });
        Self {
            width,
            height,
            pixels: pixels.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square() -> Mipmap {
        let picture = RgbaImage::from_fn(64, 64, |x, y| {
            let inside = (10..42).contains(&x) && (20..52).contains(&y);
            image::Rgba(if inside { [200, 100, 50, 255] } else { [9, 9, 9, 0] })
        });
        Mipmap::new(&picture).unwrap()
    }

    #[test]
    fn the_visible_part_is_cut_out() {
        let mipmap = square();
        assert_eq!(mipmap.size(), (32.0, 32.0));
        assert_eq!(mipmap.sample(0, 16.0, 16.0), [200.0, 100.0, 50.0, 255.0]);
        assert_eq!(mipmap.sample(0, -1.0, 16.0), [0.0; 4]);
        assert_eq!(mipmap.sample(0, 500.0, f32::NAN), [0.0; 4]);
    }

    #[test]
    fn smaller_copies_show_the_same_in_the_same_place() {
        let mipmap = square();
        for level in 0..LEVELS - 1 {
            let center = mipmap.sample(level, 16.0, 16.0);
            assert!((center[0] - 200.0).abs() < 3.0, "level {level}: {center:?}");
            // The edge lies where half of the opacity is left.
            let edge = mipmap.sample(level, 0.0, 16.0)[3];
            assert!((80.0..=175.0).contains(&edge), "level {level}: {edge}");
        }
    }

    #[test]
    fn nothing_visible_is_no_picture() {
        assert!(Mipmap::new(&RgbaImage::from_pixel(8, 8, image::Rgba([255, 0, 0, 3]))).is_none());
        assert!(Mipmap::new(&RgbaImage::new(0, 0)).is_none());
    }
}
