//! `zegclip score`

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use zegclip_data::datasets::{Dataset, DatasetError, LabelFolder};
use zegclip_data::evaluation::{Evaluation, EvaluationError, EvaluationState, Scored};
use zegclip_data::metrics::Confusion;
use zegclip_data::{LabelDepth, LabelMap, RgbImage, Vocabulary, output_encoding};
use zegclip_report::evaluation_page;

use crate::evaluation_files::{EvaluationFiles, print, running};
use crate::failure::Failure;
use crate::plan::{self, Comparison, ScorePlan};
use crate::progress::bar;
use crate::scored_dataset::{self, Request, ScoredDataset};

pub(crate) fn run(plan: &ScorePlan) -> Result<(), Failure> {
    match plan {
        ScorePlan::Compare(options) => compare(options),
        ScorePlan::Merge {
            shards,
            output,
            overwrite,
            json,
        } => merge(shards, prepared(output.as_deref(), *overwrite)?.as_ref(), *json),
    }
}

/// The files of the result, if there is a folder for them.
fn prepared(output: Option<&Path>, overwrite: bool) -> Result<Option<EvaluationFiles>, Failure> {
    let files = output.map(|output| EvaluationFiles::new(output, "evaluation"));
    if let Some(files) = &files {
        files.prepare(overwrite)?;
    }
    Ok(files)
}

fn compare(options: &Comparison) -> Result<(), Failure> {
    let files = prepared(options.output.as_deref(), options.overwrite)?;
    let (truth, vocabulary) = truth(options)?;
    let truth = Arc::new(truth);
    let (encoding, depth) = output_encoding(vocabulary.len());
    let folder = Arc::new(LabelFolder::open(&options.predictions, encoding, depth)?);
    let count = truth.len();
    // Before anything is scored, so that a wrong folder is reported at once.
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
        let labels = match &options.truth {
            plan::Truth::Folder { labels, .. } => labels.display().to_string(),
            plan::Truth::Dataset { dataset, .. } => dataset.clone(),
        };
        let header = [
            ("predictions", options.predictions.display().to_string()),
            ("labels", labels),
            (
                "classes",
                format!("{}: {} classes", vocabulary.name(), vocabulary.len()),
            ),
        ];
        let header = header.map(|(name, value)| (name.to_owned(), value));
        write(files, &header, &state, &vocabulary, |index| truth.shown(index))?;
    }
    print(state.confusion(), options.json)
}

/// Labels to compare predictions with.
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

    /// Name, image and labels.
    fn shown(&self, index: usize) -> Result<(String, Option<RgbImage>, LabelMap), EvaluationError> {
        let image = match self {
            Self::Dataset(dataset) if dataset.has_images() => Some(dataset.load(index)?.0),
            _ => None,
        };
        Ok((self.id(index), image, self.labels(index)?))
    }
}

/// The true labels and the classes.
fn truth(options: &Comparison) -> Result<(Truth, Vocabulary), Failure> {
    let (folder, name) = match &options.truth {
        plan::Truth::Dataset {
            dataset,
            split,
            vocabulary,
            table,
            unmatched,
        } => {
            let ScoredDataset {
                dataset, vocabulary, ..
            } = scored_dataset::open(&Request {
                dataset,
                split: split.as_deref(),
                vocabulary: vocabulary.as_deref(),
                table: table.as_deref(),
                unmatched: unmatched.as_deref(),
                seen: options.seen.as_deref(),
            })?;
            return Ok((Truth::Dataset(dataset), vocabulary));
        }
        plan::Truth::Folder { labels, vocabulary } => (labels, vocabulary),
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
    header: &[(String, String)],
    state: &EvaluationState,
    vocabulary: &Vocabulary,
    image: impl Fn(usize) -> Result<(String, Option<RgbImage>, LabelMap), EvaluationError>,
) -> Result<(), Failure> {
    files.write(
        header,
        state.confusion(),
        &evaluation_page(header, state, vocabulary, image)?,
    )
}

/// `score --merge`
fn merge(shards: &[PathBuf], files: Option<&EvaluationFiles>, json: bool) -> Result<(), Failure> {
    let mut total: Option<Confusion> = None;
    let mut read = BTreeSet::new();
    for path in shards {
        let identity = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        if !read.insert(identity) {
            return Err(Failure::usage(format!("`{}` is named twice", path.display())));
        }
        let shard = Confusion::load(path)?;
        match &mut total {
            None => total = Some(shard),
            Some(total) => total
                .merge(&shard)
                .map_err(|error| Failure::failed(format!("`{}`: {error}", path.display())))?,
        }
    }
    let Some(total) = total else {
        return Err(Failure::usage("`--merge` names no file"));
    };
    if let Some(files) = files {
        files.write_scores(&[("shards".to_owned(), shards.len().to_string())], &total)?;
    }
    print(&total, json)
}
