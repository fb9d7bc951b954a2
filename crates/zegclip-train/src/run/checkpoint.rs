//! Checkpoints: one folder each, every byte of which is verified before it is used.
//!
//! burn's records have no checksum and its restoring functions panic or skip silently, so `state.json` contains checksums.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use burn::lr_scheduler::LrSchedulerRecord;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::store::ModuleRecord;
use burn::tensor::Tensor;
use burn::train::checkpoint::Checkpoint as Record;
use zegclip_foundation::Fingerprint;

use super::state::{Best, MODEL, OPTIMIZER, RECORDS, RunState, SCHEDULER, STATE};
use crate::TrainError;
use crate::error::CheckpointDamage;

/// The previous format, a single file.
const FORMAT_1: &str = "zegclip-checkpoint-1";
/// Bytes at the start of a file that name the previous format.
const FORMAT_1_HEADER: u64 = 256;
/// Suffix with which burn marks a parameter with state in an optimizer's record: `{id}.__rank`.
const RANK: &str = ".__rank";

/// A verified checkpoint of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    path: PathBuf,
    pub(crate) state: RunState,
}

impl Checkpoint {
    /// Opens a checkpoint folder and verifies every byte of it.
    ///
    /// # Errors
    /// [`TrainError::DamagedCheckpoint`]; [`TrainError::OldCheckpoint`] for a file of the previous format.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        if is_format_1(path) {
            return Err(TrainError::OldCheckpoint { path: path.to_owned() });
        }
        let state = verified_state(path).map_err(|source| TrainError::DamagedCheckpoint {
            path: path.to_owned(),
            intact: None,
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            state,
        })
    }

    /// Whether `path` is a checkpoint, of the current or the previous format.
    pub fn is_checkpoint(path: &Path) -> bool {
        path.join(STATE).is_file() || is_format_1(path)
    }

    /// The file with the checksums of all other files.
    pub(crate) fn state_path(path: &Path) -> PathBuf {
        path.join(STATE)
    }

    /// Iterations completed, which is the number of the next one.
    pub fn iteration(&self) -> u64 {
        self.state.iteration
    }

    /// The best evaluation so far.
    pub fn best(&self) -> Option<Best> {
        self.state.best
    }

    /// Module and optimizer in this state. `scheduler` must be the run's at this iteration.
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
            Record::load(self.path.join(SCHEDULER)).map_err(|error| self.mismatch(error))?;
        if format!("{recorded:?}") != format!("{:?}", scheduler.to_record()) {
            return Err(self.mismatch("its learning rate schedule is at another iteration"));
        }
        Ok((module, optimizer))
    }

    /// The module with the recorded parameters.
    ///
    /// # Errors
    /// [`TrainError::CheckpointMismatch`] if a trained parameter is missing, has another shape or does not exist.
    pub(crate) fn restore_parameters<M: Module>(&self, module: M) -> Result<M, TrainError> {
        let record = ModuleRecord::load(self.path.join(MODEL)).map_err(|error| self.mismatch(error))?;
        module.try_load_record(record).map_err(|error| self.mismatch(error))
    }

    /// burn skips state without a parameter, so identities are compared before and the number of tensors after.
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
            return Err(self.mismatch("its optimizer uses another method"));
        }
        Ok(optimizer)
    }

    fn mismatch(&self, reason: impl std::fmt::Display) -> TrainError {
        TrainError::CheckpointMismatch {
            path: self.path.clone(),
            reason: reason.to_string(),
        }
    }

    /// Records that the evaluation that was due is complete.
    pub(crate) fn record_evaluation(path: &Path, best: Option<Best>) -> Result<(), TrainError> {
        let mut checkpoint = Self::open(path)?;
        checkpoint.state.evaluation_due = false;
        checkpoint.state.best = best;
        checkpoint.state.write(path)
    }
}

fn verified_state(path: &Path) -> Result<RunState, CheckpointDamage> {
    let io = |file| move |source| CheckpointDamage::Io { file, source };
    let text = std::fs::read_to_string(path.join(STATE)).map_err(io(STATE))?;
    let state = RunState::from_json(&text)?;
    for file in RECORDS {
        let found = Fingerprint::of_file(&path.join(file)).map_err(io(file))?;
        if state.files.get(file) != Some(&found.into()) {
            return Err(CheckpointDamage::Checksum { file });
        }
    }
    Ok(state)
}

struct Ids(BTreeSet<u64>);

impl ModuleVisitor for Ids {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.insert(param.id.val());
    }
}

fn is_format_1(path: &Path) -> bool {
    let header = File::open(path).and_then(|file| {
        let mut header = Vec::new();
        file.take(FORMAT_1_HEADER).read_to_end(&mut header)?;
        Ok(header)
    });
    header.is_ok_and(|header| String::from_utf8_lossy(&header).contains(FORMAT_1))
}
