//! Labels as training may see them: unseen classes are gone before anything else touches the labels.

use crate::{ClassIndex, DataError, LabelMap, SeenClasses};

/// What training knows of the unseen classes (§3 of the paper).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrainingSetting {
    /// Nothing, not even their names: their pixels are ignored, seen classes are numbered anew from 0.
    Inductive,
    /// Their names: their pixels are known to be unseen, but not as which class, and get pseudo-labels. Seen classes
    /// keep their number in the whole list.
    Transductive,
    /// Everything: all classes have labels.
    Full,
}

impl TrainingSetting {
    /// The name used in configurations and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inductive => "inductive",
            Self::Transductive => "transductive",
            Self::Full => "full",
        }
    }

    /// The setting of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Inductive, Self::Transductive, Self::Full]
            .into_iter()
            .find(|setting| setting.name() == name)
    }

    /// How many classes the labels of this setting count: those seen, or all.
    pub fn classes(self, seen: &SeenClasses) -> usize {
        match self {
            Self::Inductive => seen.seen_count(),
            Self::Transductive | Self::Full => seen.classes(),
        }
    }
}

/// What is known of a pixel in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrainingLabel {
    /// Its class, which is a seen one except in full supervision.
    Class(ClassIndex),
    /// It has one of the unseen classes; which one was forgotten when the labels were made.
    Unseen,
    /// Nothing.
    Ignored,
}

/// Labels `[height, width]` of a training image. There is no way back to the classes of unseen pixels.
///
/// ```
/// use zegclip_data::{LabelMap, SeenClasses, TrainingLabels, TrainingSetting};
///
/// let seen = SeenClasses::from_unseen_indices(4, [1, 2])?;
/// let labels = LabelMap::from_raw(5, 1, vec![0, 1, 2, 3, LabelMap::IGNORE])?;
/// const I: u16 = TrainingLabels::IGNORED;
/// const U: u16 = TrainingLabels::UNSEEN;
/// let of = |setting| TrainingLabels::new(setting, &seen, labels.clone());
/// assert_eq!(of(TrainingSetting::Inductive)?.as_raw(), [0, I, I, 1, I]);
/// assert_eq!(of(TrainingSetting::Transductive)?.as_raw(), [0, U, U, 3, I]);
/// assert_eq!(of(TrainingSetting::Full)?.as_raw(), [0, 1, 2, 3, I]);
/// # Ok::<(), zegclip_data::DataError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TrainingLabels {
    width: u32,
    height: u32,
    data: Vec<u16>,
}

impl TrainingLabels {
    /// How [`Self::as_raw`] writes an ignored pixel.
    pub const IGNORED: u16 = LabelMap::IGNORE;
    /// How [`Self::as_raw`] writes a pixel of an unseen class.
    pub const UNSEEN: u16 = LabelMap::IGNORE - 1;

    /// Discards what `setting` may not know. It consumes the labels, so that the original ones are no longer accessible.
    ///
    /// # Errors
    /// [`DataError::ClassOutOfRange`] for a label that is not in the list of `seen`.
    pub fn new(setting: TrainingSetting, seen: &SeenClasses, labels: LabelMap) -> Result<Self, DataError> {
        let classes = seen.classes().min(usize::from(Self::UNSEEN));
        if let Some(class) = labels.max_class().filter(|class| class.index() >= classes) {
            return Err(DataError::ClassOutOfRange {
                index: class.index(),
                classes,
            });
        }
        let code = |class: ClassIndex| match setting {
            TrainingSetting::Inductive => seen.training_index(class).map_or(Self::IGNORED, ClassIndex::get),
            TrainingSetting::Transductive if !seen.is_seen(class) => Self::UNSEEN,
            TrainingSetting::Transductive | TrainingSetting::Full => class.get(),
        };
        let codes: Vec<u16> = (0..classes).filter_map(ClassIndex::from_usize).map(code).collect();
        let (width, height) = labels.dimensions();
        let mut data = labels.into_raw();
        for label in &mut data {
            *label = codes.get(usize::from(*label)).copied().unwrap_or(Self::IGNORED);
        }
        Ok(Self { width, height, data })
    }

    /// Columns.
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// `(width, height)`.
    pub const fn dimensions(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// All pixels in rows: a class index, [`Self::UNSEEN`] or [`Self::IGNORED`].
    pub fn as_raw(&self) -> &[u16] {
        &self.data
    }

    /// The pixels of row `y`, `[width]`; none outside the labels.
    pub fn row(&self, y: usize) -> &[u16] {
        let width = self.width as usize;
        self.data
            .get(y.saturating_mul(width)..)
            .and_then(|rows| rows.get(..width))
            .unwrap_or_default()
    }

    /// All pixels in rows.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = TrainingLabel> {
        self.data.iter().copied().map(TrainingLabel::from_raw)
    }
}

impl TrainingLabel {
    /// The meaning of a value of [`TrainingLabels::as_raw`].
    pub const fn from_raw(value: u16) -> Self {
        match (value, ClassIndex::new(value)) {
            (TrainingLabels::UNSEEN, _) => Self::Unseen,
            (_, Some(class)) => Self::Class(class),
            (_, None) => Self::Ignored,
        }
    }
}

impl std::fmt::Debug for TrainingLabels {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "TrainingLabels({}×{})", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const I: u16 = TrainingLabels::IGNORED;

    fn every_label() -> LabelMap {
        LabelMap::from_raw(7, 1, vec![0, 1, 2, 3, 4, 5, LabelMap::IGNORE]).unwrap()
    }

    #[test]
    fn unseen_classes_cannot_be_told_apart() {
        let seen = SeenClasses::from_unseen_indices(6, [1, 4, 5]).unwrap();
        for setting in [TrainingSetting::Inductive, TrainingSetting::Transductive] {
            let swapped = |class: ClassIndex| match class.get() {
                1 => ClassIndex::new(5),
                4 => ClassIndex::new(1),
                5 => ClassIndex::new(4),
                _ => Some(class),
            };
            let labels = TrainingLabels::new(setting, &seen, every_label()).unwrap();
            let exchanged = TrainingLabels::new(setting, &seen, every_label().map(swapped)).unwrap();
            assert_eq!(labels, exchanged, "{setting:?}");
            let classes = labels.iter().filter_map(|label| match label {
                TrainingLabel::Class(class) => Some(class.index()),
                TrainingLabel::Unseen | TrainingLabel::Ignored => None,
            });
            assert_eq!(classes.count(), 3);
        }
    }

    #[test]
    fn inductive_labels_are_those_of_the_seen_classes() {
        let seen = SeenClasses::from_unseen_indices(6, [1, 4, 5]).unwrap();
        let labels = TrainingLabels::new(TrainingSetting::Inductive, &seen, every_label()).unwrap();
        assert_eq!(labels.as_raw(), seen.training_labels(&every_label()).as_raw());
        assert!(labels.iter().all(|label| label != TrainingLabel::Unseen));
        assert_eq!(TrainingSetting::Inductive.classes(&seen), 3);
        assert_eq!(TrainingSetting::Transductive.classes(&seen), 6);
    }

    #[test]
    fn ignored_is_not_unseen() {
        let seen = SeenClasses::from_unseen_indices(6, [5]).unwrap();
        let labels = TrainingLabels::new(TrainingSetting::Transductive, &seen, every_label()).unwrap();
        assert_eq!(labels.as_raw(), [0, 1, 2, 3, 4, TrainingLabels::UNSEEN, I]);
        assert_eq!(labels.iter().nth(5), Some(TrainingLabel::Unseen));
        assert_eq!(labels.iter().nth(6), Some(TrainingLabel::Ignored));
    }

    #[test]
    fn a_label_outside_the_list_is_refused() {
        let error = TrainingLabels::new(TrainingSetting::Full, &SeenClasses::all(5), every_label()).unwrap_err();
        assert_eq!(error.to_string(), "class 5 is not in a list of 5 classes (0 to 4)");
    }
}
