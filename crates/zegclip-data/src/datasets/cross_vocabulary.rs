//! Scoring a data set under another vocabulary: which of its classes is which there.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::DatasetError;
use crate::toml_table::read_text;
use crate::{ClassIndex, DataError, LabelMap, Vocabulary};

/// What becomes of a class that has no counterpart in the other vocabulary.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Unmatched {
    /// Its pixels are ignored, in scores too.
    #[default]
    Ignore,
    /// It is an error, which names it.
    Refuse,
    /// It becomes this class of the other vocabulary, such as `background`.
    Become(String),
}

/// How the benchmarks name the same thing differently.
const SAME: [[&str; 2]; 6] = [
    ["aeroplane", "airplane"],
    ["motorbike", "motorcycle"],
    ["sofa", "couch"],
    ["tvmonitor", "tv"],
    ["diningtable", "dining table"],
    ["pottedplant", "potted plant"],
];

/// Which class of one vocabulary is which of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassMatching {
    to: Vec<Option<ClassIndex>>,
    unmatched: Vec<String>,
}

impl From<&str> for Unmatched {
    /// `ignore`, `refuse`, or the name of the class that they become.
    fn from(text: &str) -> Self {
        match text {
            "ignore" => Self::Ignore,
            "refuse" => Self::Refuse,
            name => Self::Become(name.to_owned()),
        }
    }
}

impl ClassMatching {
    /// Reads a table for [`Self::new`]: TOML such as `"wall-brick" = "wall"`.
    ///
    /// # Errors
    /// [`DatasetError::Data`] for a file that cannot be read or is not such a table.
    pub fn read_table(path: &Path) -> Result<BTreeMap<String, String>, DatasetError> {
        toml::from_str(&read_text(path)?).map_err(|error| {
            let origin = format!("`{}`", path.display());
            let message = error.message().to_owned();
            DataError::Toml { origin, message }.into()
        })
    }

    /// Matches the classes of `from` to those of `to`: by `table` (name to name) where it has the class, else by name or
    /// synonym, letter case, spaces and hyphens aside, else by the names that the benchmarks have for the same thing.
    ///
    /// # Errors
    /// [`DataError::UnknownClass`](crate::DataError::UnknownClass) for a name in `table` or `unmatched` that is not in
    /// its vocabulary, and [`DatasetError::Unmatched`] if such classes are refused.
    pub fn new(
        from: &Vocabulary,
        to: &Vocabulary,
        table: &BTreeMap<String, String>,
        unmatched: &Unmatched,
    ) -> Result<Self, DatasetError> {
        let mut explicit = BTreeMap::new();
        for (name, other) in table {
            let class = from.require(name, "the table of classes")?;
            explicit.insert(class, to.require(other, "the table of classes")?);
        }
        let fallback = match unmatched {
            Unmatched::Become(name) => Some(to.require(name, "the class for those without a counterpart")?),
            Unmatched::Ignore | Unmatched::Refuse => None,
        };
        let mut matching = Self {
            to: Vec::with_capacity(from.len()),
            unmatched: Vec::new(),
        };
        for (class, names) in (0..).filter_map(ClassIndex::new).zip(from.classes()) {
            let found = explicit
                .get(&class)
                .copied()
                .or_else(|| names.names().find_map(|name| counterpart(name, to)));
            if found.is_none() {
                if *unmatched == Unmatched::Refuse {
                    return Err(DatasetError::Unmatched {
                        dataset: from.name().to_owned(),
                        class: names.name().to_owned(),
                        vocabulary: to.name().to_owned(),
                    });
                }
                matching.unmatched.push(names.name().to_owned());
            }
            matching.to.push(found.or(fallback));
        }
        Ok(matching)
    }

    /// The counterpart of a class.
    pub fn get(&self, class: ClassIndex) -> Option<ClassIndex> {
        self.to.get(class.index()).copied().flatten()
    }

    /// Names of the classes that found no counterpart.
    pub fn unmatched(&self) -> &[String] {
        &self.unmatched
    }

    /// The labels under the other vocabulary.
    pub fn apply(&self, labels: &LabelMap) -> LabelMap {
        labels.map(|class| self.get(class))
    }
}

fn counterpart(name: &str, vocabulary: &Vocabulary) -> Option<ClassIndex> {
    let same = SAME
        .iter()
        .filter(|pair| pair.iter().any(|other| key(other) == key(name)))
        .flatten()
        .copied();
    let names: Vec<_> = std::iter::once(name).chain(same).map(key).collect();
    names.iter().find_map(|name| {
        let position = vocabulary
            .classes()
            .iter()
            .position(|class| class.names().any(|other| key(other) == *name))?;
        ClassIndex::from_usize(position)
    })
}

/// What names are compared by.
fn key(name: &str) -> String {
    name.chars()
        .filter(|letter| !matches!(letter, ' ' | '-' | '_'))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built_in(name: &str) -> Vocabulary {
        Vocabulary::built_in(name).unwrap()
    }

    fn matched(matching: &ClassMatching, from: &Vocabulary, to: &Vocabulary, name: &str) -> Option<String> {
        let class = matching.get(from.find(name).unwrap())?;
        to.class(class).map(|class| class.name().to_owned())
    }

    #[test]
    fn all_of_voc_is_in_coco() {
        let (voc, coco) = (built_in("voc20"), built_in("coco171"));
        let matching = ClassMatching::new(&voc, &coco, &BTreeMap::new(), &Unmatched::Refuse).unwrap();
        let name = |name| matched(&matching, &voc, &coco, name);
        assert_eq!(name("tvmonitor").as_deref(), Some("tv"));
        assert_eq!(name("pottedplant").as_deref(), Some("potted plant"));
        assert_eq!(name("diningtable").as_deref(), Some("dining table"));
        let back = ClassMatching::new(&coco, &voc, &BTreeMap::new(), &Unmatched::Ignore).unwrap();
        assert_eq!(back.unmatched().len(), 171 - 20);
        assert_eq!(matched(&back, &coco, &voc, "airplane").as_deref(), Some("aeroplane"));
        assert_eq!(matched(&back, &coco, &voc, "wall-brick"), None);
    }

    #[test]
    fn a_table_and_a_fallback_decide() {
        let (coco, context) = (built_in("coco171"), built_in("context60"));
        let table = BTreeMap::from([("wall-brick".to_owned(), "wall".to_owned())]);
        let fallback = Unmatched::Become("background".to_owned());
        let matching = ClassMatching::new(&coco, &context, &table, &fallback).unwrap();
        let name = |name| matched(&matching, &coco, &context, name).unwrap();
        assert_eq!(
            [name("wall-brick"), name("zebra"), name("cup")],
            ["wall", "background", "cup"]
        );
        assert!(matching.unmatched().contains(&"zebra".to_owned()));

        let labels = LabelMap::from_raw(2, 1, vec![0, LabelMap::IGNORE]).unwrap();
        let person = context.find("person").unwrap().get();
        assert_eq!(matching.apply(&labels).as_raw(), [person, LabelMap::IGNORE]);
    }

    #[test]
    fn names_that_do_not_exist_are_refused() {
        let (voc, coco) = (built_in("voc20"), built_in("coco171"));
        let table = BTreeMap::from([("sofe".to_owned(), "couch".to_owned())]);
        let error = ClassMatching::new(&voc, &coco, &table, &Unmatched::Ignore)
            .unwrap_err()
            .to_string();
        assert!(error.contains("`sofe`") && error.contains("`sofa`"), "{error}");
        let error = ClassMatching::new(&coco, &voc, &BTreeMap::new(), &Unmatched::Refuse)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("the class `truck` of coco171 has no counterpart"),
            "{error}"
        );
    }
}
