//! The training loop on burn-train by iterations, for segmentation and pre-training.

mod failure_slot;
mod iteration;
mod launch;
mod loader;
mod metric_log;
mod metrics;
mod silent_renderer;
mod strategy;
#[cfg(test)]
mod toy;

pub(crate) use failure_slot::FailureSlot;
pub use iteration::Iteration;
pub use launch::Outcome;
pub(crate) use launch::{Launch, ScoreColumn, Session};
pub(crate) use loader::ordered_loader;
pub(crate) use metrics::{Column, Summary, device_memory, iteration_columns};
pub use metrics::{Evaluated, IterationMetric, ScoreMetric, Scored};
pub use silent_renderer::SilentRenderer;
pub(crate) use strategy::{Plan, Task};
