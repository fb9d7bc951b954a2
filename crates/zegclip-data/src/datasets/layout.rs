//! Finding a data set's folders and lists by looking.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use zegclip_foundation::{files_in, quoted, text_of};

use super::error::DatasetError;
use crate::DataError;
use crate::suggestion::hint;

/// A folder that was given for a data set, and the data set's name for messages.
pub(super) struct Place<'a> {
    pub(super) dataset: &'a str,
    pub(super) root: &'a Path,
}

impl Place<'_> {
    /// The first of `candidates`, relative to the root, that exists.
    pub(super) fn find(&self, candidates: &[String]) -> Option<PathBuf> {
        candidates
            .iter()
            .map(|candidate| self.root.join(candidate))
            .find(|path| path.exists())
    }

    /// As [`Self::find`], or an error that says what was expected and what was found.
    pub(super) fn require(&self, what: &str, candidates: &[String]) -> Result<PathBuf, DatasetError> {
        self.find(candidates).ok_or_else(|| self.missing(what, candidates))
    }

    pub(super) fn missing(&self, what: &str, candidates: &[String]) -> DatasetError {
        // The first few say enough of the pattern.
        const SHOWN: usize = 4;
        DatasetError::Layout {
            dataset: self.dataset.to_owned(),
            what: what.to_owned(),
            root: self.root.to_owned(),
            expected: candidates
                .iter()
                .take(SHOWN)
                .map(|candidate| format!("`{candidate}`"))
                .collect(),
            found: describe(self.root),
        }
    }

    pub(super) fn unknown_split(&self, split: &str, known: &[&str]) -> DatasetError {
        DatasetError::UnknownSplit {
            dataset: self.dataset.to_owned(),
            split: split.to_owned(),
            hint: hint(split, known.iter().copied()),
            known: quoted(known),
        }
    }
}

/// Each of `names` in each of `roots`, the first root first; the root `""` is the given folder itself.
pub(super) fn candidates(roots: &[&str], names: &[&str]) -> Vec<String> {
    let join = |root: &str, name: &str| {
        if root.is_empty() {
            name.to_owned()
        } else {
            format!("{root}/{name}")
        }
    };
    roots
        .iter()
        .flat_map(|root| names.iter().map(move |name| join(root, name)))
        .collect()
}

/// What a folder holds, for messages: a few names.
fn describe(folder: &Path) -> String {
    const SHOWN: usize = 8;
    let Ok(entries) = std::fs::read_dir(folder) else {
        let what = if folder.exists() { "a file" } else { "no such folder" };
        return what.to_owned();
    };
    let mut names: Vec<_> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    let hidden = names.len().saturating_sub(SHOWN);
    let shown: Vec<_> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match (shown.is_empty(), hidden) {
        (true, _) => "an empty folder".to_owned(),
        (false, 0) => shown.join(", "),
        (false, hidden) => format!("{} and {hidden} more", shown.join(", ")),
    }
}

/// The files of a folder whose name ends in `suffix`, by the name before it.
///
/// # Errors
/// [`DataError::Io`] if the folder cannot be read.
pub(super) fn files_by_id(folder: &Path, suffix: &str) -> Result<BTreeMap<String, PathBuf>, DatasetError> {
    let mut files = BTreeMap::new();
    for file in files_in(folder, false).map_err(DataError::listing)? {
        let name = file.path.file_name().map(text_of).unwrap_or_default();
        if let Some(id) = name.strip_suffix(suffix).filter(|id| !id.is_empty()) {
            files.insert(id.to_owned(), file.path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place {
            dataset: "voc2012",
            root: folder.path(),
        };
        let error = place
            .require("folder of lists", &["A/B", "B"].map(str::to_owned))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("expected `A/B` or `B`; found an empty folder"),
            "{error}"
        );
        for number in 0..10 {
            std::fs::write(folder.path().join(format!("file{number}")), "").unwrap();
        }
        let error = place
            .require("folder of lists", &["A/B".to_owned()])
            .unwrap_err()
            .to_string();
        assert!(error.ends_with("`file6`, `file7` and 2 more"), "{error}");
        let place = Place {
            dataset: "voc2012",
            root: &folder.path().join("nowhere"),
        };
        let error = place
            .require("folder of lists", &["A/B".to_owned()])
            .unwrap_err()
            .to_string();
        assert!(error.ends_with("found no such folder"), "{error}");
    }
}
