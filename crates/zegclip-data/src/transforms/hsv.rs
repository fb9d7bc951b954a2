//! Hue, saturation and value of 8 bits as OpenCV computes them, rounding included: the release distorts colors there.
//!
//! Back to RGB, OpenCV's vector code cuts fractions off while its scalar code, which gets the last `width mod 32`
//! pixels of a row, rounds them. A crop of 512 has no such rest, so everything here does as the vector code does.

/// How many hues a circle has in 8 bits: one is two degrees.
pub const HUES: u8 = 180;

/// Hue (0–179), saturation and value (0–255) of an RGB pixel: `COLOR_RGB2HSV` of 8-bit images.
#[inline]
pub fn rgb_to_hsv([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let value = red.max(green).max(blue);
    let range = value - red.min(green).min(blue);
    let range_index = usize::from(range);
    let saturation = (i32::from(range) * SATURATION_SCALE[usize::from(value)] + HALF) >> SHIFT;
    // Masks instead of branches, which noise in an image makes unpredictable.
    let is_red = -i32::from(value == red);
    let is_green = -i32::from(value == green);
    let [red, green, blue, range] = [red, green, blue, range].map(i32::from);
    let not_red = (is_green & (blue - red + 2 * range)) | (!is_green & (red - green + 4 * range));
    let difference = (is_red & (green - blue)) | (!is_red & not_red);
    let hue = (difference * HUE_SCALE[range_index] + HALF) >> SHIFT;
    let hue = hue + (i32::from(HUES) & -i32::from(hue < 0));
    [hue as u8, saturation as u8, value]
}

/// The RGB pixel of a hue (0–179), saturation and value: `COLOR_HSV2RGB` of 8-bit images, which cuts fractions off.
#[inline]
pub fn hsv_to_rgb([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    let hue = usize::from(hue % HUES);
    let saturation = usize::from(saturation);
    let value = f32::from(value) * (1.0 / 255.0);
    let channel = |value: f32| (value * 255.0) as u8;
    let (high, low) = (channel(value), channel(value * (1.0 - SATURATION[saturation])));
    let middle = channel(value * MIDDLE[hue][saturation]);
    // A shift for each channel instead of a branch for each sector.
    let bytes = u32::from(high) | u32::from(middle) << MIDDLE_BYTE | u32::from(low) << LOW_BYTE;
    SHIFTS[hue].map(|shift| (bytes >> shift) as u8)
}

const MIDDLE_BYTE: u8 = 8;
const LOW_BYTE: u8 = 16;
/// Where red, green and blue of a hue stand among the highest, middle and lowest channel.
static SHIFTS: [[u8; 3]; HUES as usize] = shifts();

const fn shifts() -> [[u8; 3]; HUES as usize] {
    let mut table = [[0; 3]; HUES as usize];
    let mut hue = 0;
    while hue < HUES as usize {
        table[hue] = match hue / HUES_OF_SECTOR {
            0 => [0, MIDDLE_BYTE, LOW_BYTE],
            1 => [MIDDLE_BYTE, 0, LOW_BYTE],
            2 => [LOW_BYTE, 0, MIDDLE_BYTE],
            3 => [LOW_BYTE, MIDDLE_BYTE, 0],
            4 => [MIDDLE_BYTE, LOW_BYTE, 0],
            _ => [0, LOW_BYTE, MIDDLE_BYTE],
        };
        hue += 1;
    }
    table
}

const HUES_OF_SECTOR: usize = HUES as usize / 6;
static SATURATION: [f32; 256] = saturations();
/// What the channel that is neither the highest nor the lowest has of the value, by hue and saturation.
static MIDDLE: [[f32; 256]; HUES as usize] = middles();

const fn saturations() -> [f32; 256] {
    let mut table = [0.0; 256];
    let mut index = 0;
    while index < 256 {
        table[index] = index as f32 * (1.0 / 255.0);
        index += 1;
    }
    table
}

const fn middles() -> [[f32; 256]; HUES as usize] {
    let saturations = saturations();
    let mut table = [[0.0; 256]; HUES as usize];
    let mut hue = 0;
    while hue < HUES as usize {
        let position = hue as f32 * (6.0 / 180.0);
        let sector = position as u32;
        let part = position - sector as f32;
        // In even sectors the channel rises with the hue, in odd ones it falls.
        let part = if sector.is_multiple_of(2) { 1.0 - part } else { part };
        let mut index = 0;
        while index < 256 {
            // OpenCV multiplies and subtracts in one rounding (FMA); the product of two f32 is exact in f64.
            table[hue][index] = (1.0 - saturations[index] as f64 * part as f64) as f32;
            index += 1;
        }
        hue += 1;
    }
    table
}

const SHIFT: u32 = 12;
const HALF: i32 = 1 << (SHIFT - 1);

/// 255 / value in fixed point; 0 for black, whose saturation is 0.
static SATURATION_SCALE: [i32; 256] = reciprocals(255, 1);
/// 180 / (6 · range) in fixed point; 0 for gray, whose hue is 0.
static HUE_SCALE: [i32; 256] = reciprocals(180, 6);

/// `numerator · 2¹² / (factor · i)` for each i, rounded to the nearest, ties to even.
const fn reciprocals(numerator: i32, factor: i32) -> [i32; 256] {
    let mut table = [0; 256];
    let mut index = 1;
    while index < 256 {
        let (dividend, divisor) = (numerator << SHIFT, factor * index as i32);
        let (quotient, twice) = (dividend / divisor, 2 * (dividend % divisor));
        let up = twice > divisor || (twice == divisor && quotient % 2 == 1);
        table[index] = quotient + up as i32;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CRC-32 over all pixels in order, from `cv2.cvtColor` (4.5.5, 4.8.1 and 5.0.0 agree).
    const HSV_TO_RGB_CRC: u32 = 0xF723_8232;
    const RGB_TO_HSV_CRC: u32 = 0x0400_829F;

    fn crc(first: std::ops::RangeInclusive<u8>, convert: impl Fn([u8; 3]) -> [u8; 3]) -> u32 {
        let mut crc = flate2::Crc::new();
        let mut plane = Vec::with_capacity(3 << 16);
        for first in first {
            plane.clear();
            plane.extend((0..=u16::MAX).flat_map(|rest| convert([first, (rest >> 8) as u8, rest as u8])));
            crc.update(&plane);
        }
        crc.sum()
    }

    #[test]
    fn every_pixel_equals_open_cv() {
        assert_eq!(crc(0..=179, hsv_to_rgb), HSV_TO_RGB_CRC);
        assert_eq!(crc(0..=255, rgb_to_hsv), RGB_TO_HSV_CRC);
    }

    #[test]
    fn hues_go_round_the_circle() {
        assert_eq!(hsv_to_rgb([HUES + 7, 200, 100]), hsv_to_rgb([7, 200, 100]));
        assert_eq!(rgb_to_hsv([255, 0, 0]), [0, 255, 255]);
        assert_eq!(rgb_to_hsv([0, 255, 0]), [60, 255, 255]);
        assert_eq!(rgb_to_hsv([0, 0, 255]), [120, 255, 255]);
    }
}
