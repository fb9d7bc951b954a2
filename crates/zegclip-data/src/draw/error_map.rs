//! Error maps: where a prediction differs from the labels.

use image::{Rgb, RgbImage};

use super::canvas::mix;
use crate::{DataError, LabelMap, palette::Color};

/// Color of wrong pixels.
const WRONG: Color = [215, 25, 45];
const WRONG_OPACITY: f32 = 0.72;
/// Color that correct pixels fade to, and ignored pixels more so.
const PALE: Color = [255, 255, 255];
const CORRECT_OPACITY: f32 = 0.35;
const IGNORED_OPACITY: f32 = 0.85;
/// Gray of pixels without an image, before fading.
const NO_IMAGE: Color = [150, 160, 165];

/// Wrong pixels in red, correct ones in the image's gray values, ignored ones almost white.
///
/// `labels` and `prediction` are `[height, width]`, `image` and the result `[height, width, 3]`. Without an image the
/// correct pixels have one gray value.
///
/// # Errors
/// [`DataError::PredictionSize`] or [`DataError::OverlaySize`] unless all have the same size.
pub fn error_map(image: Option<&RgbImage>, labels: &LabelMap, prediction: &LabelMap) -> Result<RgbImage, DataError> {
    if labels.dimensions() != prediction.dimensions() {
        return Err(DataError::PredictionSize {
            labels: labels.dimensions(),
            prediction: prediction.dimensions(),
        });
    }
    let (width, height) = labels.dimensions();
    let mut map = match image {
        None => RgbImage::from_pixel(width, height, Rgb(NO_IMAGE)),
        Some(image) if image.dimensions() == labels.dimensions() => image.clone(),
        Some(image) => {
            return Err(DataError::OverlaySize {
                image: image.dimensions(),
                labels: labels.dimensions(),
            });
        }
    };
    let pairs = labels.iter().zip(prediction.iter());
    for (pixel, (label, prediction)) in map.pixels_mut().zip(pairs) {
        let [red, green, blue] = pixel.0.map(u32::from);
        let gray = [((299 * red + 587 * green + 114 * blue) / 1000) as u8; 3];
        let (over, opacity) = match label {
            None => (PALE, IGNORED_OPACITY),
            Some(_) if label == prediction => (PALE, CORRECT_OPACITY),
            Some(_) => (WRONG, WRONG_OPACITY),
        };
        *pixel = Rgb(mix(gray, over, opacity));
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_labeled_pixels_can_be_wrong() {
        let labels = LabelMap::from_raw(3, 1, vec![0, 0, LabelMap::IGNORE]).unwrap();
        let prediction = LabelMap::from_raw(3, 1, vec![0, 1, 1]).unwrap();
        let image = RgbImage::from_pixel(3, 1, Rgb([90, 120, 60]));
        for image in [None, Some(&image)] {
            let map = error_map(image, &labels, &prediction).unwrap();
            let red = |x| map.get_pixel(x, 0).0[0] > map.get_pixel(x, 0).0[1];
            assert_eq!([red(0), red(1), red(2)], [false, true, false]);
        }
        let other = LabelMap::filled(2, 1, None);
        assert!(error_map(None, &labels, &other).is_err());
        assert!(error_map(Some(&RgbImage::new(2, 1)), &labels, &prediction).is_err());
    }
}
