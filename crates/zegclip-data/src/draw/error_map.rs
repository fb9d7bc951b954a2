//! Where a prediction is wrong.

use image::{Rgb, RgbImage};

use super::canvas::mix;
use crate::{DataError, LabelMap, palette::Color};

/// Wrong pixels.
const WRONG: Color = [215, 25, 45];
const WRONG_OPACITY: f32 = 0.72;
/// What the rest of the photo fades to, and ignored pixels even more.
const PALE: Color = [255, 255, 255];
const RIGHT_OPACITY: f32 = 0.35;
const IGNORED_OPACITY: f32 = 0.85;
/// Right pixels where there is no photo.
const NO_PHOTO: Color = [150, 160, 165];

/// Wrong pixels red, right ones in the photo's grey, ignored ones almost white: `[height, width, 3]`.
///
/// # Errors
/// [`DataError::PredictionSize`] or [`DataError::OverlaySize`] unless all have the same size.
pub fn error_map(photo: Option<&RgbImage>, labels: &LabelMap, prediction: &LabelMap) -> Result<RgbImage, DataError> {
    if labels.dimensions() != prediction.dimensions() {
        return Err(DataError::PredictionSize {
            labels: labels.dimensions(),
            prediction: prediction.dimensions(),
        });
    }
    let (width, height) = labels.dimensions();
    let mut map = match photo {
        None => RgbImage::from_pixel(width, height, Rgb(NO_PHOTO)),
        Some(photo) if photo.dimensions() == labels.dimensions() => photo.clone(),
        Some(photo) => {
            return Err(DataError::OverlaySize {
                photo: photo.dimensions(),
                labels: labels.dimensions(),
            });
        }
    };
    let pairs = labels.iter().zip(prediction.iter());
    for (pixel, (label, prediction)) in map.pixels_mut().zip(pairs) {
        let [red, green, blue] = pixel.0.map(u32::from);
        let grey = [((299 * red + 587 * green + 114 * blue) / 1000) as u8; 3];
        let (over, opacity) = match label {
            None => (PALE, IGNORED_OPACITY),
            Some(_) if label == prediction => (PALE, RIGHT_OPACITY),
            Some(_) => (WRONG, WRONG_OPACITY),
        };
        *pixel = Rgb(mix(grey, over, opacity));
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_labelled_pixels_can_be_wrong() {
        let labels = LabelMap::from_raw(3, 1, vec![0, 0, LabelMap::IGNORE]).unwrap();
        let prediction = LabelMap::from_raw(3, 1, vec![0, 1, 1]).unwrap();
        let photo = RgbImage::from_pixel(3, 1, Rgb([90, 120, 60]));
        for photo in [None, Some(&photo)] {
            let map = error_map(photo, &labels, &prediction).unwrap();
            let red = |x| map.get_pixel(x, 0).0[0] > map.get_pixel(x, 0).0[1];
            assert_eq!([red(0), red(1), red(2)], [false, true, false]);
        }
        let other = LabelMap::filled(2, 1, None);
        assert!(error_map(None, &labels, &other).is_err());
        assert!(error_map(Some(&RgbImage::new(2, 1)), &labels, &prediction).is_err());
    }
}
