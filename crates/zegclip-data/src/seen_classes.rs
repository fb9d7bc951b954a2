//! Which classes of a list have labels in training (*seen*) and which are known by name only (*unseen*).

use crate::{ClassIndex, DataError, LabelMap};

/// Seen and unseen classes of a class list, and the numbering of the seen ones in inductive training.
///
/// Inductive training (§3 of the paper) works on [`Self::training_labels`] alone: indices into the list of seen
/// classes, in which unseen classes have no index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenClasses {
    /// Of every class, its position among the seen ones; `None` if unseen.
    training: Vec<Option<ClassIndex>>,
    /// The seen classes in order.
    seen: Vec<ClassIndex>,
}

impl SeenClasses {
    /// Every one of `classes` classes is seen: full supervision, or plain segmentation. Lists longer than
    /// [`ClassIndex::MAX_CLASSES`] are cut there.
    pub fn all(classes: usize) -> Self {
        Self::from_fn(classes, |_| true)
    }

    /// All classes of a list of `classes` are seen but those at `unseen`.
    ///
    /// # Errors
    /// [`DataError::ClassOutOfRange`] for an index outside the list.
    pub fn from_unseen_indices(classes: usize, unseen: impl IntoIterator<Item = usize>) -> Result<Self, DataError> {
        let unseen = flags(classes, unseen)?;
        Ok(Self::from_fn(classes, |class| {
            !unseen.get(class).copied().unwrap_or_default()
        }))
    }

    /// Only the classes at `seen` of a list of `classes` are seen.
    ///
    /// # Errors
    /// [`DataError::ClassOutOfRange`] for an index outside the list.
    pub fn from_seen_indices(classes: usize, seen: impl IntoIterator<Item = usize>) -> Result<Self, DataError> {
        let seen = flags(classes, seen)?;
        Ok(Self::from_fn(classes, |class| {
            seen.get(class).copied().unwrap_or_default()
        }))
    }

    /// Classes in the list, seen and unseen.
    pub fn classes(&self) -> usize {
        self.training.len()
    }

    /// How many classes are seen.
    pub fn seen_count(&self) -> usize {
        self.seen.len()
    }

    /// How many classes are unseen.
    pub fn unseen_count(&self) -> usize {
        self.classes() - self.seen_count()
    }

    /// Whether `class` is seen; one outside the list is not.
    pub fn is_seen(&self, class: ClassIndex) -> bool {
        self.training_index(class).is_some()
    }

    /// The seen classes in order.
    pub fn seen(&self) -> impl DoubleEndedIterator<Item = ClassIndex> + ExactSizeIterator {
        self.seen.iter().copied()
    }

    /// The unseen classes in order.
    pub fn unseen(&self) -> impl DoubleEndedIterator<Item = ClassIndex> {
        let classes = self.training.iter().enumerate();
        classes
            .filter(|(_, training)| training.is_none())
            .filter_map(|(class, _)| ClassIndex::from_usize(class))
    }

    /// Of every class in order, whether it is seen: `[classes]`.
    pub fn flags(&self) -> impl DoubleEndedIterator<Item = bool> + ExactSizeIterator {
        self.training.iter().map(Option::is_some)
    }

    /// Position of a seen class in the list of seen classes; `None` for an unseen one.
    pub fn training_index(&self, class: ClassIndex) -> Option<ClassIndex> {
        self.training.get(class.index()).copied().flatten()
    }

    /// The class at a position of the list of seen classes: the reverse of [`Self::training_index`].
    pub fn class_of(&self, training: ClassIndex) -> Option<ClassIndex> {
        self.seen.get(training.index()).copied()
    }

    /// Labels for inductive training: unseen classes become ignored, seen ones are renumbered from 0.
    pub fn training_labels(&self, labels: &LabelMap) -> LabelMap {
        labels.map(|class| self.training_index(class))
    }

    fn from_fn(classes: usize, is_seen: impl Fn(usize) -> bool) -> Self {
        let mut seen = Vec::new();
        let mut training = Vec::with_capacity(classes);
        for class in (0..classes).filter_map(ClassIndex::from_usize) {
            training.push(
                is_seen(class.index())
                    .then(|| ClassIndex::from_usize(seen.len()))
                    .flatten(),
            );
            if is_seen(class.index()) {
                seen.push(class);
            }
        }
        Self { training, seen }
    }
}

fn flags(classes: usize, indices: impl IntoIterator<Item = usize>) -> Result<Vec<bool>, DataError> {
    let mut flags = vec![false; classes];
    for index in indices {
        *flags
            .get_mut(index)
            .ok_or(DataError::ClassOutOfRange { index, classes })? = true;
    }
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(index: u16) -> ClassIndex {
        ClassIndex::new(index).unwrap()
    }

    #[test]
    fn numbering_of_seen_classes_goes_both_ways() {
        let seen = SeenClasses::from_unseen_indices(6, [1, 4]).unwrap();
        assert_eq!(seen.seen().map(ClassIndex::get).collect::<Vec<_>>(), [0, 2, 3, 5]);
        assert_eq!(seen.unseen().map(ClassIndex::get).collect::<Vec<_>>(), [1, 4]);
        assert_eq!((seen.classes(), seen.seen_count(), seen.unseen_count()), (6, 4, 2));
        assert_eq!(seen.training_index(class(5)), Some(class(3)));
        assert_eq!(seen.training_index(class(4)), None);
        assert_eq!(seen.training_index(class(6)), None);
        for training in 0..4 {
            let original = seen.class_of(class(training)).unwrap();
            assert_eq!(seen.training_index(original), Some(class(training)));
        }
        assert_eq!(seen.class_of(class(4)), None);
    }

    #[test]
    fn training_labels_hold_no_unseen_class() {
        let seen = SeenClasses::from_seen_indices(4, [3, 1]).unwrap();
        let labels = LabelMap::from_raw(5, 1, vec![0, 1, 2, 3, LabelMap::IGNORE]).unwrap();
        const I: u16 = LabelMap::IGNORE;
        assert_eq!(seen.training_labels(&labels).as_raw(), [I, 0, I, 1, I]);
        assert_eq!(SeenClasses::all(4).training_labels(&labels), labels);
    }

    #[test]
    fn an_index_outside_the_list_is_refused() {
        let error = SeenClasses::from_unseen_indices(20, [15, 20]).unwrap_err();
        assert_eq!(error.to_string(), "class 20 is not in a list of 20 classes (0 to 19)");
    }
}
