//! How far an evaluation is, as a file to go on from.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{EvaluationError, Examples};
use crate::metrics::Confusion;
use crate::{toml_table::read_text, write_atomically};

/// What was counted in the images so far. Images are taken in order, so their number says which ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationState {
    identity: BTreeMap<String, String>,
    pub(super) done: u64,
    pub(super) confusion: Confusion,
    pub(super) examples: Examples,
}

impl EvaluationState {
    pub(super) fn new(identity: &BTreeMap<String, String>, confusion: Confusion, examples: usize) -> Self {
        Self {
            identity: identity.clone(),
            done: 0,
            confusion,
            examples: Examples::new(examples),
        }
    }

    /// Reads a saved state, if there is one, and makes sure that it is of the evaluation that `identity` describes.
    ///
    /// # Errors
    /// [`EvaluationError::StateMismatch`], [`EvaluationError::StateFile`], and [`EvaluationError::Data`] for an
    /// unreadable file.
    pub fn load(path: &Path, identity: &BTreeMap<String, String>) -> Result<Option<Self>, EvaluationError> {
        if !path.exists() {
            return Ok(None);
        }
        let state: Self = serde_json::from_str(&read_text(path)?).map_err(|error| EvaluationError::StateFile {
            path: path.into(),
            problem: error.to_string(),
        })?;
        let nothing = "not given".to_owned();
        let differs = state.identity.keys().chain(identity.keys()).find_map(|what| {
            let (was, is) = (state.identity.get(what), identity.get(what));
            (was != is).then(|| EvaluationError::StateMismatch {
                path: path.into(),
                what: what.clone(),
                was: was.unwrap_or(&nothing).clone(),
                is: is.unwrap_or(&nothing).clone(),
            })
        });
        differs.map_or(Ok(Some(state)), Err)
    }

    /// Writes the state, whole or not at all.
    ///
    /// # Errors
    /// [`EvaluationError::Data`] if the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), EvaluationError> {
        Ok(write_atomically(path, |file| Ok(serde_json::to_writer(file, self)?))?)
    }

    /// Images done.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// What was counted.
    pub fn confusion(&self) -> &Confusion {
        &self.confusion
    }

    /// The worst and best images.
    pub fn examples(&self) -> &Examples {
        &self.examples
    }
}
