//! The result for one image.

use std::path::Path;
use std::time::Duration;

use zegclip_data::{ClassIndex, DataError, LabelMap, Vocabulary, write_label_png};

/// The labels of one image, at the image's own size.
#[derive(Debug, Clone)]
pub struct Segmentation {
    pub(crate) labels: LabelMap,
    pub(crate) scores: Option<Vec<f32>>,
    pub(crate) windows: usize,
    pub(crate) timings: Timings,
    pub(crate) classes: usize,
    pub(crate) presence: Option<ClassPresence>,
}

/// What of a class list is in an image.
#[derive(Debug, Clone)]
pub(crate) struct ClassPresence {
    /// Less present classes have no pixels.
    pub(crate) minimum: f32,
    /// `[classes]`
    pub(crate) of_classes: Vec<f32>,
}

/// Wall-clock time of the stages. Images that share a forward pass share its time by their numbers of windows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// Resizing and normalization.
    pub preparation: Duration,
    /// The model; where the CPU decodes the masks of a GPU, the transfer included.
    pub model: Duration,
    /// Masks to labels.
    pub decoding: Duration,
}

impl Segmentation {
    /// The class of every pixel as a position in the class list, `[height, width]`; *ignored* where a pixel has no class.
    pub fn labels(&self) -> &LabelMap {
        &self.labels
    }

    /// As [`labels`](Self::labels), without a copy.
    pub fn into_labels(self) -> LabelMap {
        self.labels
    }

    /// The class of the pixel in column `x` and row `y`; `None` where it has none or is outside the image.
    pub fn class_at(&self, x: u32, y: u32) -> Option<ClassIndex> {
        self.labels.get(x, y)
    }

    /// Scores `[classes, height, width]` in `(−1, 1)`: the mean over windows of σ (or softmax) of the mask, less the seen-class
    /// bias. `None` unless [`SegmentOptions::with_scores`](crate::SegmentOptions::with_scores) asked for them. Those of a class that is
    /// not present are −1, or 0 for plain CLIP.
    pub fn scores(&self) -> Option<&[f32]> {
        self.scores.as_deref()
    }

    /// The score of a class at the pixel in column `x` and row `y`; `None` without scores or outside of them.
    pub fn score(&self, class: ClassIndex, x: u32, y: u32) -> Option<f32> {
        let (width, height) = self.labels.dimensions();
        if x >= width || y >= height {
            return None;
        }
        let [x, y, width, height] = [x, y, width, height].map(|length| length as usize);
        let index = (class.index() * height + y) * width + x;
        self.scores.as_ref()?.get(index).copied()
    }

    /// The fraction of the image's pixels that each class has, `[classes]` in `[0, 1]`; pixels without class belong to none.
    pub fn class_fractions(&self) -> Vec<f64> {
        let pixels = self.labels.as_raw().len().max(1) as f64;
        let counts = self.labels.histogram(self.classes);
        counts.into_iter().map(|count| count as f64 / pixels).collect()
    }

    /// The fraction of the image's pixels without class, in `[0, 1]`.
    pub fn unlabeled_fraction(&self) -> f64 {
        1.0 - self.class_fractions().into_iter().sum::<f64>()
    }

    /// How strongly each class is present, `[classes]` in `[0, 1]`. `None` unless
    /// [`SegmentOptions::with_min_presence`](crate::SegmentOptions::with_min_presence) states a minimum, which a class reaches or
    /// has no pixels.
    pub fn presence(&self) -> Option<&[f32]> {
        Some(&self.presence.as_ref()?.of_classes)
    }

    /// The presence below which a class has no pixels, if one was stated.
    pub fn min_presence(&self) -> Option<f32> {
        Some(self.presence.as_ref()?.minimum)
    }

    /// Number of windows that covered the image.
    pub fn windows(&self) -> usize {
        self.windows
    }

    /// How long each stage took.
    pub fn timings(&self) -> Timings {
        self.timings
    }

    /// Writes the labels as an indexed PNG: index = position in the class list, with the list's palette, 255 = no class. See
    /// [`zegclip_data::write_label_png`] for lists of more than 255 classes.
    ///
    /// # Errors
    /// [`DataError`] if the file cannot be written, which leaves no partial file.
    pub fn save_labels(&self, path: impl AsRef<Path>, classes: &Vocabulary) -> Result<(), DataError> {
        write_label_png(path.as_ref(), &self.labels, &classes.palette())
    }
}

impl Timings {
    /// The sum of all stages.
    pub fn total(&self) -> Duration {
        self.preparation + self.model + self.decoding
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_and_fractions_belong_to_their_pixels() {
        let result = Segmentation {
            labels: LabelMap::from_raw(2, 2, vec![0, 1, LabelMap::IGNORE, 1]).unwrap(),
            scores: Some((0..8u8).map(f32::from).collect()),
            windows: 1,
            timings: Timings::default(),
            classes: 2,
            presence: None,
        };
        let second = ClassIndex::new(1).unwrap();
        assert_eq!(result.score(second, 1, 0), Some(5.0));
        assert_eq!(result.score(second, 2, 0), None);
        assert_eq!(result.score(ClassIndex::new(2).unwrap(), 0, 0), None);
        assert_eq!(result.class_fractions(), [0.25, 0.5]);
        assert_eq!(result.unlabeled_fraction(), 0.25);
        assert_eq!((result.class_at(1, 1), result.class_at(0, 1)), (Some(second), None));
    }
}
