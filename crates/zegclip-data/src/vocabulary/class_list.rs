//! Class lists: names, synonyms, and what makes a list unusable.

use std::collections::HashMap;

use crate::{ClassIndex, DataError, palette::Color};

/// One class of a vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    pub(super) name: String,
    pub(super) synonyms: Vec<String>,
    pub(super) color: Option<Color>,
}

impl Class {
    /// The name as shown, the first of [`Self::names`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name and its synonyms: the text features of all are averaged.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name).chain(&self.synonyms).map(String::as_str)
    }

    /// Reads `sofa|couch`: a name and its synonyms. Spaces around names are ignored.
    pub fn parse(text: &str) -> Self {
        let mut names = text.split('|').map(|name| name.trim().to_owned());
        Self {
            name: names.next().unwrap_or_default(),
            synonyms: names.collect(),
            color: None,
        }
    }

    /// The name and its synonyms in the form that [`Self::parse`] reads: `sofa|couch`.
    pub fn to_spec(&self) -> String {
        self.names().collect::<Vec<_>>().join("|")
    }
}

/// The form in which names are compared: CLIP's tokenizer lower-cases and joins white space.
pub(super) fn key(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// What a name contains that belongs to a notation around it: brackets, quotation marks, control characters.
pub(super) fn notation(name: &str) -> Option<&'static str> {
    let invisible =
        |letter: char| letter.is_control() || matches!(letter, '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{fffd}');
    let unbalanced = |open, close| name.matches(open).count() != name.matches(close).count();
    let letters = name
        .chars()
        .filter(|letter| !letter.is_ascii_punctuation() && !letter.is_whitespace());
    if name.contains(|letter: char| invisible(letter) && !letter.is_whitespace()) {
        Some("an invisible character")
    } else if name.starts_with(['[', '{', ']', '}']) || name.ends_with(['[', '{', ']', '}']) {
        Some("a bracket or brace")
    } else if unbalanced('(', ')') || unbalanced('[', ']') || unbalanced('{', '}') {
        Some("a bracket without its counterpart")
    } else if name.starts_with(['"', '\'', '`', '\u{201c}', '\u{2018}', '\u{ab}']) {
        Some("a quotation mark")
    } else if !name.is_empty() && letters.count() == 0 {
        Some("punctuation only")
    } else {
        None
    }
}

/// Refuses a list that is empty, too long, or in which a name is empty, is in brackets or quotation marks, or occurs twice.
pub(super) fn check(classes: &[Class], origin: &str) -> Result<(), DataError> {
    let origin = origin.to_owned();
    if classes.is_empty() {
        return Err(DataError::NoClasses { origin });
    }
    if classes.len() > ClassIndex::MAX_CLASSES {
        return Err(DataError::TooManyClasses {
            origin,
            classes: classes.len(),
            limit: ClassIndex::MAX_CLASSES,
        });
    }
    let mut positions = HashMap::new();
    for (class, position) in classes.iter().zip(1..) {
        for name in class.names() {
            if name.trim().is_empty() {
                return Err(DataError::EmptyClassName { origin, position });
            }
            if let Some(problem) = notation(name) {
                let name = name.to_owned();
                return Err(DataError::ClassName {
                    origin,
                    position,
                    name,
                    problem,
                });
            }
            if let Some(first) = positions.insert(key(name), position) {
                return Err(DataError::DuplicateClass {
                    origin,
                    name: name.to_owned(),
                    first,
                    second: position,
                });
            }
        }
    }
    Ok(())
}
