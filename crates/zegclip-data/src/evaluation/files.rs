//! The files of a finished evaluation: JSON, Markdown, a page, and counts that can be merged.

use std::path::{Path, PathBuf};

use serde_json::Value;
use zegclip_foundation::{FileLock, LockError, check_folder, create_folder, remove_leftovers};

use super::EvaluationError;
use crate::metrics::{Confusion, Scores, evaluation_json, markdown_table};
use crate::{DataError, remove_if_there, write_atomically};

/// Facts about an evaluation in the order in which reports show them: name and value.
pub type ReportHeader = [(String, String)];

/// The files of one evaluation in a folder: `STEM.json`, `STEM.md`, `STEM.html`, `STEM.confusion.json`, and `STEM.state.json`
/// while it is unfinished.
///
/// ```
/// use zegclip_data::evaluation::EvaluationFiles;
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let files = EvaluationFiles::new(folder, "evaluation");
/// files.prepare(false)?;
/// assert!(files.state().ends_with("evaluation.state.json"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationFiles {
    folder: PathBuf,
    stem: String,
}

impl EvaluationFiles {
    /// Files in `folder` whose names begin with `stem`: `evaluation`, or the [stem of a shard](super::Shard::stem).
    pub fn new(folder: &Path, stem: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            stem: stem.to_owned(),
        }
    }

    /// `FOLDER/STEM.ENDING`
    pub fn path(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", self.stem))
    }

    /// The state of an unfinished evaluation.
    pub fn state(&self) -> PathBuf {
        self.path("state.json")
    }

    /// Creates the folder, finds out whether files can be written there, and removes unfinished files of killed processes.
    ///
    /// # Errors
    /// [`EvaluationError::Finished`] if the folder has a finished evaluation of this name and `overwrite` is false,
    /// [`EvaluationError::Data`] if the folder cannot be created or written to.
    pub fn prepare(&self, overwrite: bool) -> Result<(), EvaluationError> {
        let finished = self.path("json");
        if finished.exists() && !overwrite {
            return Err(EvaluationError::Finished { path: finished });
        }
        create_folder(&self.folder).map_err(DataError::io("create", &self.folder))?;
        check_folder(&self.folder).map_err(DataError::io("write to", &self.folder))?;
        remove_leftovers(&self.folder);
        Ok(())
    }

    /// Keeps other processes from an evaluation of this name in this folder until the lock is dropped.
    ///
    /// # Errors
    /// [`EvaluationError::InUse`] if another process is at it, [`EvaluationError::Data`] if the folder cannot be written to.
    pub fn lock(&self) -> Result<FileLock, EvaluationError> {
        let path = self.path("lock");
        FileLock::acquire(&path).map_err(|error| match error {
            LockError::Io(source) => DataError::io("write", &path)(source).into(),
            _ => EvaluationError::InUse {
                folder: self.folder.clone(),
                stem: self.stem.clone(),
            },
        })
    }

    /// Removes all files of an earlier evaluation of this name, so that none of them stands beside a new one.
    ///
    /// # Errors
    /// [`EvaluationError::Data`] if a file cannot be removed.
    pub fn remove(&self) -> Result<(), EvaluationError> {
        for ending in ["json", "md", "html", "confusion.json"] {
            self.remove_file(ending)?;
        }
        self.remove_state()
    }

    /// Removes the state of an unfinished evaluation, if there is one.
    ///
    /// # Errors
    /// [`EvaluationError::Data`] if the file cannot be removed.
    pub fn remove_state(&self) -> Result<(), EvaluationError> {
        self.remove_file("state.json")
    }

    fn remove_file(&self, ending: &str) -> Result<(), EvaluationError> {
        let path = self.path(ending);
        Ok(remove_if_there(&path)?)
    }

    /// Writes all files. The JSON is the last one: where it exists, the others do.
    ///
    /// # Errors
    /// [`EvaluationError::Data`] if a file cannot be written.
    pub fn write(&self, header: &ReportHeader, confusion: &Confusion, html: &str) -> Result<(), EvaluationError> {
        write_atomically(&self.path("html"), |file| file.write_all(html.as_bytes()))?;
        confusion.save(&self.path("confusion.json"))?;
        self.write_scores(header, confusion)
    }

    /// Writes Markdown and JSON only: merged shards have no images to show, and their sum must not be merged again.
    ///
    /// # Errors
    /// [`EvaluationError::Data`] if a file cannot be written.
    pub fn write_scores(&self, header: &ReportHeader, confusion: &Confusion) -> Result<(), EvaluationError> {
        let scores = Scores::of(confusion);
        let facts: String = header
            .iter()
            .map(|(name, value)| format!("- {name}: {value}\n"))
            .collect();
        let table = markdown_table(&scores);
        write_atomically(&self.path("md"), |file| {
            write!(file, "# Evaluation\n\n{facts}\n{table}")
        })?;
        let mut json = evaluation_json(&scores);
        add_assumptions(&mut json, header);
        write_atomically(&self.path("json"), |file| {
            writeln!(file, "{}", serde_json::to_string_pretty(&json)?)
        })?;
        Ok(())
    }
}

/// Name of the facts that are assumptions.
pub const ASSUMED: &str = "assumed";

/// Adds the facts of a header that are [assumptions](ASSUMED) to the JSON of an evaluation, as the list `assumptions`. Without any
/// the JSON has no such entry.
pub fn add_assumptions(json: &mut Value, header: &ReportHeader) {
    let facts = header.iter().filter(|(name, _)| name == ASSUMED);
    let facts: Vec<Value> = facts.map(|(_, fact)| fact.as_str().into()).collect();
    if let (Some(json), false) = (json.as_object_mut(), facts.is_empty()) {
        json.insert("assumptions".to_owned(), facts.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Vocabulary;

    #[test]
    fn a_finished_evaluation_is_replaced_only_on_request() {
        let folder = tempfile::tempdir().unwrap();
        let files = EvaluationFiles::new(&folder.path().join("results"), "evaluation");
        files.prepare(false).unwrap();
        let counts = Confusion::new(&Vocabulary::from_names("cat, dog").unwrap());
        let header = [("model".to_owned(), "a.safetensors".to_owned())];
        files.write(&header, &counts, "<html>").unwrap();
        for ending in ["html", "confusion.json", "md", "json"] {
            assert!(files.path(ending).exists(), "{ending}");
        }
        assert!(
            std::fs::read_to_string(files.path("md"))
                .unwrap()
                .contains("- model: a.safetensors\n")
        );
        let refused = files.prepare(false);
        assert!(
            matches!(&refused, Err(EvaluationError::Finished { path }) if *path == files.path("json")),
            "{refused:?}"
        );
        files.prepare(true).unwrap();
    }

    #[test]
    fn one_process_at_a_time_evaluates() {
        let folder = tempfile::tempdir().unwrap();
        let files = |stem| EvaluationFiles::new(folder.path(), stem);
        let lock = files("evaluation").lock().unwrap();
        let refused = files("evaluation").lock();
        assert!(matches!(refused, Err(EvaluationError::InUse { .. })), "{refused:?}");
        // Shards share a folder.
        files("evaluation.shard-1-of-2").lock().unwrap();
        drop(lock);
        files("evaluation").lock().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_state_is_removed_once() {
        let folder = tempfile::tempdir().unwrap();
        let files = EvaluationFiles::new(folder.path(), "evaluation");
        std::fs::write(files.state(), "{}").unwrap();
        files.remove_state().unwrap();
        assert!(!files.state().exists());
        files.remove_state().unwrap();
    }

    #[test]
    fn nothing_of_an_earlier_evaluation_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let names = [
            "evaluation.json",
            "evaluation.md",
            "evaluation.html",
            "evaluation.confusion.json",
            "evaluation.state.json",
            "evaluation.txt",
            "other.json",
        ];
        for name in names {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        EvaluationFiles::new(folder.path(), "evaluation").remove().unwrap();
        let left = names.map(|name| folder.path().join(name).exists());
        assert_eq!(left, [false, false, false, false, false, true, true]);
    }
}
