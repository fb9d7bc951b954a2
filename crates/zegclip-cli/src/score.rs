//! `zegclip score`

use std::path::{Path, PathBuf};

use zegclip_data::Vocabulary;
use zegclip_data::evaluation::{
    ASSUMED, EvaluationFiles, LabelComparison, Scored, TrueLabels, merge_confusion_files, missing_shards,
};
use zegclip_foundation::{FileLock, counted, text_of};
use zegclip_report::evaluation_page;

use crate::classes;
use crate::failure::Failure;
use crate::plan::{self, Comparison, ScorePlan};
use crate::progress::bar;
use crate::score_lines::{print, running};
use crate::scored_dataset::{self, Request, ScoredDataset};

pub(crate) fn run(plan: &ScorePlan) -> Result<(), Failure> {
    match plan {
        ScorePlan::Compare(options) => compare(options),
        ScorePlan::Merge {
            shards,
            output,
            overwrite,
            json,
        } => {
            let prepared = prepared(output.as_deref(), *overwrite)?;
            merge(shards, prepared.as_ref().map(|(files, _)| files), *overwrite, *json)
        }
    }
}

/// The files of the result, if there is a folder for them.
fn prepared(output: Option<&Path>, overwrite: bool) -> Result<Option<(EvaluationFiles, FileLock)>, Failure> {
    let Some(output) = output else { return Ok(None) };
    let files = EvaluationFiles::new(output, "evaluation");
    files.prepare(overwrite)?;
    let lock = files.lock()?;
    Ok(Some((files, lock)))
}

fn compare(options: &Comparison) -> Result<(), Failure> {
    let files = prepared(options.output.as_deref(), options.overwrite)?;
    let (truth, vocabulary, assumed) = truth(options)?;
    let assumed: Vec<_> = assumed.into_iter().map(|line| (ASSUMED.to_owned(), line)).collect();
    let comparison = LabelComparison::open(&options.predictions, truth, vocabulary)?;
    if let Some((files, _)) = files.as_ref().filter(|_| options.overwrite) {
        files.remove()?;
    }
    let progress = bar(comparison.len() as u64);
    let scored = |image: &Scored| {
        progress.inc(1);
        if !progress.is_hidden() {
            progress.set_message(running(image.total));
        }
        Ok(())
    };
    let state = comparison.run(options.boundary, scored)?;
    progress.finish_and_clear();
    if let Some((files, _)) = &files {
        let labels = match &options.truth {
            plan::Truth::Folder { labels, .. } => labels.display().to_string(),
            plan::Truth::Dataset { dataset, .. } => text_of(dataset),
        };
        let vocabulary = comparison.vocabulary();
        let header = [
            ("predictions", options.predictions.display().to_string()),
            ("labels", labels),
            (
                "classes",
                format!(
                    "{}: {}",
                    vocabulary.name(),
                    counted(vocabulary.len(), "class", "classes")
                ),
            ),
        ];
        let header = header.map(|(name, value)| (name.to_owned(), value));
        let header: Vec<_> = header.into_iter().chain(assumed.iter().cloned()).collect();
        let html = evaluation_page(&header, &state, vocabulary, |index| comparison.shown(index))?;
        files.write(&header, state.confusion(), &html)?;
    }
    print(state.confusion(), &assumed, options.json)
}

/// The true labels, the classes, and what is assumed of them.
fn truth(options: &Comparison) -> Result<(TrueLabels, Vocabulary, Vec<String>), Failure> {
    let (folder, name) = match &options.truth {
        plan::Truth::Dataset {
            dataset,
            split,
            vocabulary,
            table,
            unmatched,
        } => {
            let ScoredDataset {
                dataset,
                vocabulary,
                assumed,
                ..
            } = scored_dataset::open(&Request {
                dataset,
                split: split.as_deref(),
                vocabulary: vocabulary.as_deref(),
                table: table.as_deref(),
                unmatched: unmatched.as_deref(),
                seen: options.seen.as_ref(),
            })?;
            return Ok((TrueLabels::Dataset(dataset), vocabulary, assumed));
        }
        plan::Truth::Folder { labels, vocabulary } => (labels, vocabulary),
    };
    let vocabulary = classes::with_seen(classes::from_name_or_file(name)?, options.seen.as_ref())?;
    let assumed = vocabulary.assumptions().to_vec();
    Ok((TrueLabels::in_folder(folder, &vocabulary)?, vocabulary, assumed))
}

/// `score --merge`
fn merge(shards: &[PathBuf], files: Option<&EvaluationFiles>, overwrite: bool, json: bool) -> Result<(), Failure> {
    let Some(total) = merge_confusion_files(shards)? else {
        return Err(Failure::usage("`--merge` names no file"));
    };
    let missing: Vec<String> = missing_shards(shards).iter().map(ToString::to_string).collect();
    let mut merged = shards.len().to_string();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        tracing::warn!("the scores are not those of the whole data set: shard {missing} is missing");
        merged = format!("{merged}, without {missing}");
    }
    if let Some(files) = files.filter(|_| overwrite) {
        files.remove()?;
    }
    if let Some(files) = files {
        files.write_scores(&[("shards".to_owned(), merged)], &total)?;
    }
    print(&total, &[], json)
}
