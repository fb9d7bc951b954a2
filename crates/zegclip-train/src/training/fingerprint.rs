//! What a run was started with, so that a resumed run notices other weights or another data set.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use zegclip_data::write_atomically;

use crate::{RunDirectory, TrainError};

/// Fingerprints of inputs by what they are, such as `model.clip`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprints(BTreeMap<String, String>);

impl Fingerprints {
    /// Length and CRC-32 of a file.
    pub(crate) fn add_file(&mut self, key: &str, path: &Path) -> Result<(), TrainError> {
        let read = || {
            let mut file = std::fs::File::open(path)?;
            let (mut hasher, mut length) = (crc32fast::Hasher::new(), 0u64);
            let mut buffer = vec![0; 1 << 20];
            loop {
                match file.read(&mut buffer)? {
                    0 => break,
                    count => {
                        hasher.update(buffer.get(..count).unwrap_or_default());
                        length += count as u64;
                    }
                }
            }
            Ok(format!("{length} bytes, CRC-32 {:08x}", hasher.finalize()))
        };
        // A folder of shards is what its index says.
        let value = if path.is_dir() {
            "a folder".to_owned()
        } else {
            read().map_err(TrainError::io("read", path))?
        };
        self.0.insert(key.to_owned(), value);
        Ok(())
    }

    /// A summary of many parts, in order.
    pub(crate) fn add_parts(&mut self, key: &str, parts: impl Iterator<Item = String>) {
        let (mut hasher, mut count) = (crc32fast::Hasher::new(), 0u64);
        for part in parts {
            hasher.update(part.as_bytes());
            hasher.update(b"\n");
            count += 1;
        }
        let value = format!("{count} entries, CRC-32 {:08x}", hasher.finalize());
        self.0.insert(key.to_owned(), value);
    }

    /// Records them in a run that begins, or compares them with those recorded.
    ///
    /// # Errors
    /// [`TrainError::ChangedInput`] names the first that differs.
    pub(crate) fn require_same(&self, run: &RunDirectory) -> Result<(), TrainError> {
        let path = run.inputs_path();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let json = serde_json::to_string_pretty(self).unwrap_or_default();
                return Ok(write_atomically(&path, |file| file.write_all(json.as_bytes()))?);
            }
            Err(error) => return Err(TrainError::io("read", path)(error)),
        };
        let recorded: Self =
            serde_json::from_str(&text).map_err(|error| TrainError::io("read", &path)(std::io::Error::other(error)))?;
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
