//! Writing a checkpoint: three records by burn-train's checkpointers, committed by one rename of their folder.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::train::checkpoint::{
    Checkpoint as Record, Checkpointer, CheckpointerError, CheckpointingAction, CheckpointingStrategy,
};
use burn::train::metric::store::EventStoreClient;
use zegclip_foundation::Fingerprint;

use super::state::{RECORDS, RunState};
use super::write_file;
use crate::TrainError;

/// Prefix of unfinished files and folders, which a killed process may leave behind.
const TEMPORARY: &str = ".zegclip-";
/// Marks a checkpoint that is being replaced.
const OLD: &str = "old";
/// Marks a checkpoint that is being written.
const PARTIAL: &str = "partial";
/// Marks a checkpoint that is being removed.
const REMOVED: &str = "removed";

/// Commits a checkpoint folder once all of burn-train's checkpointers have written into it.
#[derive(Debug, Clone, Default)]
pub(crate) struct CheckpointWriter(Arc<Mutex<Option<Pending>>>);

#[derive(Debug)]
struct Pending {
    partial: PathBuf,
    target: PathBuf,
    state: RunState,
    failure: Option<TrainError>,
    committed: bool,
}

impl CheckpointWriter {
    /// Prepares the folder of the next checkpoint, `target`.
    pub(crate) fn begin(&self, target: &Path, state: RunState) -> Result<(), TrainError> {
        let partial = temporary_sibling(target, PARTIAL);
        // A previous save may have failed.
        let _ = std::fs::remove_dir_all(&partial);
        std::fs::create_dir(&partial).map_err(TrainError::io("write", &partial))?;
        *self.lock() = Some(Pending {
            partial,
            target: target.to_owned(),
            state,
            failure: None,
            committed: false,
        });
        Ok(())
    }

    /// Reports whether the checkpoint is on disk; called once the checkpointers have returned.
    pub(crate) fn finish(&self) -> Result<(), TrainError> {
        let Some(pending) = self.lock().take() else {
            return Ok(());
        };
        let failure = pending.failure.or_else(|| {
            let missing = std::io::Error::other("a record was not written");
            (!pending.committed).then(|| TrainError::io("write", &pending.target)(missing))
        });
        match failure {
            None => Ok(()),
            Some(error) => {
                let _ = std::fs::remove_dir_all(&pending.partial);
                Err(error)
            }
        }
    }

    /// The checkpointer of one record.
    pub(crate) fn record(&self, name: &'static str) -> RecordCheckpointer {
        RecordCheckpointer {
            writer: self.clone(),
            name,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Pending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    /// Notes a written record; the last one commits the folder.
    fn add(&mut self, name: &str, record: Fingerprint) -> Result<(), TrainError> {
        self.state.files.insert(name.to_owned(), record.into());
        if self.state.files.len() < RECORDS.len() {
            return Ok(());
        }
        self.state.write(&self.partial)?;
        let old = temporary_sibling(&self.target, OLD);
        let replaces = self.target.exists();
        if replaces {
            std::fs::rename(&self.target, &old).map_err(TrainError::io("write", &old))?;
        }
        std::fs::rename(&self.partial, &self.target).map_err(TrainError::io("write", &self.target))?;
        if let Some(folder) = self.target.parent() {
            synchronize(folder)?;
        }
        if replaces {
            std::fs::remove_dir_all(&old).map_err(TrainError::io("remove", &old))?;
        }
        self.committed = true;
        Ok(())
    }
}

/// burn-train's checkpointer of one record, called on its own thread.
#[derive(Debug)]
pub(crate) struct RecordCheckpointer {
    writer: CheckpointWriter,
    name: &'static str,
}

impl<R: Record> Checkpointer<R> for RecordCheckpointer {
    fn save(&self, _: usize, record: R) -> Result<(), CheckpointerError> {
        let Some(folder) = self.writer.lock().as_ref().map(|pending| pending.partial.clone()) else {
            return Ok(());
        };
        let path = folder.join(self.name);
        let written = record
            .checkpoint_into_bytes()
            .map_err(|error| TrainError::io("write", &path)(std::io::Error::other(error.to_string())))
            .and_then(|bytes| {
                write_file(&path, &bytes)?;
                Ok(Fingerprint::of_bytes(&bytes))
            });
        let mut pending = self.writer.lock();
        let Some(pending) = pending.as_mut() else { return Ok(()) };
        if let Err(error) = written.and_then(|fingerprint| pending.add(self.name, fingerprint)) {
            let text = error.to_string();
            pending.failure.get_or_insert(error);
            return Err(CheckpointerError::Unknown(text));
        }
        Ok(())
    }

    fn restore(&self, _: usize) -> Result<R, CheckpointerError> {
        let reason = "runs are restored before training begins";
        Err(CheckpointerError::Unknown(reason.to_owned()))
    }

    fn delete(&self, _: usize) -> Result<(), CheckpointerError> {
        Ok(())
    }
}

/// Saves at each request of the loop and waits for the result: burn-train accepts the second action only after the first.
#[derive(Debug)]
pub(crate) struct CheckpointOnRequest;

impl CheckpointingStrategy for CheckpointOnRequest {
    fn checkpointing(&mut self, _: usize, _: &EventStoreClient) -> Vec<CheckpointingAction> {
        vec![CheckpointingAction::Save, CheckpointingAction::Delete(usize::MAX)]
    }
}

/// Removes a checkpoint, which first loses its name: a process that is killed here leaves no checkpoint without its files.
pub(super) fn remove_checkpoint(path: &Path) -> Result<(), TrainError> {
    let removed = temporary_sibling(path, REMOVED);
    std::fs::rename(path, &removed)
        .and_then(|()| std::fs::remove_dir_all(&removed))
        .map_err(TrainError::io("remove", path))
}

/// Removes leftovers of a killed process from a folder of checkpoints, and restores a checkpoint that was being replaced.
pub(super) fn clean_up(folder: &Path) -> Result<(), TrainError> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(TrainError::io("read", folder))?,
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(left) = name.strip_prefix(TEMPORARY) else {
            continue;
        };
        let path = entry.path();
        let replaced = left.strip_prefix(OLD).and_then(|name| name.strip_prefix('-'));
        let original = replaced.map(|name| folder.join(name)).filter(|path| !path.exists());
        let done = match original {
            Some(original) => std::fs::rename(&path, original),
            None if path.is_dir() => std::fs::remove_dir_all(&path),
            None => std::fs::remove_file(&path),
        };
        done.map_err(TrainError::io("remove", &path))?;
    }
    Ok(())
}

fn temporary_sibling(target: &Path, mark: &str) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!("{TEMPORARY}{mark}-{name}"))
}

/// Writes the entries of a folder to disk, where system and file system can.
fn synchronize(folder: &Path) -> Result<(), TrainError> {
    match File::open(folder).and_then(|file| file.sync_all()) {
        Err(error) if cfg!(unix) && error.kind() != std::io::ErrorKind::InvalidInput => {
            Err(TrainError::io("write", folder)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use burn::lr_scheduler::LrSchedulerRecord;

    use super::super::{Best, Checkpoint, MODEL, OPTIMIZER};
    use super::*;

    /// A checkpoint with three empty records.
    pub(crate) fn write_checkpoint(path: &Path, iteration: u64) -> Result<(), TrainError> {
        let writer = CheckpointWriter::default();
        writer.begin(path, RunState::new(iteration, String::new(), None, false))?;
        for name in RECORDS {
            let record = LrSchedulerRecord::new().with_scalar("iteration", iteration);
            let _ = writer.record(name).save(0, record);
        }
        writer.finish()
    }

    #[test]
    fn the_last_record_commits_a_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("best");
        let writer = CheckpointWriter::default();
        writer
            .begin(&path, RunState::new(3, "seed = 1".to_owned(), None, true))
            .unwrap();
        for name in [MODEL, OPTIMIZER] {
            writer.record(name).save(0, LrSchedulerRecord::new()).unwrap();
            assert!(!path.exists());
        }
        let error = writer.finish().unwrap_err().to_string();
        assert!(error.contains("best") && error.contains("was not written"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

        write_checkpoint(&path, 3).unwrap();
        write_checkpoint(&path, 5).unwrap();
        assert_eq!(Checkpoint::open(&path).unwrap().iteration(), 5);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_completed_evaluation_is_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_checkpoint(&path, 7).unwrap();
        let best = Some(Best {
            iteration: 7,
            hiou: 0.1 + 0.2,
        });
        Checkpoint::record_evaluation(&path, best).unwrap();
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert_eq!((checkpoint.best(), checkpoint.state.evaluation_due), (best, false));
    }
}
