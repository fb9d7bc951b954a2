//! Checkpoints: one folder each, written by burn-train's checkpointers and committed by one rename.
//!
//! burn's records carry no checksum and its restoring functions panic or skip silently, so `state.json` holds checksums, and
//! everything is verified before it is used.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::lr_scheduler::LrSchedulerRecord;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::ModuleRecord;
use burn::tensor::Tensor;
use burn::train::checkpoint as burn_checkpoint;
use burn::train::checkpoint::{CheckpointerError, CheckpointingAction, CheckpointingStrategy};
use burn::train::metric::store::EventStoreClient;
use serde::{Deserialize, Serialize};
use zegclip_data::write_atomically;

use crate::TrainError;
use crate::gradients::names_by_id;

const FORMAT: &str = "zegclip-checkpoint-2";
/// What the version before wrote into a single file.
const FORMAT_BEFORE: &str = "zegclip-checkpoint-1";
pub(crate) const MODEL: &str = "model.bpk";
pub(crate) const OPTIMIZER: &str = "optim.bpk";
pub(crate) const SCHEDULER: &str = "scheduler.bpk";
const STATE: &str = "state.json";
/// Files that burn-train's three checkpointers write.
const PARTS: [&str; 3] = [MODEL, OPTIMIZER, SCHEDULER];
/// How burn marks a parameter with state in an optimizer's record: `{id}.__rank`.
const RANK: &str = ".__rank";

/// The best evaluation so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Iterations done at that time.
    pub iteration: u64,
    /// Its hIoU in percent.
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

/// What a checkpoint holds beside burn's records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunState {
    format: String,
    pub(crate) iteration: u64,
    pub(crate) config: String,
    pub(crate) best: Option<Best>,
    /// The evaluation after `iteration` was interrupted and is done when the run resumes.
    pub(crate) evaluation_due: bool,
    files: BTreeMap<String, FileSum>,
    /// CRC-32 of this object with a checksum of 0.
    checksum: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct FileSum {
    bytes: u64,
    crc32: u32,
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
        state.checksum = crc32fast::hash(serde_json::to_string(&state)?.as_bytes());
        serde_json::to_string_pretty(&state)
    }

    fn from_json(text: &str) -> Result<Self, String> {
        let mut state: Self = serde_json::from_str(text).map_err(|error| format!("`{STATE}`: {error}"))?;
        if state.format != FORMAT {
            return Err(format!(
                "it has the format `{}`, this version reads `{FORMAT}`",
                state.format
            ));
        }
        let checksum = std::mem::take(&mut state.checksum);
        let json = serde_json::to_string(&state).map_err(|error| error.to_string())?;
        if crc32fast::hash(json.as_bytes()) != checksum {
            return Err(format!("the checksum of `{STATE}` is wrong"));
        }
        Ok(state)
    }

    fn write(&self, folder: &Path) -> Result<(), TrainError> {
        let path = folder.join(STATE);
        let json = self.to_json().map_err(|error| io_error(&path, error))?;
        write_atomically(&path, |file| file.write_all(json.as_bytes()))?;
        synchronize(&path)
    }
}

/// A whole state of a run on disk, every byte of which was checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    path: PathBuf,
    pub(crate) state: RunState,
}

impl Checkpoint {
    /// Opens a checkpoint and checks every byte of it.
    ///
    /// # Errors
    /// [`TrainError::DamagedCheckpoint`]; [`TrainError::OldCheckpoint`] for a file of the version before.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        if is_of_version_before(path) {
            return Err(TrainError::OldCheckpoint { path: path.to_owned() });
        }
        let damaged = |reason: String| TrainError::DamagedCheckpoint {
            path: path.to_owned(),
            reason,
            fix: "use another one".to_owned(),
        };
        let text = std::fs::read_to_string(path.join(STATE)).map_err(|error| damaged(format!("`{STATE}`: {error}")))?;
        let state = RunState::from_json(&text).map_err(damaged)?;
        for part in PARTS {
            let expected = state.files.get(part);
            let found = file_sum(&path.join(part)).map_err(|error| damaged(format!("`{part}`: {error}")))?;
            if expected != Some(&found) {
                return Err(damaged(format!("the checksum of `{part}` is wrong")));
            }
        }
        Ok(Self {
            path: path.to_owned(),
            state,
        })
    }

    /// Whether a path says that it is a checkpoint of a run, of this version or the one before.
    pub fn is_checkpoint(path: &Path) -> bool {
        path.join(STATE).is_file() || is_of_version_before(path)
    }

    /// The file with the checksums of all others.
    pub(crate) fn state_path(path: &Path) -> PathBuf {
        path.join(STATE)
    }

    /// Iterations that were done: the next one to do.
    pub fn iteration(&self) -> u64 {
        self.state.iteration
    }

    /// The best evaluation so far.
    pub fn best(&self) -> Option<Best> {
        self.state.best
    }

    /// Module and optimizer in this state. `scheduler` must be the one of the run at this iteration.
    ///
    /// # Errors
    /// [`TrainError::CheckpointMismatch`] if a record belongs to another module, optimizer or schedule.
    pub(crate) fn restore<M: Module>(
        &self,
        module: M,
        optimizer: ModuleOptimizer,
        scheduler: &ModuleLrScheduler,
    ) -> Result<(M, ModuleOptimizer), TrainError> {
        let module = self.restore_parameters(module)?;
        let optimizer = self.restore_optimizer(&module, optimizer)?;
        let recorded: LrSchedulerRecord =
            burn_checkpoint::Checkpoint::load(self.path.join(SCHEDULER)).map_err(|error| self.mismatch(error))?;
        if format!("{recorded:?}") != format!("{:?}", scheduler.to_record()) {
            return Err(self.mismatch("its schedule stands elsewhere"));
        }
        Ok((module, optimizer))
    }

    /// The module with the recorded parameters alone.
    ///
    /// # Errors
    /// [`TrainError::CheckpointMismatch`] if a trained parameter is missing, has another shape or does not exist.
    pub(crate) fn restore_parameters<M: Module>(&self, module: M) -> Result<M, TrainError> {
        let record = ModuleRecord::load(self.path.join(MODEL)).map_err(|error| self.mismatch(error))?;
        module.try_load_record(record).map_err(|error| self.mismatch(error))
    }

    /// burn skips state that it cannot place, so identities are compared before and the number of tensors after.
    fn restore_optimizer<M: Module>(
        &self,
        module: &M,
        optimizer: ModuleOptimizer,
    ) -> Result<ModuleOptimizer, TrainError> {
        let path = self.path.join(OPTIMIZER);
        let reader = burn_pack::Reader::from_file(&path).map_err(|error| self.mismatch(error))?;
        let mut known = Ids(BTreeSet::new());
        module.visit(&mut known);
        for id in reader.scalars().keys().filter_map(|key| key.strip_suffix(RANK)) {
            if !id.parse().is_ok_and(|id: u64| known.0.contains(&id)) {
                return Err(self.mismatch("its optimizer has state of a parameter that the model does not train"));
            }
        }
        let tensors = reader.tensor_names().len();
        let record = OptimizerRecord::load(&path).map_err(|error| self.mismatch(error))?;
        let optimizer = optimizer.load_record(record);
        if optimizer.to_record().len() != tensors {
            return Err(self.mismatch("its optimizer is of another method"));
        }
        Ok(optimizer)
    }

    fn mismatch(&self, reason: impl std::fmt::Display) -> TrainError {
        TrainError::CheckpointMismatch {
            path: self.path.clone(),
            reason: reason.to_string(),
        }
    }

    /// Records that the evaluation that was due is done.
    pub(crate) fn settle(path: &Path, best: Option<Best>) -> Result<(), TrainError> {
        let mut checkpoint = Self::open(path)?;
        checkpoint.state.evaluation_due = false;
        checkpoint.state.best = best;
        checkpoint.state.write(path)
    }
}

/// Gives every parameter the identity that its checkpoint name has: burn draws them at random, and records carry them.
pub(crate) fn with_stable_ids<M: Module>(module: M) -> M {
    let names = names_by_id(&module);
    module.map(&mut StableIds(names))
}

struct StableIds(std::collections::HashMap<ParamId, String>);

impl ModuleMapper for StableIds {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(name) = self.0.get(&param.id) else {
            return param;
        };
        // FNV-1a
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Param::initialized(ParamId::from(hash), param.val())
    }
}

struct Ids(BTreeSet<u64>);

impl ModuleVisitor for Ids {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.insert(param.id.val());
    }
}

/// Commits a folder when all of burn-train's checkpointers have written into it.
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
    /// Makes ready for the next checkpoint, which will lie in `target`.
    pub(crate) fn begin(&self, target: &Path, state: RunState) -> Result<(), TrainError> {
        let partial = beside(target, "partial");
        // Of a save that failed before.
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

    /// To be called when the checkpointers are done: whether the checkpoint is on disk.
    pub(crate) fn finish(&self) -> Result<(), TrainError> {
        let Some(pending) = self.lock().take() else {
            return Ok(());
        };
        let failure = pending.failure.or_else(|| {
            let missing = std::io::Error::other("a part of it was not written");
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
    pub(crate) fn part(&self, name: &'static str) -> Part {
        Part {
            writer: self.clone(),
            name,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Pending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    fn arrived(&mut self, name: &str, sum: FileSum) -> Result<(), TrainError> {
        self.state.files.insert(name.to_owned(), sum);
        if self.state.files.len() < PARTS.len() {
            return Ok(());
        }
        self.state.write(&self.partial)?;
        synchronize(&self.partial)?;
        let old = beside(&self.target, OLD);
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

/// burn-train's checkpointer of one of the three records. It is called on a thread of its own.
#[derive(Debug)]
pub(crate) struct Part {
    writer: CheckpointWriter,
    name: &'static str,
}

impl<R: burn_checkpoint::Checkpoint> burn_checkpoint::Checkpointer<R> for Part {
    fn save(&self, _: usize, record: R) -> Result<(), CheckpointerError> {
        let Some(folder) = self.writer.lock().as_ref().map(|pending| pending.partial.clone()) else {
            return Ok(());
        };
        let path = folder.join(self.name);
        let written = record
            .checkpoint_into_bytes()
            .map_err(|error| io_error(&path, error))
            .and_then(|bytes| {
                std::fs::write(&path, &*bytes).map_err(TrainError::io("write", &path))?;
                synchronize(&path)?;
                Ok(FileSum::of(&bytes))
            });
        let mut pending = self.writer.lock();
        let Some(pending) = pending.as_mut() else { return Ok(()) };
        if let Err(error) = written.and_then(|sum| pending.arrived(self.name, sum)) {
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

/// Saves whenever the loop asks, and waits until all is written: burn-train hands the second action over only then.
#[derive(Debug)]
pub(crate) struct WhenAsked;

impl CheckpointingStrategy for WhenAsked {
    fn checkpointing(&mut self, _: usize, _: &EventStoreClient) -> Vec<CheckpointingAction> {
        vec![CheckpointingAction::Save, CheckpointingAction::Delete(usize::MAX)]
    }
}

/// What unfinished files and folders are called; a killed process may leave some.
const TEMPORARY: &str = ".zegclip-";
const OLD: &str = "old";

fn beside(target: &Path, what: &str) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!("{TEMPORARY}{what}-{name}"))
}

/// Removes what a killed process left in a folder of checkpoints. A checkpoint that was just being replaced comes back.
pub(crate) fn clean_up(folder: &Path) -> Result<(), TrainError> {
    let entries = std::fs::read_dir(folder).map_err(TrainError::io("read", folder))?;
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

fn file_sum(path: &Path) -> std::io::Result<FileSum> {
    Ok(FileSum::of(&std::fs::read(path)?))
}

impl FileSum {
    fn of(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.len() as u64,
            crc32: crc32fast::hash(bytes),
        }
    }
}

fn synchronize(path: &Path) -> Result<(), TrainError> {
    // A folder cannot be opened for this on every system, and not every file system can do it.
    match File::open(path).and_then(|file| file.sync_all()) {
        Err(error) if cfg!(unix) && error.kind() != std::io::ErrorKind::InvalidInput => {
            Err(TrainError::io("write", path)(error))
        }
        _ => Ok(()),
    }
}

fn io_error(path: &Path, error: impl std::fmt::Display) -> TrainError {
    TrainError::io("write", path)(std::io::Error::other(error.to_string()))
}

fn is_of_version_before(path: &Path) -> bool {
    let head = File::open(path).and_then(|mut file| {
        let mut head = vec![0; 256];
        let read = std::io::Read::read(&mut file, &mut head)?;
        head.truncate(read);
        Ok(head)
    });
    head.is_ok_and(|head| String::from_utf8_lossy(&head).contains(FORMAT_BEFORE))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use burn_checkpoint::Checkpointer;

    /// A checkpoint without anything in it.
    pub(crate) fn write_checkpoint(path: &Path, iteration: u64) -> Result<(), TrainError> {
        let writer = CheckpointWriter::default();
        writer.begin(path, RunState::new(iteration, String::new(), None, false))?;
        for part in PARTS {
            let record = LrSchedulerRecord::new().with_scalar("iteration", iteration);
            let _ = writer.part(part).save(0, record);
        }
        writer.finish()
    }

    #[test]
    fn a_checkpoint_is_committed_by_its_last_part() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("best");
        let writer = CheckpointWriter::default();
        writer
            .begin(&path, RunState::new(3, "seed = 1".to_owned(), None, true))
            .unwrap();
        for part in [MODEL, OPTIMIZER] {
            writer.part(part).save(0, LrSchedulerRecord::new()).unwrap();
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
    fn an_evaluation_that_was_due_is_settled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_checkpoint(&path, 7).unwrap();
        let best = Some(Best {
            iteration: 7,
            hiou: 0.1 + 0.2,
        });
        Checkpoint::settle(&path, best).unwrap();
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert_eq!((checkpoint.best(), checkpoint.state.evaluation_due), (best, false));
    }

    #[test]
    fn every_score_comes_back_as_it_was() {
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
