//! A sample as a picture.

use super::{Dataset, DatasetError};
use crate::RgbImage;
use crate::draw::{blend, colorize, side_by_side, with_legend};

impl Dataset {
    /// The image of a sample (where the data set has images) beside its labels, with a legend. `opacity` of the class colors,
    /// in `[0, 1]`.
    ///
    /// # Errors
    /// [`DatasetError::OutOfRange`], and those of reading the sample.
    pub fn draw_sample(&self, index: usize, opacity: f32) -> Result<RgbImage, DatasetError> {
        let labels = self.labels(index)?;
        let title = self.id(index);
        let panels = if self.has_images() {
            let (image, labels) = self.load(index)?;
            let colored = blend(&image, &labels, self.vocabulary(), opacity)?;
            side_by_side(&[(title, &image), ("labels", &colored)])
        } else {
            side_by_side(&[(title, &colorize(&labels, self.vocabulary()))])
        };
        Ok(with_legend(&panels, &labels, self.vocabulary()))
    }
}
