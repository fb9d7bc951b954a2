//! Training on burn-train, by iterations: what segmentation and pre-training have in common.

mod checkpoint;
mod failure_slot;
mod fingerprint;
mod iteration;
mod launch;
mod loader;
mod metric_log;
mod metrics;
mod silent_renderer;
mod strategy;
#[cfg(test)]
mod toy;
#[cfg(test)]
pub(crate) use checkpoint::tests;

pub use checkpoint::{Best, Checkpoint};
pub(crate) use checkpoint::{RunState, clean_up, with_stable_ids};
pub(crate) use failure_slot::FailureSlot;
pub(crate) use fingerprint::Fingerprints;
pub use iteration::Iteration;
pub use launch::Outcome;
pub(crate) use launch::{Launch, ScoreColumn, Session};
pub(crate) use loader::ordered_loader;
pub use metric_log::{ClipScores, EvaluationScores, MetricsLine};
pub(crate) use metrics::{Column, Summary, device_memory, iteration_columns};
pub use metrics::{Evaluated, IterationMetric, ScoreMetric, Scored};
pub use silent_renderer::SilentRenderer;
pub(crate) use strategy::{Plan, Task};
