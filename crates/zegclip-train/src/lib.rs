//! Training of ZegCLIP (paper, sections 3 and 4): inductive, transductive, fully supervised, and the rows of its ablations.
//!
//! A run is a function of its configuration, its data and its device. Every random choice derives from
//! `(seed, iteration)`: no generator is carried from one iteration to the next, so that a checkpoint holds parameters and
//! moments and nothing hidden, and a resumed run ends in the same bytes as an undisturbed one.
//!
//! The loop is this crate's own. `burn-train` counts epochs: it checkpoints and stops at their ends, restores neither the
//! state of random generators nor the place in the data, and adds a third to the build; a run of ZegCLIP counts iterations
//! and promises exact resume. So there is no dashboard here either: a [`TrainObserver`] is told all that one needs.
//!
//! # Words
//! `iteration`: one update, counted from 0. `part`: a share of a batch that fits the device's memory. `rate`: the learning
//! rate of an iteration, the multiplier included. Shapes are those of [`zegclip_model`].
#![forbid(unsafe_code)]

mod checkpoint;
mod checkpoint_state;
mod config;
mod config_text;
mod data;
mod error;
pub mod freeze;
mod gradients;
mod line_plot;
mod metrics_line;
mod model_setup;
mod observer;
mod optimiser;
pub mod pretrain;
mod pseudo_labels;
mod replica;
mod report;
mod run_directory;
mod running_means;
mod schedule;
mod seed;
mod shares;
mod step;
mod text_feature_cache;
mod text_features;
mod trainer;

pub use checkpoint::{Best, Checkpoint, Values};
pub use config::{DataConfig, FrozenPrecision, ModelConfig, PromptKind, PromptSettings, RunConfig, TrainConfig};
pub use config_text::Configuration;
pub use data::TrainData;
pub use error::TrainError;
pub use gradients::Gradients;
pub use metrics_line::{ClipScores, EvaluationScores, MetricsLine};
pub use observer::{Snapshot, Step, TrainObserver};
pub use optimiser::{AdamW, Moments, OptimiserConfig};
pub use pseudo_labels::pseudo_label;
pub use report::{ExampleMasks, write_report};
pub use run_directory::RunDirectory;
pub use schedule::ScheduleConfig;
pub use step::{Losses, Objective, Sums, forward_backward};
pub use trainer::{Outcome, Trainer};
