//! What a command does: its arguments, checked and complete.

mod eval;
mod model;
mod score;
mod segment;
mod train;

pub(crate) use eval::EvalPlan;
pub(crate) use model::ModelPlan;
pub(crate) use score::{Comparison, ScorePlan, Truth};
pub(crate) use segment::SegmentPlan;
pub(crate) use train::{CheckpointName, PretrainPlan, Task, TrainPlan};
