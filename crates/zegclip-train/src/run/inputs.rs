//! Fingerprints of a run's inputs, by which a resumed run notices other weights or another data set.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use zegclip_foundation::Fingerprint;

use super::{RunDirectory, write_file};
use crate::TrainError;

/// Fingerprints by the key of the input, such as `model.clip`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InputFingerprints(BTreeMap<String, String>);

impl InputFingerprints {
    /// Length and CRC-32 of a file.
    pub(crate) fn add_file(&mut self, key: &str, path: &Path) -> Result<(), TrainError> {
        // A folder of shards has no bytes of its own.
        let value = if path.is_dir() {
            "a folder".to_owned()
        } else {
            let Fingerprint { length, crc32 } = Fingerprint::of_file(path).map_err(TrainError::io("read", path))?;
            format!("{length} bytes, CRC-32 {crc32:08x}")
        };
        self.0.insert(key.to_owned(), value);
        Ok(())
    }

    /// Number and CRC-32 of the entries of a list, in order.
    pub(crate) fn add_entries(&mut self, key: &str, entries: impl Iterator<Item = String>) {
        let Fingerprint { length, crc32 } = Fingerprint::of_entries(entries);
        self.0
            .insert(key.to_owned(), format!("{length} entries, CRC-32 {crc32:08x}"));
    }

    /// Records them in a new run, or compares them with the recorded ones.
    ///
    /// # Errors
    /// [`TrainError::ChangedInput`] names the first difference; [`TrainError::Io`].
    pub(crate) fn require_same(&self, run: &RunDirectory) -> Result<(), TrainError> {
        let path = run.inputs_path();
        let unreadable = |error| TrainError::io("read", &path)(std::io::Error::other(error));
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let json = serde_json::to_string_pretty(self).unwrap_or_default();
                return write_file(&path, json.as_bytes());
            }
            Err(error) => return Err(TrainError::io("read", &path)(error)),
        };
        let recorded: Self = serde_json::from_str(&text).map_err(unreadable)?;
        for (key, found) in &self.0 {
            if let Some(recorded) = recorded.0.get(key).filter(|recorded| *recorded != found) {
                return Err(TrainError::ChangedInput {
                    path: run.path().to_owned(),
                    key: key.clone(),
                    recorded: recorded.clone(),
                    found: found.clone(),
                });
            }
        }
        Ok(())
    }
}
