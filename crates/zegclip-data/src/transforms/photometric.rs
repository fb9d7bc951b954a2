//! Photometric distortion: brightness, contrast, saturation and hue, each with probability one half.
//!
//! The order is brightness, contrast (or last), saturation, hue, and 8 bits are rounded to after each step, as in the
//! release. Steps that act on a channel alone are tables of 256 values, composed before a pixel is touched.

use super::hsv::{HUES, hsv_to_rgb, rgb_to_hsv};
use zegclip_foundation::RandomStream;

/// How far colors may go.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PhotometricDistortion {
    /// Brightness is shifted by up to this, of 255.
    pub brightness: f64,
    /// Contrast is multiplied by a factor between these.
    pub contrast: [f64; 2],
    /// Saturation is multiplied by a factor between these.
    pub saturation: [f64; 2],
    /// Hue is turned by −`hue` to `hue` − 1, of 180 for the circle (the release draws the upper end exclusively).
    pub hue: u8,
}

impl Default for PhotometricDistortion {
    fn default() -> Self {
        Self {
            brightness: 32.0,
            contrast: [0.5, 1.5],
            saturation: [0.5, 1.5],
            hue: 18,
        }
    }
}

impl PhotometricDistortion {
    /// Draws what to do to one image.
    pub fn draw(&self, stream: &mut RandomStream) -> Distortion {
        // Every number is drawn, used or not, so that no coin moves the others.
        let mut factor = |[low, high]: [f64; 2]| {
            let applied = stream.chance(0.5);
            let factor = stream.uniform(low, high) as f32;
            applied.then_some(factor)
        };
        let brightness = factor([-self.brightness, self.brightness]);
        let contrast = factor(self.contrast);
        let saturation = factor(self.saturation);
        let contrast_first = stream.chance(0.5);
        let turned = stream.chance(0.5);
        let hue = i16::from(self.hue);
        let turn = stream.below(2 * u64::from(self.hue)) as i16 - hue;
        Distortion {
            brightness,
            contrast,
            contrast_first,
            saturation,
            hue: turned.then_some(turn),
        }
    }
}

/// What is done to the colors of one image; `None` leaves them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distortion {
    /// Added to each channel.
    pub brightness: Option<f32>,
    /// Each channel is multiplied by this.
    pub contrast: Option<f32>,
    /// Whether contrast comes before saturation and hue, or after.
    pub contrast_first: bool,
    /// The saturation is multiplied by this.
    pub saturation: Option<f32>,
    /// Added to the hue, on a circle of 180.
    pub hue: Option<i16>,
}

impl Distortion {
    /// Distorts RGB pixels in place.
    pub fn apply(&self, pixels: &mut [u8]) {
        let last = self.apply_but_last(pixels);
        if last != identity() {
            pixels
                .iter_mut()
                .for_each(|channel| *channel = last[usize::from(*channel)]);
        }
    }

    /// All but the last table, which is returned so that it can be joined with what follows (the normalization).
    pub(super) fn apply_but_last(&self, pixels: &mut [u8]) -> Table {
        let (before, after) = if self.contrast_first {
            (self.contrast, None)
        } else {
            (None, self.contrast)
        };
        let mut first_table = identity();
        if let Some(shift) = self.brightness {
            first_table = first_table.map(|value| convert(value, 1.0, shift));
        }
        if let Some(factor) = before {
            first_table = first_table.map(|value| convert(value, factor, 0.0));
        }
        let mut last = identity();
        if let Some(factor) = after {
            last = last.map(|value| convert(value, factor, 0.0));
        }
        let saturation = self
            .saturation
            .map(|factor| identity().map(|value| convert(value, factor, 0.0)));
        let turn = |turn: i16| identity().map(|hue| (i16::from(hue) + turn).rem_euclid(HUES.into()) as u8);
        let hue = self.hue.map(turn);

        let first = |pixel: [u8; 3]| pixel.map(|channel| first_table[usize::from(channel)]);
        let saturate = |pixel, table: &Table| {
            let [hue, saturation, value] = rgb_to_hsv(pixel);
            hsv_to_rgb([hue, table[usize::from(saturation)], value])
        };
        let turn = |pixel, table: &Table| {
            let [hue, saturation, value] = rgb_to_hsv(pixel);
            hsv_to_rgb([table[usize::from(hue)], saturation, value])
        };
        match (&saturation, &hue) {
            (None, None) => return first_table.map(|value| last[usize::from(value)]),
            (Some(saturation), None) => each(pixels, |pixel| saturate(first(pixel), saturation)),
            (None, Some(hue)) => each(pixels, |pixel| turn(first(pixel), hue)),
            // Between the two the release goes back to RGB, which rounds. In one pass the compiler makes branches.
            (Some(saturation), Some(hue)) => {
                each(pixels, |pixel| saturate(first(pixel), saturation));
                each(pixels, |pixel| turn(pixel, hue));
            }
        }
        last
    }
}

/// What becomes of each value of a channel.
pub(super) type Table = [u8; 256];

pub(super) fn identity() -> Table {
    std::array::from_fn(|value| value as u8)
}

/// `value · factor + shift` in f32, clipped and cut off, as the release does.
fn convert(value: u8, factor: f32, shift: f32) -> u8 {
    (f32::from(value) * factor + shift).clamp(0.0, 255.0) as u8
}

#[inline]
fn each(pixels: &mut [u8], distort: impl Fn([u8; 3]) -> [u8; 3]) {
    pixels
        .as_chunks_mut()
        .0
        .iter_mut()
        .for_each(|pixel| *pixel = distort(*pixel));
}

#[cfg(test)]
mod tests {
    use super::super::random::{Draw, random_stream};
    use super::*;

    /// Eight pixels, and what the release's own steps on OpenCV 4.5.5 make of them.
    const PIXELS: [u8; 24] = [
        30, 200, 10, 128, 0, 255, 7, 7, 7, 200, 91, 90, 0, 0, 0, 249, 251, 250, 99, 66, 33, 20, 180, 201,
    ];

    fn distorted(distortion: Distortion) -> [u8; 24] {
        let mut pixels = PIXELS;
        distortion.apply(&mut pixels);
        pixels
    }

    #[test]
    fn each_step_equals_the_release() {
        let none = Distortion::default();
        assert_eq!(distorted(none.clone()), PIXELS);
        assert_eq!(
            distorted(Distortion {
                brightness: Some(-12.3),
                ..none.clone()
            }),
            [
                17, 187, 0, 115, 0, 242, 0, 0, 0, 187, 78, 77, 0, 0, 0, 236, 238, 237, 86, 53, 20, 7, 167, 188
            ]
        );
        assert_eq!(
            distorted(Distortion {
                contrast: Some(1.37),
                ..none.clone()
            }),
            [
                41, 255, 13, 175, 0, 255, 9, 9, 9, 255, 124, 123, 0, 0, 0, 255, 255, 255, 135, 90, 45, 27, 246, 255
            ]
        );
        assert_eq!(
            distorted(Distortion {
                saturation: Some(0.61),
                ..none.clone()
            }),
            [
                96, 200, 84, 177, 99, 255, 7, 7, 7, 200, 133, 133, 0, 0, 0, 250, 251, 250, 99, 79, 59, 90, 189, 201
            ]
        );
        assert_eq!(
            distorted(Distortion { hue: Some(-17), ..none }),
            [
                136, 200, 10, 0, 16, 255, 7, 7, 7, 200, 90, 152, 0, 0, 0, 249, 251, 249, 99, 33, 37, 19, 201, 116
            ]
        );
    }

    #[test]
    fn the_place_of_contrast_matters() {
        let all = Distortion {
            brightness: Some(21.7),
            contrast: Some(0.83),
            contrast_first: true,
            saturation: Some(1.42),
            hue: Some(11),
        };
        assert_eq!(
            distorted(all.clone()),
            [
                0, 183, 48, 189, 0, 211, 23, 23, 23, 183, 100, 53, 17, 17, 17, 211, 211, 211, 99, 88, 20, 0, 91, 184
            ]
        );
        assert_eq!(
            distorted(Distortion {
                contrast_first: false,
                ..all
            }),
            [
                0, 183, 48, 190, 0, 211, 23, 23, 23, 183, 101, 53, 17, 17, 17, 211, 211, 211, 99, 88, 20, 0, 97, 184
            ]
        );
    }

    #[test]
    fn draws_stay_in_their_ranges_and_are_made_half_of_the_time() {
        let settings = PhotometricDistortion::default();
        let draws: Vec<_> = (0..4000)
            .map(|slot| settings.draw(&mut random_stream(1, 0, slot, Draw::Photometric)))
            .collect();
        let half = |count: usize| (1850..2150).contains(&count);
        assert!(half(draws.iter().filter(|draw| draw.contrast_first).count()));
        let within = |values: Vec<f32>, low: f32, high: f32| {
            assert!(half(values.len()), "{}", values.len());
            assert!(values.iter().all(|value| (low..=high).contains(value)));
            let reach = (high - low) * 0.05;
            assert!(values.iter().any(|&value| value < low + reach));
            assert!(values.iter().any(|&value| value > high - reach));
        };
        within(draws.iter().filter_map(|draw| draw.brightness).collect(), -32.0, 32.0);
        within(draws.iter().filter_map(|draw| draw.contrast).collect(), 0.5, 1.5);
        within(draws.iter().filter_map(|draw| draw.saturation).collect(), 0.5, 1.5);
        within(
            draws.iter().filter_map(|draw| draw.hue).map(f32::from).collect(),
            -18.0,
            17.0,
        );
        let still = PhotometricDistortion {
            brightness: 0.0,
            contrast: [1.0; 2],
            saturation: [1.0; 2],
            hue: 0,
        };
        let draw = still.draw(&mut random_stream(1, 0, 0, Draw::Photometric));
        assert!(draw.hue.unwrap_or_default() == 0 && draw.contrast.unwrap_or(1.0) == 1.0);
    }
}
