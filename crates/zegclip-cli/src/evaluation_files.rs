//! Result files of `eval` and `score`: JSON, Markdown, a page, and the confusion to add up.

use std::path::{Path, PathBuf};

use zegclip_data::metrics::{Confusion, Scores, evaluation_json, markdown_table};
use zegclip_data::write_atomically;

use crate::failure::Failure;
use crate::{hints, output};

/// Files of one evaluation in a folder. Their names begin alike.
#[derive(Debug, Clone)]
pub(crate) struct EvaluationFiles {
    folder: PathBuf,
    stem: String,
}

impl EvaluationFiles {
    /// `stem` is `evaluation`, or names a part of one.
    pub(crate) fn new(folder: &Path, stem: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            stem: stem.to_owned(),
        }
    }

    pub(crate) fn path(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", self.stem))
    }

    /// How far an evaluation is that is not finished.
    pub(crate) fn state(&self) -> PathBuf {
        self.path("state.json")
    }

    /// Creates the folder; a finished evaluation in it is replaced only if `overwrite` is set.
    pub(crate) fn prepare(&self, overwrite: bool) -> Result<(), Failure> {
        let finished = self.path("json");
        if finished.exists() && !overwrite {
            return Err(Failure::usage(format!("`{}` already exists", finished.display())).hint(hints::CHOOSE_OUTPUT));
        }
        output::create_folder(&self.folder)
    }

    /// Removes the state of an unfinished evaluation.
    pub(crate) fn remove_state(&self) -> Result<(), Failure> {
        let state = self.state();
        if !state.exists() {
            return Ok(());
        }
        std::fs::remove_file(&state)
            .map_err(|error| Failure::failed(format!("cannot remove `{}`: {error}", state.display())))
    }

    /// Writes everything. The JSON is written last: where it is, everything else is.
    pub(crate) fn write(&self, facts: &[(String, String)], confusion: &Confusion, html: &str) -> Result<(), Failure> {
        write_atomically(&self.path("html"), |file| file.write_all(html.as_bytes()))?;
        confusion.save(&self.path("confusion.json"))?;
        self.write_scores(facts, confusion)
    }

    /// Writes Markdown and JSON: parts that are added up have no images to show, and their sum is not to be added.
    pub(crate) fn write_scores(&self, facts: &[(String, String)], confusion: &Confusion) -> Result<(), Failure> {
        let scores = Scores::of(confusion);
        let facts: String = facts
            .iter()
            .map(|(name, value)| format!("- {name}: {value}\n"))
            .collect();
        let table = markdown_table(&scores);
        write_atomically(&self.path("md"), |file| {
            write!(file, "# Evaluation\n\n{facts}\n{table}")
        })?;
        let text = serde_json::to_string_pretty(&evaluation_json(&scores)).map_err(Failure::failed)?;
        write_atomically(&self.path("json"), |file| writeln!(file, "{text}"))?;
        Ok(())
    }
}

/// Prints scores to stdout: JSON on one line, or tables.
pub(crate) fn print(confusion: &Confusion, json: bool) -> Result<(), Failure> {
    let scores = Scores::of(confusion);
    if json {
        output::json(&evaluation_json(&scores))
    } else {
        output::line(markdown_table(&scores).trim_end())
    }
}

/// Message of the progress bar: the current hIoU, or mIoU without unseen classes.
pub(crate) fn running(confusion: &Confusion) -> String {
    let scores = Scores::of(confusion);
    match (scores.hiou, scores.miou) {
        (Some(hiou), _) => format!("hIoU {:.1}", 100.0 * hiou),
        (None, Some(miou)) => format!("mIoU {:.1}", 100.0 * miou),
        (None, None) => String::new(),
    }
}
