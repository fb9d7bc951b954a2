//! `zegclip score`

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use zegclip_data::datasets::{Dataset, DatasetError, LabelFolder};
use zegclip_data::evaluation::{Evaluation, EvaluationError, EvaluationState, Scored};
use zegclip_data::metrics::Confusion;
use zegclip_data::{LabelDepth, LabelMap, RgbImage, Vocabulary, encoding_of_written};

use crate::evaluation_arguments::ScoreOptions;
use crate::evaluation_files::{EvaluationFiles, page, print, running};
use crate::failure::Failure;
use crate::progress::bar;
use crate::scored_dataset::{self, Request, ScoredDataset};

pub(crate) fn run(options: &ScoreOptions) -> Result<(), Failure> {
    let files = options
        .output
        .as_deref()
        .map(|output| EvaluationFiles::new(output, "evaluation"));
    if let Some(files) = &files {
        files.prepare(options.overwrite)?;
    }
    let (Some(predictions), false) = (&options.predictions, !options.merge.is_empty()) else {
        return merge(options, files.as_ref());
    };
    let (truth, vocabulary) = truth(options)?;
    let truth = Arc::new(truth);
    let (encoding, depth) = encoding_of_written(vocabulary.len());
    let folder = Arc::new(LabelFolder::open(predictions, encoding, depth)?);
    let count = truth.len();
    // Before anything is scored, so that a wrong folder costs nothing.
    for index in 0..count {
        folder.path(&truth.id(index))?;
    }
    let progress = bar(count as u64);
    let scored = |image: &Scored| {
        progress.inc(1);
        if !progress.is_hidden() {
            progress.set_message(running(image.total));
        }
        Ok(())
    };
    let load = {
        let (truth, folder) = (truth.clone(), folder.clone());
        move |index: usize| load(&truth, &folder, index)
    };
    let (identity, never) = (BTreeMap::new(), AtomicBool::new(false));
    let evaluation = Evaluation {
        boundary: options.boundary,
        ..Evaluation::new(&vocabulary, count, &identity, &never)
    };
    let state = evaluation.run(load, Ok::<LabelMap, EvaluationError>, scored)?;
    progress.finish_and_clear();
    if let Some(files) = &files {
        let labels = options.labels.as_deref().map(|path| path.display().to_string());
        let facts = [
            ("predictions", predictions.display().to_string()),
            ("labels", labels.or_else(|| options.dataset.clone()).unwrap_or_default()),
            (
                "classes",
                format!("{}: {} classes", vocabulary.name(), vocabulary.len()),
            ),
        ];
        let facts = facts.map(|(name, value)| (name.to_owned(), value));
        write(files, &facts, &state, &vocabulary, |index| truth.shown(index))?;
    }
    print(state.confusion(), options.json)
}

/// What predictions are compared with.
enum Truth {
    Dataset(Dataset),
    Folder { labels: LabelFolder, ids: Vec<String> },
}

impl Truth {
    fn len(&self) -> usize {
        match self {
            Self::Dataset(dataset) => dataset.len(),
            Self::Folder { ids, .. } => ids.len(),
        }
    }

    fn id(&self, index: usize) -> String {
        match self {
            Self::Dataset(dataset) => dataset.samples().get(index).map(|sample| sample.id().to_owned()),
            Self::Folder { ids, .. } => ids.get(index).cloned(),
        }
        .unwrap_or_default()
    }

    fn labels(&self, index: usize) -> Result<LabelMap, DatasetError> {
        match self {
            Self::Dataset(dataset) => dataset.labels(index),
            Self::Folder { labels, .. } => labels.read(&self.id(index)),
        }
    }

    fn path(&self, index: usize) -> Option<&Path> {
        match self {
            Self::Dataset(dataset) => dataset.samples().get(index)?.label_path(),
            Self::Folder { labels, ids } => labels.path(ids.get(index)?).ok(),
        }
    }

    /// Name, photo and labels.
    fn shown(&self, index: usize) -> Result<(String, Option<RgbImage>, LabelMap), EvaluationError> {
        let photo = match self {
            Self::Dataset(dataset) if dataset.has_images() => Some(dataset.load(index)?.0),
            _ => None,
        };
        Ok((self.id(index), photo, self.labels(index)?))
    }
}

/// The labels that the options name, and the classes.
fn truth(options: &ScoreOptions) -> Result<(Truth, Vocabulary), Failure> {
    if let Some(dataset) = &options.dataset {
        let ScoredDataset {
            dataset, vocabulary, ..
        } = scored_dataset::open(&Request {
            dataset,
            split: options.split.as_deref(),
            vocabulary: options.vocabulary.as_deref(),
            table: options.table.as_deref(),
            unmatched: options.unmatched.as_deref(),
            seen: options.seen.as_deref(),
        })?;
        return Ok((Truth::Dataset(dataset), vocabulary));
    }
    let (Some(folder), Some(name)) = (&options.labels, &options.vocabulary) else {
        return Err(Failure::usage(
            "name the true labels with `--labels DIR --vocabulary V` or `--dataset NAME=DIR`",
        ));
    };
    let vocabulary = Vocabulary::from_name_or_file(name).map_err(Failure::usage)?;
    let vocabulary = scored_dataset::with_seen(&vocabulary, options.seen.as_deref())?;
    let deep = (256..=u16::MAX).any(|value| vocabulary.encoding().class_of(value).is_some());
    let depth = if deep { LabelDepth::Sixteen } else { LabelDepth::Eight };
    let labels = LabelFolder::open(folder, vocabulary.encoding().clone(), depth)?;
    let ids = labels.ids().map(str::to_owned).collect();
    Ok((Truth::Folder { labels, ids }, vocabulary))
}

/// A prediction and its labels.
fn load(truth: &Truth, predictions: &LabelFolder, index: usize) -> Result<(LabelMap, LabelMap), DatasetError> {
    let id = truth.id(index);
    let (labels, prediction) = (truth.labels(index)?, predictions.read(&id)?);
    if labels.dimensions() == prediction.dimensions() {
        return Ok((prediction, labels));
    }
    Err(DatasetError::PredictionSize {
        prediction: predictions.path(&id)?.to_owned(),
        prediction_size: prediction.dimensions(),
        labels: truth.path(index).unwrap_or(Path::new("")).to_owned(),
        label_size: labels.dimensions(),
    })
}

fn write(
    files: &EvaluationFiles,
    facts: &[(String, String)],
    state: &EvaluationState,
    vocabulary: &Vocabulary,
    image: impl Fn(usize) -> Result<(String, Option<RgbImage>, LabelMap), EvaluationError>,
) -> Result<(), Failure> {
    files.write(facts, state.confusion(), &page(facts, state, vocabulary, image)?)
}

/// `score --merge`
fn merge(options: &ScoreOptions, files: Option<&EvaluationFiles>) -> Result<(), Failure> {
    let mut total: Option<Confusion> = None;
    let mut met = BTreeSet::new();
    for path in &options.merge {
        let identity = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        if !met.insert(identity) {
            return Err(Failure::usage(format!("`{}` is named twice", path.display())));
        }
        let part = Confusion::load(path)?;
        match &mut total {
            None => total = Some(part),
            Some(total) => total
                .merge(&part)
                .map_err(|error| Failure::failed(format!("`{}`: {error}", path.display())))?,
        }
    }
    let Some(total) = total else {
        return Err(Failure::usage("name the files to add up after `--merge`"));
    };
    if let Some(files) = files {
        files.write_scores(&[("parts".to_owned(), options.merge.len().to_string())], &total)?;
    }
    print(&total, options.json)
}
