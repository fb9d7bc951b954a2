//! The sum of the counts of shards.

use std::collections::BTreeSet;
use std::path::Path;

use super::{EvaluationError, Shard};
use crate::metrics::Confusion;

/// Numbers of shards above which names are not believed.
const MAX_SHARDS: usize = 1 << 16;

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

/// Shards that are not among the files, as far as their names tell: each as `K/N`.
pub fn missing_shards<P: AsRef<Path>>(paths: &[P]) -> Vec<Shard> {
    let named: Option<Vec<Shard>> = paths.iter().map(|path| Shard::of_file(path.as_ref())).collect();
    let named = named.unwrap_or_default();
    // Names of other evaluations say nothing about how many there are.
    let Some(of) = named.first().map(|shard| shard.of()).filter(|of| *of <= MAX_SHARDS) else {
        return Vec::new();
    };
    let all = (1..=of).filter_map(|number| format!("{number}/{of}").parse().ok());
    all.filter(|shard| !named.contains(shard)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LabelMap, Vocabulary};

    #[test]
    fn shards_that_are_not_named_are_known_by_the_names_of_the_others() {
        let name = |number, of| format!("a/evaluation.shard-{number}-of-{of}.confusion.json");
        let missing = missing_shards(&[name(1, 3), name(3, 3)]);
        assert_eq!(missing.iter().map(ToString::to_string).collect::<Vec<_>>(), ["2/3"]);
        assert!(missing_shards(&[name(1, 2), name(2, 2)]).is_empty());
        assert!(missing_shards(&[name(1, 3), "renamed.json".to_owned()]).is_empty());
        assert!(missing_shards(&[name(1, usize::MAX)]).is_empty());
        assert!(missing_shards::<&Path>(&[]).is_empty());
    }

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
