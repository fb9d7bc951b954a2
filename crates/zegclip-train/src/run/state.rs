//! `state.json` of a checkpoint: where the run is, and the checksums of burn's records.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use zegclip_foundation::Fingerprint;

use super::write_file;
use crate::TrainError;
use crate::error::CheckpointDamage;

/// The format that this version writes and reads.
const FORMAT: &str = "zegclip-checkpoint-2";
pub(crate) const MODEL: &str = "model.bpk";
pub(crate) const OPTIMIZER: &str = "optim.bpk";
pub(crate) const SCHEDULER: &str = "scheduler.bpk";
pub(super) const STATE: &str = "state.json";
/// Files of burn-train's three checkpointers.
pub(super) const RECORDS: [&str; 3] = [MODEL, OPTIMIZER, SCHEDULER];

/// The best evaluation so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Iterations completed before that evaluation.
    pub iteration: u64,
    /// hIoU in percent, in `[0, 100]`.
    #[serde(with = "exact")]
    pub hiou: f64,
}

/// A number as text: reading JSON numbers may change their last bit.
mod exact {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&value.to_string())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The part of a checkpoint that is not one of burn's records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunState {
    format: String,
    pub(crate) iteration: u64,
    /// The configuration as TOML.
    pub(crate) config: String,
    pub(crate) best: Option<Best>,
    /// The evaluation after `iteration` was interrupted and is repeated when the run resumes.
    pub(crate) evaluation_due: bool,
    pub(super) files: BTreeMap<String, RecordedFile>,
    /// CRC-32 of this object with a checksum of 0.
    checksum: u32,
}

/// Length and CRC-32 of a record, under the keys of the file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RecordedFile {
    bytes: u64,
    crc32: u32,
}

impl From<Fingerprint> for RecordedFile {
    fn from(fingerprint: Fingerprint) -> Self {
        Self {
            bytes: fingerprint.length,
            crc32: fingerprint.crc32,
        }
    }
}

impl RunState {
    pub(crate) fn new(iteration: u64, config: String, best: Option<Best>, evaluation_due: bool) -> Self {
        Self {
            format: FORMAT.to_owned(),
            iteration,
            config,
            best,
            evaluation_due,
            files: BTreeMap::new(),
            checksum: 0,
        }
    }

    fn to_json(&self) -> serde_json::Result<String> {
        let mut state = Self {
            checksum: 0,
            ..self.clone()
        };
        state.checksum = Fingerprint::of_bytes(serde_json::to_string(&state)?.as_bytes()).crc32;
        serde_json::to_string_pretty(&state)
    }

    pub(super) fn from_json(text: &str) -> Result<Self, CheckpointDamage> {
        let json = |source| CheckpointDamage::Json { file: STATE, source };
        let mut state: Self = serde_json::from_str(text).map_err(json)?;
        if state.format != FORMAT {
            return Err(CheckpointDamage::Format {
                found: state.format,
                expected: FORMAT,
            });
        }
        let checksum = std::mem::take(&mut state.checksum);
        let unsigned = serde_json::to_string(&state).map_err(json)?;
        if Fingerprint::of_bytes(unsigned.as_bytes()).crc32 != checksum {
            return Err(CheckpointDamage::Checksum { file: STATE });
        }
        Ok(state)
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), TrainError> {
        let path = folder.join(STATE);
        let json = self
            .to_json()
            .map_err(|error| TrainError::io("write", &path)(std::io::Error::other(error)))?;
        write_file(&path, json.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_score_is_restored_exactly() {
        let mut bits = 94.527_069_555_392_23_f64.to_bits();
        for iteration in 0..2000 {
            let best = Some(Best {
                iteration,
                hiou: f64::from_bits(bits),
            });
            let state = RunState::new(iteration, String::new(), best, false);
            let read = RunState::from_json(&state.to_json().unwrap()).unwrap();
            assert_eq!(read.best, best);
            bits = bits.wrapping_add(0x0003_1415_9265_3589 & 0x0000_ffff_ffff_ffff);
        }
    }
}
