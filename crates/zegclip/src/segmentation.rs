//! What segmenting a photo gives.

use std::path::Path;
use std::time::Duration;

use zegclip_data::{DataError, LabelMap, Vocabulary, write_label_png};

/// Labels of one photo, at the photo's own size.
#[derive(Debug, Clone)]
pub struct Segmentation {
    /// Position in the class list of every pixel; ignored where a threshold left it without class.
    pub labels: Labels,
    /// Scores `[classes, height, width]` in `(−1, 1)`, where they were asked for.
    pub scores: Option<Vec<f32>>,
    /// Windows that the photo took.
    pub windows: usize,
    /// How long it took.
    pub timings: Timings,
    pub(crate) classes: usize,
}

/// A label map that knows how to save itself with its classes' colours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels(pub LabelMap);

/// Wall-clock time of the stages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// Resize, normalise, cut windows.
    pub preparation: Duration,
    /// The model; where the processor decodes, reading the masks back included.
    pub model: Duration,
    /// Masks to labels.
    pub decoding: Duration,
}

impl Segmentation {
    /// Share of each class in the photo, in `[0, 1]`; pixels without class belong to none.
    pub fn shares(&self) -> Vec<f64> {
        let pixels = self.labels.0.as_raw().len().max(1) as f64;
        let counts = self.labels.0.histogram(self.classes);
        counts.into_iter().map(|count| count as f64 / pixels).collect()
    }
}

impl Labels {
    /// Writes an indexed PNG: index = position in the class list, with the list's palette. See
    /// [`zegclip_data::write_label_png`] for lists of more than 255 classes.
    ///
    /// # Errors
    /// [`DataError`] if the file cannot be written; nothing half-written is left behind.
    pub fn save_png(&self, path: impl AsRef<Path>, classes: &Vocabulary) -> Result<(), DataError> {
        write_label_png(path.as_ref(), &self.0, &classes.palette())
    }
}

impl std::ops::Deref for Labels {
    type Target = LabelMap;

    fn deref(&self) -> &LabelMap {
        &self.0
    }
}

impl Timings {
    /// All stages.
    pub fn total(&self) -> Duration {
        self.preparation + self.model + self.decoding
    }
}
