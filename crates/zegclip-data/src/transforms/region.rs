//! Resizes only the part of an image or of labels that the crop keeps: the same pixels as resizing all and cropping.

use image::RgbImage;

use crate::resize::{Tap, interpolate, taps};

/// A rectangle of pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// First column.
    pub x: u32,
    /// First row.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// The part `region` of what [`resize_bilinear`](crate::resize_bilinear) makes of `image` at `size` (width, height):
/// `[height, width, 3]` in rows.
///
/// `region` is cut off at the border of the result.
pub fn resize_region(image: &RgbImage, size: (u32, u32), region: Region) -> Vec<u8> {
    let region = region.within(size);
    if image.width() == 0 || image.height() == 0 {
        return vec![0; 3 * region.width as usize * region.height as usize];
    }
    if image.dimensions() == size {
        return crop(image, region);
    }
    let part = |taps: Vec<Tap>, start: u32, count: u32| taps.into_iter().skip(start as usize).take(count as usize);
    let columns = part(taps(image.width(), size.0), region.x, region.width)
        .map(Tap::clamped)
        .collect::<Vec<_>>();
    let rows = part(taps(image.height(), size.1), region.y, region.height).collect::<Vec<_>>();
    let source = image
        .as_raw()
        .chunks_exact(3 * image.width() as usize)
        .collect::<Vec<_>>();
    let mut resized = vec![0; 3 * columns.len() * rows.len()];
    interpolate(&mut resized, &rows, &columns, &source);
    resized
}

/// Which source index each index of `start..start + count` of a result of `target` takes with OpenCV's `INTER_NEAREST`.
pub fn nearest_indices(source: u32, target: u32, start: u32, count: u32) -> Vec<usize> {
    let scale = 1.0 / (f64::from(target) / f64::from(source));
    let last = source.saturating_sub(1) as usize;
    (start..start.saturating_add(count))
        .map(|index| ((f64::from(index) * scale) as usize).min(last))
        .collect()
}

impl Region {
    /// The part of the region that lies inside an image of `size` (width, height).
    #[must_use]
    pub fn within(self, (width, height): (u32, u32)) -> Self {
        let (x, y) = (self.x.min(width), self.y.min(height));
        Self {
            x,
            y,
            width: self.width.min(width - x),
            height: self.height.min(height - y),
        }
    }
}

fn crop(image: &RgbImage, region: Region) -> Vec<u8> {
    let columns = 3 * region.x as usize..3 * (region.x + region.width) as usize;
    let rows = image.as_raw().chunks_exact(3 * image.width() as usize);
    let rows = rows.skip(region.y as usize).take(region.height as usize);
    rows.flat_map(|row| row.get(columns.clone()).unwrap_or_default())
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: u32) -> Vec<u8> {
        let mut state = seed;
        let next = || {
            state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7FFF_FFFF;
            (state >> 16) as u8
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    fn image(width: u32, height: u32) -> RgbImage {
        RgbImage::from_raw(width, height, numbers(3 * (width * height) as usize, 1)).unwrap()
    }

    fn crc(bytes: &[u8]) -> u32 {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    }

    type Case = ((u32, u32), (u32, u32), u32, u32);
    /// Sizes before and after, and CRC-32 of what `cv2.resize` gives (4.8.1 and 5.0.0 agree) with `INTER_LINEAR` and,
    /// on one channel, `INTER_NEAREST`.
    const OPEN_CV: [Case; 9] = [
        ((50, 37), (64, 47), 0x0034_3B3E, 0xF764_5608),
        ((37, 50), (20, 27), 0xC403_325B, 0x3A59_C2CF),
        ((40, 30), (20, 15), 0x99D4_73D7, 0xBA51_2F53),
        ((41, 33), (163, 131), 0xA14C_1475, 0xFD54_E1D1),
        ((33, 41), (11, 13), 0x27A6_3E23, 0x45AC_F52E),
        ((7, 5), (7, 5), 0xD030_5B5A, 0x80D0_C8F6),
        ((1, 9), (5, 45), 0xD976_F1ED, 0xB7B2_66F1),
        ((100, 75), (51, 38), 0x6971_452D, 0x1A66_FEBE),
        ((500, 375), (417, 313), 0xD37E_CCF6, 0x6F27_7AD4),
    ];

    #[test]
    fn images_and_labels_equal_open_cv() {
        for ((width, height), size, linear, nearest) in OPEN_CV {
            let whole = Region {
                x: 0,
                y: 0,
                width: size.0,
                height: size.1,
            };
            let resized = resize_region(&image(width, height), size, whole);
            assert_eq!(crc(&resized), linear, "{width}×{height} to {size:?}");

            let labels = numbers((width * height) as usize, 5);
            let columns = nearest_indices(width, size.0, 0, size.0);
            let rows = nearest_indices(height, size.1, 0, size.1);
            let at = |(&y, &x): (&usize, &usize)| labels[y * width as usize + x];
            let resized: Vec<u8> = rows
                .iter()
                .flat_map(|y| columns.iter().map(move |x| at((y, x))))
                .collect();
            assert_eq!(crc(&resized), nearest, "{width}×{height} to {size:?}");
        }
    }

    #[test]
    fn a_region_has_the_pixels_of_the_whole() {
        for ((width, height), size, ..) in OPEN_CV {
            let image = image(width, height);
            let whole = resize_region(
                &image,
                size,
                Region {
                    x: 0,
                    y: 0,
                    width: size.0,
                    height: size.1,
                },
            );
            let whole = RgbImage::from_raw(size.0, size.1, whole).unwrap();
            for region in [
                Region {
                    x: size.0 / 3,
                    y: size.1 / 4,
                    width: size.0 / 2,
                    height: size.1 / 2,
                },
                Region {
                    x: size.0 / 2,
                    y: size.1 / 2,
                    width: 1000,
                    height: 1000,
                },
                Region {
                    x: size.0,
                    y: 0,
                    width: 3,
                    height: 3,
                },
            ] {
                let inside = region.within(size);
                let expected = image::imageops::crop_imm(&whole, inside.x, inside.y, inside.width, inside.height);
                assert_eq!(
                    resize_region(&image, size, region),
                    expected.to_image().into_raw(),
                    "{size:?} {region:?}"
                );
            }
        }
    }
}
