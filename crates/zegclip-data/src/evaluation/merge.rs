//! The sum of the counts of shards.

use std::collections::BTreeSet;
use std::path::Path;

use super::EvaluationError;
use crate::metrics::Confusion;

/// Sums the counts of the files, each by [`Confusion::save`]; `None` without files.
///
/// # Errors
/// [`EvaluationError::NamedTwice`], [`EvaluationError::Merge`] for counts of another vocabulary, and [`EvaluationError::Data`]
/// for files that cannot be read.
pub fn merge_confusion_files<P: AsRef<Path>>(paths: &[P]) -> Result<Option<Confusion>, EvaluationError> {
    let mut total: Option<Confusion> = None;
    let mut read = BTreeSet::new();
    for path in paths.iter().map(AsRef::as_ref) {
        let file = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if !read.insert(file) {
            return Err(EvaluationError::NamedTwice { path: path.to_owned() });
        }
        let shard = Confusion::load(path)?;
        match &mut total {
            None => total = Some(shard),
            Some(total) => total.merge(&shard).map_err(|source| EvaluationError::Merge {
                path: path.to_owned(),
                source,
            })?,
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LabelMap, Vocabulary};

    #[test]
    fn shards_add_up_and_a_file_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let vocabulary = Vocabulary::from_names("cat, dog").unwrap();
        let labels = LabelMap::from_raw(3, 1, vec![0, 0, 1]).unwrap();
        let mut counts = Confusion::new(&vocabulary);
        counts.add(&labels, &labels).unwrap();
        let paths = ["a.json", "b.json"].map(|name| folder.path().join(name));
        for path in &paths {
            counts.save(path).unwrap();
        }
        let total = merge_confusion_files(&paths).unwrap().unwrap();
        assert_eq!(total.images(), 2);
        assert!(merge_confusion_files::<&Path>(&[]).unwrap().is_none());
        let twice = merge_confusion_files(&[&paths[0], &paths[0]]);
        assert!(matches!(twice, Err(EvaluationError::NamedTwice { .. })), "{twice:?}");
        let other = folder.path().join("c.json");
        Confusion::new(&Vocabulary::from_names("cat").unwrap())
            .save(&other)
            .unwrap();
        let mixed = merge_confusion_files(&[&paths[0], &other]);
        assert!(matches!(mixed, Err(EvaluationError::Merge { .. })), "{mixed:?}");
    }
}
