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
//! # Resuming
//! `--resume` restores parameters, moments, schedule, order, transforms and dropout on every device. On the processor the run
//! then goes on bit for bit. On a GPU it does so only where autotuning chooses the same kernels again, which it does by
//! timing, so that two processes may differ in the last bits; the text features are read from the run's folder in either
//! case. Devices that share a batch must be the same ones in the same order.
//!
//! # Several devices
//! [`Trainer::with_further_devices`] gives each device a replica and an equal part of every batch. Losses are sums until M of
//! the whole batch is known, so that sums of parts are what one device would have; the first device adds them up in a fixed
//! order, updates, and sends the trained parameters back. `burn-train`'s strategies would average gradients of losses that
//! are divided already, which the published code does not.
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
mod muon;
mod observer;
mod optimiser;
pub mod pretrain;
mod pseudo_labels;
mod replica;
mod report;
mod report_page;
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
pub use model_setup::drawn;
pub use observer::{Snapshot, Step, TrainObserver};
pub use optimiser::{Method, Moments, Optimiser, OptimiserConfig};
pub use pseudo_labels::pseudo_label;
pub use report::{ExampleMasks, write_report};
pub use run_directory::RunDirectory;
pub use schedule::ScheduleConfig;
pub use step::{Losses, Objective, Sums, forward_backward};
pub use trainer::{Outcome, Trainer};
