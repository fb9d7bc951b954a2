//! A run on disk: its directory, checkpoints, recorded inputs and metrics. Nothing here trains.

mod checkpoint;
mod checkpoint_writer;
mod directory;
mod files;
mod inputs;
mod metrics_line;
mod stable_ids;
mod state;

pub use checkpoint::Checkpoint;
#[cfg(test)]
pub(crate) use checkpoint_writer::tests::write_checkpoint;
pub(crate) use checkpoint_writer::{CheckpointOnRequest, CheckpointWriter};
pub use directory::{RunDirectory, RunLock};
pub(crate) use files::write_file;
pub(crate) use inputs::InputFingerprints;
pub use metrics_line::{ClipScores, EvaluationScores, MetricsLine};
pub(crate) use stable_ids::with_stable_ids;
pub use state::Best;
pub(crate) use state::{MODEL, OPTIMIZER, RunState, SCHEDULER};
