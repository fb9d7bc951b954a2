//! What the pixel values of a label file mean: the only place that knows offsets and ignore values.

use std::collections::BTreeMap;

use crate::{ClassIndex, DataError, LabelMap};

/// Pixel values of a label file as stored, `[height, width]` in rows, before anything says what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawLabels {
    width: u32,
    height: u32,
    values: Vec<u16>,
}

impl RawLabels {
    /// Takes rows of values.
    ///
    /// # Errors
    /// [`DataError::LabelMapSize`] unless there are `width × height` values.
    pub fn new(width: u32, height: u32, values: Vec<u16>) -> Result<Self, DataError> {
        if u64::from(width) * u64::from(height) != values.len() as u64 {
            return Err(DataError::LabelMapSize {
                width,
                height,
                values: values.len(),
            });
        }
        Ok(Self { width, height, values })
    }

    /// Columns.
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// The values in rows.
    pub fn values(&self) -> &[u16] {
        &self.values
    }
}

/// A label map read from a file, and what the file held besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedLabels {
    /// The labels; a pixel of unknown value is ignored.
    pub labels: LabelMap,
    /// Values that are neither a class nor to be ignored, in order.
    pub unknown: Vec<ValueCount>,
    /// Values to be ignored that occur, in order.
    pub ignored: Vec<ValueCount>,
    /// Whether unknown values lie at edges only, as in masks that were scaled with interpolation or compressed as JPEG.
    pub interpolated: bool,
}

impl Default for DecodedLabels {
    fn default() -> Self {
        Self {
            labels: LabelMap::filled(0, 0, None),
            unknown: Vec::new(),
            ignored: Vec::new(),
            interpolated: false,
        }
    }
}

impl DecodedLabels {
    /// How many pixels have an unknown value.
    pub fn unknown_pixels(&self) -> u64 {
        self.unknown.iter().map(|unknown| unknown.pixels).sum()
    }
}

/// How often a value occurs in a label file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueCount {
    /// The value as stored.
    pub value: u16,
    /// How many pixels have it.
    pub pixels: u64,
}

/// Which class, if any, each pixel value of a label file stands for.
#[derive(Clone, Debug)]
pub struct LabelEncoding {
    /// Of each value what it means; values beyond the end are [`UNKNOWN`].
    meaning: Vec<u32>,
    rule: Rule,
    /// Whether the ignored value is the usual one, and not stated.
    assumes_ignored: bool,
}

impl PartialEq for LabelEncoding {
    /// Whether all values mean the same, stated or assumed.
    fn eq(&self, other: &Self) -> bool {
        (&self.meaning, &self.rule) == (&other.meaning, &other.rule)
    }
}

impl Eq for LabelEncoding {}

/// How an encoding is written down, to write it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Value `first` is the first class, the next value the next class.
    Offset { first: u16 },
    /// Each value has its class.
    Table(BTreeMap<u16, ClassIndex>),
}

const IGNORED: u32 = LabelMap::IGNORE as u32;
const UNKNOWN: u32 = u32::MAX;

impl LabelEncoding {
    /// Value `first` is the first of `classes` classes, `first + 1` the second …; the values in `ignore` are ignored.
    ///
    /// # Errors
    /// [`DataError::LabelValue`] for an ignored value that is a class too, or a class whose value exceeds 65,535.
    pub fn offset(classes: usize, first: u16, ignore: impl IntoIterator<Item = u16>) -> Result<Self, DataError> {
        let value = |class: usize| {
            u16::try_from(class + usize::from(first)).map_err(|_| {
                value_error(
                    u16::MAX,
                    format!("is the last, too few for {classes} classes from {first}"),
                )
            })
        };
        let pairs = (0..classes)
            .map(|class| Ok((value(class)?, class)))
            .collect::<Result<Vec<_>, _>>()?;
        let meaning = meaning(pairs, ignore)?;
        Ok(Self {
            meaning,
            rule: Rule::Offset { first },
            assumes_ignored: false,
        })
    }

    /// The encoding of a class list that states none: the value is the class. 255 is ignored, or 65,535 where 255 is
    /// a class.
    pub fn identity(classes: usize) -> Self {
        let ignore = if classes <= usize::from(u8::MAX) {
            u8::MAX.into()
        } else {
            u16::MAX
        };
        let length = classes.min(ClassIndex::MAX_CLASSES).max(usize::from(ignore) + 1);
        let code = |value: usize| if value < classes { value as u32 } else { UNKNOWN };
        let mut meaning = (0..length).map(code).collect::<Vec<_>>();
        if let Some(code) = meaning.get_mut(usize::from(ignore)) {
            *code = IGNORED;
        }
        Self {
            meaning,
            rule: Rule::Offset { first: 0 },
            assumes_ignored: true,
        }
    }

    /// Every value with its class; several values may mean one class.
    ///
    /// # Errors
    /// [`DataError::LabelValue`] for a value with two meanings.
    pub fn table(
        pairs: impl IntoIterator<Item = (u16, ClassIndex)>,
        ignore: impl IntoIterator<Item = u16>,
    ) -> Result<Self, DataError> {
        let pairs = pairs.into_iter().collect::<Vec<_>>();
        let meaning = meaning(pairs.iter().map(|&(value, class)| (value, class.index())), ignore)?;
        Ok(Self {
            meaning,
            rule: Rule::Table(pairs.into_iter().collect()),
            assumes_ignored: false,
        })
    }

    /// The same encoding, of which it is said whether its ignored value is assumed.
    #[must_use]
    pub(crate) fn with_assumed_ignored(self, assumes_ignored: bool) -> Self {
        Self {
            assumes_ignored,
            ..self
        }
    }

    /// The value that is ignored although nothing states it: 255, or 65,535 where 255 is a class.
    pub fn assumed_ignored_value(&self) -> Option<u16> {
        let usual = [u16::from(u8::MAX), u16::MAX];
        let mut ignored = self.ignored_values().filter(|value| usual.contains(value));
        ignored.next().filter(|_| self.assumes_ignored)
    }

    /// Gives the pixels of a label file their classes.
    pub fn decode(&self, raw: &RawLabels) -> DecodedLabels {
        let mut unknown = BTreeMap::<u16, u64>::new();
        // The same value most often follows itself.
        let (mut ignored, mut run) = (BTreeMap::<u16, u64>::new(), (0, 0));
        let label = |&value: &u16| {
            let code = self.meaning.get(usize::from(value)).copied().unwrap_or(UNKNOWN);
            if code == UNKNOWN {
                *unknown.entry(value).or_default() += 1;
                return LabelMap::IGNORE;
            }
            if code == IGNORED {
                if run.0 != value {
                    *ignored.entry(run.0).or_default() += run.1;
                    run = (value, 0);
                }
                run.1 += 1;
            }
            code as u16
        };
        let labels = raw.values.iter().map(label).collect();
        let labels = LabelMap::from_raw(raw.width, raw.height, labels)
            .unwrap_or_else(|_| LabelMap::filled(raw.width, raw.height, None));
        *ignored.entry(run.0).or_default() += run.1;
        let counts = |values: BTreeMap<u16, u64>| {
            let counts = values.into_iter().filter(|&(_, pixels)| pixels > 0);
            counts
                .map(|(value, pixels)| ValueCount { value, pixels })
                .collect::<Vec<_>>()
        };
        DecodedLabels {
            labels,
            interpolated: unknown.len() > 2 && self.are_at_edges(raw, unknown.values().sum()),
            unknown: counts(unknown),
            ignored: counts(ignored),
        }
    }

    /// Whether most unknown values have a different value beside them in both directions, as at edges that were smoothed;
    /// areas of a class that a list lacks do not.
    fn are_at_edges(&self, raw: &RawLabels, unknown: u64) -> bool {
        let width = raw.width as usize;
        let value = |position: usize| raw.values.get(position).copied();
        let is_known = |value: u16| {
            self.meaning
                .get(usize::from(value))
                .is_some_and(|code| *code != UNKNOWN)
        };
        let mut inside = 0_u64;
        for (position, &found) in raw.values.iter().enumerate() {
            if is_known(found) {
                continue;
            }
            let (column, above) = (position % width.max(1), position.checked_sub(width));
            let same = |neighbor: Option<usize>| neighbor.and_then(value).is_none_or(|other| other == found);
            let left = position.checked_sub(1).filter(|_| column > 0);
            let right = Some(position + 1).filter(|_| column + 1 < width);
            inside += u64::from(same(left) && same(right) && same(above) && same(Some(position + width)));
        }
        2 * inside < unknown && 2 * unknown < raw.values.len() as u64
    }

    /// The class that `value` stands for; `None` where it is ignored or unknown.
    pub fn class_of(&self, value: u16) -> Option<ClassIndex> {
        let code = self.meaning.get(usize::from(value)).copied()?;
        u16::try_from(code).ok().and_then(ClassIndex::new)
    }

    /// The lowest value that stands for `class`.
    pub fn value_of(&self, class: ClassIndex) -> Option<u16> {
        let position = self.meaning.iter().position(|&code| code == u32::from(class.get()))?;
        u16::try_from(position).ok()
    }

    /// The values that mean "ignored", in order.
    pub fn ignored_values(&self) -> impl Iterator<Item = u16> {
        (0..=u16::MAX)
            .zip(&self.meaning)
            .filter(|&(_, &code)| code == IGNORED)
            .map(|(value, _)| value)
    }

    pub(crate) fn rule(&self) -> &Rule {
        &self.rule
    }
}

fn meaning(
    pairs: impl IntoIterator<Item = (u16, usize)>,
    ignore: impl IntoIterator<Item = u16>,
) -> Result<Vec<u32>, DataError> {
    let pairs = pairs.into_iter().map(|(value, class)| (value, class as u32));
    let pairs = pairs.chain(ignore.into_iter().map(|value| (value, IGNORED)));
    let mut meaning = Vec::new();
    for (value, code) in pairs {
        let position = usize::from(value);
        if meaning.len() <= position {
            meaning.resize(position + 1, UNKNOWN);
        }
        if let Some(known) = meaning.get_mut(position) {
            if *known != UNKNOWN && *known != code {
                let words = |code| {
                    if code == IGNORED {
                        "ignored".to_owned()
                    } else {
                        format!("class {code}")
                    }
                };
                return Err(value_error(
                    value,
                    format!("is both {} and {}", words(*known), words(code)),
                ));
            }
            *known = code;
        }
    }
    Ok(meaning)
}

fn value_error(value: u16, problem: String) -> DataError {
    DataError::LabelValue { value, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    const I: u16 = LabelMap::IGNORE;

    fn raw(values: &[u16]) -> RawLabels {
        RawLabels::new(values.len() as u32, 1, values.to_vec()).unwrap()
    }

    #[test]
    fn voc_counts_classes_from_one() {
        let voc = LabelEncoding::offset(20, 1, [0, 255]).unwrap();
        let decoded = voc.decode(&raw(&[0, 1, 20, 255, 21, 21, 300]));
        assert_eq!(decoded.labels.as_raw(), [I, 0, 19, I, I, I, I]);
        let unknown = decoded.unknown.iter().map(|unknown| (unknown.value, unknown.pixels));
        assert_eq!(unknown.collect::<Vec<_>>(), [(21, 2), (300, 1)]);
        assert_eq!(voc.ignored_values().collect::<Vec<_>>(), [0, 255]);
        for class in (0..20).filter_map(ClassIndex::new) {
            assert_eq!(voc.value_of(class).and_then(|value| voc.class_of(value)), Some(class));
        }
    }

    #[test]
    fn the_ignore_value_of_a_list_is_never_one_of_its_classes() {
        for classes in [1, 3, 254, 255, 256, 1000, 65_535] {
            let encoding = LabelEncoding::identity(classes);
            let ignore = if classes <= 255 { 255 } else { 65_535 };
            let last = classes as u16 - 1;
            assert_eq!(
                encoding.ignored_values().collect::<Vec<_>>(),
                [ignore],
                "{classes} classes"
            );
            assert_eq!(encoding.class_of(last), ClassIndex::new(last));
            assert_eq!(encoding.decode(&raw(&[0, last, ignore])).labels.as_raw(), [0, last, I]);
        }
        assert_eq!(LabelEncoding::identity(3).decode(&raw(&[3])).unknown.len(), 1);
    }

    #[test]
    fn several_values_may_mean_one_class() {
        let class = |index| ClassIndex::new(index).unwrap();
        let encoding = LabelEncoding::table([(7, class(0)), (9, class(1)), (12, class(0))], [0]).unwrap();
        assert_eq!(encoding.decode(&raw(&[12, 9, 7, 0])).labels.as_raw(), [0, 1, 0, I]);
        assert_eq!(encoding.value_of(class(0)), Some(7));
    }

    #[test]
    fn a_value_has_one_meaning() {
        let class = |index| ClassIndex::new(index).unwrap();
        let error = LabelEncoding::table([(7, class(0)), (7, class(1))], []).unwrap_err();
        assert_eq!(error.to_string(), "label value 7 is both class 0 and class 1");
        let error = LabelEncoding::offset(20, 1, [5]).unwrap_err();
        assert_eq!(error.to_string(), "label value 5 is both class 4 and ignored");
        let error = LabelEncoding::offset(20, 65_530, []).unwrap_err();
        assert!(error.to_string().contains("too few for 20 classes"), "{error}");
    }
}
