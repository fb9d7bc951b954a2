//! What is not wrong but worth knowing: classes without a pixel, values that are ignored although nothing says so.

use rayon::prelude::*;

use super::finding::percent;
use crate::datasets::Dataset;
use crate::{ClassIndex, Vocabulary};

/// The label files that [`survey`] reads at most.
const SURVEYED: usize = 256;
/// More names are not shown.
const SHOWN: usize = 6;

/// Something about a data set that nothing states, or that is seldom meant.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Note {
    /// A value that is ignored because it usually is, and that occurs.
    AssumedIgnored {
        /// The value.
        value: u16,
        /// How many pixels have it.
        pixels: u64,
        /// All pixels.
        all_pixels: u64,
        /// How the description of the data set states it as a class.
        as_class: String,
    },
    /// Classes that no pixel has.
    NoPixels {
        /// Their names.
        classes: Vec<String>,
        /// The length of the class list.
        of: usize,
    },
    /// Label files without images.
    NoImages {
        /// Where images would be.
        expected: String,
    },
}

impl std::fmt::Display for Note {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AssumedIgnored {
                value,
                pixels,
                all_pixels,
                as_class,
            } => {
                let percent = percent(*pixels, *all_pixels);
                write!(
                    formatter,
                    "the value {value} is ignored, since nothing states what it means: {percent} of all pixels; if it is a class, \
                     write `{as_class}`, else `labels = {{ ignore = [{value}] }}`"
                )
            }
            Self::NoPixels { classes, of } => {
                let shown: Vec<_> = classes.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
                let more = if classes.len() > SHOWN { ", …" } else { "" };
                let count = match classes.len() {
                    1 => String::new(),
                    many => format!("{many} of {of} classes: "),
                };
                write!(formatter, "no pixel has {count}{}{more}", shown.join(", "))
            }
            Self::NoImages { expected } => write!(formatter, "label files only; images are expected in {expected}"),
        }
    }
}

/// Pixels of each class and of ignored values.
#[derive(Clone, Debug, Default)]
pub(super) struct PixelCounts {
    pub(super) classes: Vec<u64>,
    /// Of the value that is ignored by assumption.
    pub(super) assumed_ignored: u64,
    pub(super) all: u64,
}

/// The notes about counted labels; `classes` are those of which pixels are expected.
pub(super) fn notes(vocabulary: &Vocabulary, counts: &PixelCounts, classes: impl Fn(ClassIndex) -> bool) -> Vec<Note> {
    let mut notes = Vec::new();
    let empty = (0..).filter_map(ClassIndex::new).zip(&counts.classes);
    let empty = empty.filter(|&(class, &pixels)| pixels == 0 && classes(class));
    let empty: Vec<ClassIndex> = empty.map(|(class, _)| class).collect();
    let name = |class: &ClassIndex| vocabulary.class(*class).map_or("", |class| class.name()).to_owned();
    if !empty.is_empty() {
        notes.push(Note::NoPixels {
            classes: empty.iter().map(name).collect(),
            of: vocabulary.len(),
        });
    }
    if let Some(value) = vocabulary.encoding().assumed_ignored_value()
        && counts.assumed_ignored > 0
    {
        notes.push(Note::AssumedIgnored {
            value,
            pixels: counts.assumed_ignored,
            all_pixels: counts.all,
            as_class: as_class(vocabulary, value, empty.first().copied()),
        });
    }
    notes
}

/// The line of a TOML that gives `value` to `class`.
fn as_class(vocabulary: &Vocabulary, value: u16, class: Option<ClassIndex>) -> String {
    let quoted = |class: ClassIndex| {
        let name = vocabulary.class(class).map_or("", |class| class.name());
        toml::Value::from(name).to_string()
    };
    let all: Vec<ClassIndex> = (0..vocabulary.len()).filter_map(ClassIndex::from_usize).collect();
    if let [only] = all.as_slice() {
        return format!(
            "labels = {{ values = {{ {value} = {} }}, ignore = [0] }}",
            quoted(*only)
        );
    }
    let others = all.iter().filter(|other| Some(**other) != class);
    let others = others.filter_map(|other| {
        Some(format!(
            "{} = {}",
            vocabulary.encoding().value_of(*other)?,
            quoted(*other)
        ))
    });
    let mut pairs: Vec<_> = others.take(SHOWN + 1).collect();
    if pairs.len() > SHOWN {
        pairs.splice(1.., ["…".to_owned()]);
    }
    pairs.push(format!(
        "{value} = {}",
        class.map_or_else(|| "\"NAME\"".to_owned(), quoted)
    ));
    format!("labels = {{ values = {{ {} }} }}", pairs.join(", "))
}

/// The notes about a split, of its label files alone; of a large one they are read in part, evenly spread, and classes without
/// a pixel then remain unknown. Files that cannot be read are left out. `unseen` says whether unseen classes should have
/// pixels.
pub fn survey(dataset: &Dataset, unseen: bool) -> Vec<Note> {
    let samples = dataset.samples();
    if samples.iter().any(|sample| sample.is_computed()) {
        return Vec::new();
    }
    let step = samples.len().div_ceil(SURVEYED).max(1);
    let vocabulary = dataset.vocabulary();
    let ignored = vocabulary.encoding().assumed_ignored_value();
    let read = |index| {
        let decoded = dataset.decode(index).ok()?;
        let ignored = decoded.ignored.iter().filter(|count| Some(count.value) == ignored);
        Some(PixelCounts {
            classes: decoded.labels.histogram(vocabulary.len()),
            assumed_ignored: ignored.map(|count| count.pixels).sum(),
            all: decoded.labels.as_raw().len() as u64,
        })
    };
    let counted: Vec<_> = (0..samples.len()).into_par_iter().step_by(step).map(read).collect();
    let complete = step == 1 && counted.iter().all(Option::is_some);
    let mut counts = PixelCounts {
        classes: vec![0; vocabulary.len()],
        ..PixelCounts::default()
    };
    for one in counted.into_iter().flatten() {
        counts.add(&one);
    }
    let seen = vocabulary.seen();
    let mut notes = notes(vocabulary, &counts, |class| unseen || seen.is_seen(class));
    if !complete {
        notes.retain(|note| !matches!(note, Note::NoPixels { .. }));
    }
    notes
}

impl PixelCounts {
    pub(super) fn add(&mut self, other: &Self) {
        for (sum, pixels) in self.classes.iter_mut().zip(&other.classes) {
            *sum += pixels;
        }
        self.assumed_ignored += other.assumed_ignored;
        self.all += other.all;
    }
}
