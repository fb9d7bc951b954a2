//! Images and classes of `eval` and `score`.

use std::ffi::OsStr;
use std::path::Path;

use zegclip::DenseProtocol;
use zegclip_data::dataset_check::{Note, survey};
use zegclip_data::datasets::{ClassMatching, Dataset, Unmatched};
use zegclip_data::{Vocabulary, published_class_names};
use zegclip_foundation::{counted, text_of};

use crate::arguments::ClassNames;
use crate::dataset::spec;
use crate::failure::Failure;
use crate::{classes, output};

/// The data set and the classes to score.
pub(crate) struct Request<'a> {
    pub(crate) dataset: &'a OsStr,
    pub(crate) split: Option<&'a str>,
    pub(crate) vocabulary: Option<&'a OsStr>,
    pub(crate) table: Option<&'a Path>,
    pub(crate) unmatched: Option<&'a str>,
    pub(crate) seen: Option<&'a ClassNames>,
}

/// A split with labels under the classes to score.
pub(crate) struct ScoredDataset {
    pub(crate) dataset: Dataset,
    /// The classes, of which the requested ones are seen.
    pub(crate) vocabulary: Vocabulary,
    /// Whether the classes are not the data set's own.
    pub(crate) other_classes: bool,
    /// What is assumed of labels and class list; it was printed.
    pub(crate) assumed: Vec<String>,
}

/// Opens a complete split.
pub(crate) fn open(request: &Request) -> Result<ScoredDataset, Failure> {
    let spec = spec(request.dataset)?;
    let split = request.split.unwrap_or_else(|| spec.validation_split());
    let mut dataset = spec.open(split)?;
    let mut assumed = Vec::new();
    for note in survey(&dataset, true) {
        let is_assumption = matches!(note, Note::AssumedIgnored { .. });
        let note = format!("{}, split `{split}`: {note}", dataset.name());
        output::message(format_args!("note: {note}"));
        if is_assumption {
            assumed.push(note);
        }
    }
    let mut other_classes = false;
    if let Some(name) = request.vocabulary {
        let vocabulary = classes::from_name_or_file(name)?;
        assumed.extend_from_slice(vocabulary.assumptions());
        other_classes = !vocabulary.names().eq(dataset.vocabulary().names());
        let table = request
            .table
            .map(ClassMatching::read_table)
            .transpose()?
            .unwrap_or_default();
        let unmatched = request.unmatched.map_or(Unmatched::Ignore, Unmatched::from);
        let (remapped, matching) = dataset.remap_to(vocabulary, &table, &unmatched)?;
        if !matching.unmatched().is_empty() {
            let treatment = match &unmatched {
                Unmatched::Become(name) => format!("become `{name}`"),
                _ => "are ignored".to_owned(),
            };
            crate::output::message(format_args!(
                "note: {} of {} without a counterpart in {} {treatment}: {}",
                counted(matching.unmatched().len(), "class", "classes"),
                dataset.name(),
                text_of(name),
                shortened(matching.unmatched()),
            ));
        }
        dataset = remapped;
    }
    let vocabulary = classes::with_seen(dataset.vocabulary().clone(), request.seen)?;
    Ok(ScoredDataset {
        dataset,
        vocabulary,
        other_classes,
        assumed,
    })
}

/// The classes under the names that a published figure scored them by.
pub(crate) fn with_names_of(vocabulary: Vocabulary, protocol: &DenseProtocol) -> Result<Vocabulary, Failure> {
    let names = published_class_names(protocol.class_file.name(), protocol.benchmark.name());
    let (found, expected) = (vocabulary.len(), names.len());
    vocabulary.with_published_names(names).ok_or_else(|| {
        Failure::usage(format!(
            "the protocol `{}` scores {expected} classes, but the data set has {found}",
            protocol.name()
        ))
    })
}

/// The first names.
fn shortened(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let more = if names.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
