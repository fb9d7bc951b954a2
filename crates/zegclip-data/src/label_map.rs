//! Label maps: the class of every pixel, or that it is ignored.

use crate::{ClassIndex, DataError};

/// The class of every pixel, `[height, width]` in rows; a pixel without one is *ignored*, in training and in scores.
#[derive(Clone, PartialEq, Eq)]
pub struct LabelMap {
    width: u32,
    height: u32,
    data: Vec<u16>,
}

impl LabelMap {
    /// How [`Self::as_raw`] writes an ignored pixel.
    pub const IGNORE: u16 = u16::MAX;

    /// A map that gives every pixel the same label.
    pub fn filled(width: u32, height: u32, label: Option<ClassIndex>) -> Self {
        Self {
            width,
            height,
            data: vec![raw(label); width as usize * height as usize],
        }
    }

    /// Takes rows of class indices, [`Self::IGNORE`] where a pixel is ignored.
    ///
    /// # Errors
    /// [`DataError::LabelMapSize`] unless there are `width × height` values.
    pub fn from_raw(width: u32, height: u32, data: Vec<u16>) -> Result<Self, DataError> {
        if u64::from(width) * u64::from(height) != data.len() as u64 {
            return Err(DataError::LabelMapSize {
                width,
                height,
                values: data.len(),
            });
        }
        Ok(Self { width, height, data })
    }

    /// Asks `label` for every pixel `(x, y)`, row by row.
    pub fn from_fn(width: u32, height: u32, mut label: impl FnMut(u32, u32) -> Option<ClassIndex>) -> Self {
        let data = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .map(|(x, y)| raw(label(x, y)))
            .collect();
        Self { width, height, data }
    }

    /// Columns.
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// `(width, height)`, as [`image::RgbImage::dimensions`].
    pub const fn dimensions(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The label at column `x`, row `y`: `None` where the pixel is ignored or lies outside the map.
    pub fn get(&self, x: u32, y: u32) -> Option<ClassIndex> {
        self.position(x, y)
            .and_then(|position| self.data.get(position))
            .copied()
            .and_then(ClassIndex::new)
    }

    /// Sets the label at column `x`, row `y`; outside the map nothing happens.
    pub fn set(&mut self, x: u32, y: u32, label: Option<ClassIndex>) {
        if let Some(pixel) = self.position(x, y).and_then(|position| self.data.get_mut(position)) {
            *pixel = raw(label);
        }
    }

    /// All pixels in rows, [`Self::IGNORE`] (`u16::MAX`) where ignored.
    pub fn as_raw(&self) -> &[u16] {
        &self.data
    }

    /// As [`Self::as_raw`], without a copy.
    pub fn into_raw(self) -> Vec<u16> {
        self.data
    }

    /// The rows from top to bottom, each `[width]`, [`Self::IGNORE`] where ignored.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &[u16]> + ExactSizeIterator {
        // A map without columns has no pixels, hence no rows: `chunks_exact` must not see a width of zero.
        self.data.chunks_exact(self.width.max(1) as usize)
    }

    /// The labels of all pixels, row by row.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Option<ClassIndex>> + ExactSizeIterator {
        self.data.iter().copied().map(ClassIndex::new)
    }

    /// Gives every class another label; ignored pixels stay ignored.
    #[must_use]
    pub fn map(&self, mut label: impl FnMut(ClassIndex) -> Option<ClassIndex>) -> Self {
        let data = self.iter().map(|class| raw(class.and_then(&mut label))).collect();
        Self { data, ..*self }
    }

    /// The part of `width × height` pixels whose top left corner is `(x, y)`, cut off at the map's border.
    #[must_use]
    pub fn crop(&self, x: u32, y: u32, width: u32, height: u32) -> Self {
        let left = x.min(self.width);
        let width = width.min(self.width - left);
        let height = height.min(self.height.saturating_sub(y));
        let columns = left as usize..(left + width) as usize;
        let rows = self.rows().skip(y as usize).take(height as usize);
        let data = rows
            .flat_map(|row| row.get(columns.clone()).unwrap_or_default())
            .copied()
            .collect();
        Self { width, height, data }
    }

    /// Left and right exchanged.
    #[must_use]
    pub fn flip_horizontal(&self) -> Self {
        Self {
            data: self.rows().flat_map(|row| row.iter().rev()).copied().collect(),
            ..*self
        }
    }

    /// Pixels of each of the first `classes` classes; ignored pixels and later classes are not counted.
    pub fn histogram(&self, classes: usize) -> Vec<u64> {
        let mut counts = vec![0; classes];
        for &label in &self.data {
            if let Some(count) = counts.get_mut(usize::from(label)).filter(|_| label != Self::IGNORE) {
                *count += 1;
            }
        }
        counts
    }

    /// The highest class of any pixel, or `None` if all are ignored.
    pub fn max_class(&self) -> Option<ClassIndex> {
        self.iter().flatten().max()
    }

    fn position(&self, x: u32, y: u32) -> Option<usize> {
        (x < self.width && y < self.height).then(|| y as usize * self.width as usize + x as usize)
    }
}

impl std::fmt::Debug for LabelMap {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "LabelMap({}×{})", self.width, self.height)
    }
}

fn raw(label: Option<ClassIndex>) -> u16 {
    label.map_or(LabelMap::IGNORE, ClassIndex::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(width: u32, height: u32) -> LabelMap {
        LabelMap::from_fn(width, height, |x, y| ClassIndex::new((y * width + x) as u16))
    }

    #[test]
    fn a_label_is_a_class_or_ignored() {
        let map = LabelMap::from_raw(2, 1, vec![7, LabelMap::IGNORE]).unwrap();
        assert_eq!(map.get(0, 0), ClassIndex::new(7));
        assert_eq!(map.get(1, 0), None);
        assert_eq!(map.get(2, 0), None);
        assert_eq!(map.max_class(), ClassIndex::new(7));
        assert_eq!(ClassIndex::new(LabelMap::IGNORE), None);
        assert_eq!(ClassIndex::from_usize(65_534).map(ClassIndex::get), Some(65_534));
        assert_eq!(ClassIndex::from_usize(65_535), None);
    }

    #[test]
    fn values_must_fill_the_map() {
        let error = LabelMap::from_raw(4, 3, vec![0; 11]).unwrap_err();
        assert_eq!(error.to_string(), "a label map of 4×3 needs 12 values, not 11");
    }

    #[test]
    fn crop_keeps_the_pixels_in_place() {
        let map = numbered(5, 4);
        assert_eq!(map.crop(3, 1, 2, 2).as_raw(), [8, 9, 13, 14]);
        assert_eq!(map.crop(0, 0, 5, 4), map);
        assert_eq!(map.crop(4, 3, 10, 10).as_raw(), [19]);
        assert_eq!(map.crop(9, 9, 2, 2).dimensions(), (0, 0));
        assert_eq!(map.crop(9, 1, 2, 2).as_raw(), [0; 0]);
    }

    #[test]
    fn flipping_twice_is_identity() {
        let map = numbered(5, 4);
        assert_eq!(map.flip_horizontal().rows().next(), Some(&[4, 3, 2, 1, 0][..]));
        assert_eq!(map.flip_horizontal().flip_horizontal(), map);
    }

    #[test]
    fn histogram_leaves_ignored_pixels_out() {
        let map = LabelMap::from_raw(5, 1, vec![0, 2, 2, LabelMap::IGNORE, 9]).unwrap();
        assert_eq!(map.histogram(3), [1, 0, 2]);
    }

    #[test]
    fn empty_maps_are_fine() {
        for (width, height) in [(0, 0), (0, 3), (3, 0)] {
            let map = LabelMap::filled(width, height, None);
            assert_eq!(map.rows().count(), 0);
            assert_eq!(map.flip_horizontal(), map);
            assert_eq!(map.crop(0, 0, 1, 1).as_raw().len(), 0);
        }
    }
}
