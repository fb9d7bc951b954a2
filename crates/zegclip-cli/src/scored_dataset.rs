//! Images and classes of `eval` and `score`.

use std::ffi::OsStr;
use std::path::Path;

use zegclip_data::Vocabulary;
use zegclip_data::datasets::{ClassMatching, Dataset, Unmatched};
use zegclip_foundation::text_of;

use crate::dataset::spec;
use crate::failure::Failure;

/// The data set and the classes to score.
pub(crate) struct Request<'a> {
    pub(crate) dataset: &'a OsStr,
    pub(crate) split: Option<&'a str>,
    pub(crate) vocabulary: Option<&'a OsStr>,
    pub(crate) table: Option<&'a Path>,
    pub(crate) unmatched: Option<&'a str>,
    pub(crate) seen: Option<&'a str>,
}

/// A split with labels under the classes to score.
pub(crate) struct ScoredDataset {
    pub(crate) dataset: Dataset,
    /// The classes, of which the requested ones are seen.
    pub(crate) vocabulary: Vocabulary,
    /// Whether the classes are not the data set's own.
    pub(crate) other_classes: bool,
}

/// Opens a complete split.
pub(crate) fn open(request: &Request) -> Result<ScoredDataset, Failure> {
    let spec = spec(request.dataset)?;
    let split = request.split.unwrap_or_else(|| spec.validation_split());
    let mut dataset = spec.open(split)?;
    let mut other_classes = false;
    if let Some(name) = request.vocabulary {
        let vocabulary = Vocabulary::from_name_or_file(name).map_err(Failure::usage)?;
        other_classes = !vocabulary.names().eq(dataset.vocabulary().names());
        let table = request
            .table
            .map(ClassMatching::read_table)
            .transpose()?
            .unwrap_or_default();
        let unmatched = request.unmatched.map_or(Unmatched::Ignore, Unmatched::from);
        let (remapped, matching) = dataset
            .remap_to(vocabulary, &table, &unmatched)
            .map_err(Failure::usage)?;
        if !matching.unmatched().is_empty() {
            let treatment = match &unmatched {
                Unmatched::Become(name) => format!("become `{name}`"),
                _ => "are ignored".to_owned(),
            };
            crate::output::message(format_args!(
                "note: {} classes of {} have no counterpart in {} and {treatment}: {}",
                matching.unmatched().len(),
                dataset.name(),
                text_of(name),
                shortened(matching.unmatched()),
            ));
        }
        dataset = remapped;
    }
    let vocabulary = with_seen(dataset.vocabulary(), request.seen)?;
    Ok(ScoredDataset {
        dataset,
        vocabulary,
        other_classes,
    })
}

/// The classes, of which the named ones are seen.
pub(crate) fn with_seen(vocabulary: &Vocabulary, seen: Option<&str>) -> Result<Vocabulary, Failure> {
    match seen {
        None => Ok(vocabulary.clone()),
        Some(names) => {
            let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
            vocabulary.clone().with_seen_names(names).map_err(Failure::usage)
        }
    }
}

/// The first names.
fn shortened(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let more = if names.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
