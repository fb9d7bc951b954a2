//! Resizes only the part of a photo or of labels that the crop keeps: the same pixels as resizing all and cropping.

use image::RgbImage;

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

/// Resizes `image` bilinearly to `size` (width, height) as OpenCV's `INTER_LINEAR` does on 8 bits, but computes `region`
/// of the result only: `[height, width, 3]` in rows.
///
/// `region` is cut off at the border of the result.
pub fn resize_bilinear(image: &RgbImage, size: (u32, u32), region: Region) -> Vec<u8> {
    let region = region.within(size);
    if image.width() == 0 || image.height() == 0 {
        return vec![0; 3 * region.width as usize * region.height as usize];
    }
    if image.dimensions() == size {
        return crop(image, region);
    }
    let columns = taps(image.width(), size.0, region.x, region.width, true);
    let rows = taps(image.height(), size.1, region.y, region.height, false);
    let row_length = 3 * region.width as usize;
    let stride = 3 * image.width() as usize;
    // The two source rows of the current row, already resized horizontally; neighbours share them.
    let mut kept = [Row::new(row_length), Row::new(row_length)];
    let mut result = vec![0; row_length * region.height as usize];
    for (target, tap) in result.chunks_exact_mut(row_length.max(1)).zip(&rows) {
        if kept[1].source == Some(tap.first) {
            kept.swap(0, 1);
        }
        for (row, source) in kept.iter_mut().zip([tap.first, tap.second]) {
            if row.source != Some(source) {
                let pixels = image.as_raw().get(source * stride..(source + 1) * stride).unwrap_or_default();
                row.resize(pixels, &columns);
                row.source = Some(source);
            }
        }
        let [upper, lower] = &kept;
        for ((target, &upper), &lower) in target.iter_mut().zip(&upper.values).zip(&lower.values) {
            // The reference drops bits in just this order.
            let sum = ((tap.first_weight * (upper >> 4)) >> 16) + ((tap.second_weight * (lower >> 4)) >> 16);
            *target = ((sum + 2) >> 2) as u8;
        }
    }
    result
}

/// Which source index each index of `start..start + count` of a result of `target` takes with OpenCV's `INTER_NEAREST`.
pub fn nearest_indices(source: u32, target: u32, start: u32, count: u32) -> Vec<usize> {
    let scale = 1.0 / (f64::from(target) / f64::from(source));
    let last = source.saturating_sub(1) as usize;
    (start..start.saturating_add(count)).map(|index| ((f64::from(index) * scale) as usize).min(last)).collect()
}

impl Region {
    /// The part of the region that lies inside an image of `size` (width, height).
    #[must_use]
    pub fn within(self, (width, height): (u32, u32)) -> Self {
        let (x, y) = (self.x.min(width), self.y.min(height));
        Self { x, y, width: self.width.min(width - x), height: self.height.min(height - y) }
    }
}

/// Two neighbours and their weights in 2048ths.
struct Tap {
    first: usize,
    second: usize,
    first_weight: i32,
    second_weight: i32,
}

const WEIGHT_SCALE: f32 = 2048.0;

fn taps(source: u32, target: u32, start: u32, count: u32, horizontal: bool) -> Vec<Tap> {
    let scale = 1.0 / (f64::from(target) / f64::from(source));
    let last = i64::from(source) - 1;
    let tap = |index: u32| {
        let position = ((f64::from(index) + 0.5) * scale - 0.5) as f32;
        let floor = position.floor();
        let (mut first, mut part) = (floor as i64, position - floor);
        // Columns outside the image are moved inside with the full weight on one; rows are repeated instead.
        if horizontal && (first < 0 || first >= last) {
            (first, part) = (first.clamp(0, last), 0.0);
        }
        let inside = |index: i64| index.clamp(0, last) as usize;
        let weight = |part: f32| (part * WEIGHT_SCALE).round_ties_even() as i32;
        Tap {
            first: inside(first),
            second: inside(first + 1),
            first_weight: weight(1.0 - part),
            second_weight: weight(part),
        }
    };
    (start..start.saturating_add(count)).map(tap).collect()
}

struct Row {
    source: Option<usize>,
    values: Vec<i32>,
}

impl Row {
    fn new(length: usize) -> Self {
        Self { source: None, values: vec![0; length] }
    }

    fn resize(&mut self, pixels: &[u8], columns: &[Tap]) {
        let pixels = pixels.as_chunks::<3>().0;
        for (target, tap) in self.values.as_chunks_mut::<3>().0.iter_mut().zip(columns) {
            if let (Some(first), Some(second)) = (pixels.get(tap.first), pixels.get(tap.second)) {
                for channel in 0..3 {
                    target[channel] =
                        i32::from(first[channel]) * tap.first_weight + i32::from(second[channel]) * tap.second_weight;
                }
            }
        }
    }
}

fn crop(image: &RgbImage, region: Region) -> Vec<u8> {
    let columns = 3 * region.x as usize..3 * (region.x + region.width) as usize;
    let rows = image.as_raw().chunks_exact(3 * image.width() as usize);
    let rows = rows.skip(region.y as usize).take(region.height as usize);
    rows.flat_map(|row| row.get(columns.clone()).unwrap_or_default()).copied().collect()
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

    fn photo(width: u32, height: u32) -> RgbImage {
        RgbImage::from_raw(width, height, numbers(3 * (width * height) as usize, 1)).unwrap()
    }

    fn crc(bytes: &[u8]) -> u32 {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    }

    /// Sizes before and after, and CRC-32 of what `cv2.resize` gives (4.8.1 and 5.0.0 agree) with `INTER_LINEAR` and,
    /// on one channel, `INTER_NEAREST`.
    const OPEN_CV: [((u32, u32), (u32, u32), u32, u32); 9] = [
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
    fn photos_and_labels_equal_open_cv() {
        for ((width, height), size, linear, nearest) in OPEN_CV {
            let whole = Region { x: 0, y: 0, width: size.0, height: size.1 };
            let resized = resize_bilinear(&photo(width, height), size, whole);
            assert_eq!(crc(&resized), linear, "{width}×{height} to {size:?}");

            let labels = numbers((width * height) as usize, 5);
            let columns = nearest_indices(width, size.0, 0, size.0);
            let rows = nearest_indices(height, size.1, 0, size.1);
            let at = |(&y, &x): (&usize, &usize)| labels[y * width as usize + x];
            let resized: Vec<u8> = rows.iter().flat_map(|y| columns.iter().map(move |x| at((y, x)))).collect();
            assert_eq!(crc(&resized), nearest, "{width}×{height} to {size:?}");
        }
    }

    #[test]
    fn a_region_has_the_pixels_of_the_whole() {
        for ((width, height), size, ..) in OPEN_CV {
            let image = photo(width, height);
            let whole = resize_bilinear(&image, size, Region { x: 0, y: 0, width: size.0, height: size.1 });
            let whole = RgbImage::from_raw(size.0, size.1, whole).unwrap();
            for region in [
                Region { x: size.0 / 3, y: size.1 / 4, width: size.0 / 2, height: size.1 / 2 },
                Region { x: size.0 / 2, y: size.1 / 2, width: 1000, height: 1000 },
                Region { x: size.0, y: 0, width: 3, height: 3 },
            ] {
                let inside = region.within(size);
                let expected = image::imageops::crop_imm(&whole, inside.x, inside.y, inside.width, inside.height);
                assert_eq!(resize_bilinear(&image, size, region), expected.to_image().into_raw(), "{size:?} {region:?}");
            }
        }
    }
}
