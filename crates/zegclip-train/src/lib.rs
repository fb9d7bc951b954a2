//! Training of ZegCLIP (paper, sections 3 and 4): inductive, transductive, fully supervised, and the rows of its ablations.
//!
//! A run is a function of its configuration, its data and its device. Every random choice derives from
//! `(seed, iteration)`: no generator is carried from one iteration to the next, so that a checkpoint holds parameters and
//! moments and nothing hidden, and a resumed run ends in the same bytes as an undisturbed one.
//!
//! Runs train with burn-train: [`SegmentationTask`] and [`pretrain::ContrastiveTask`] are modules with burn's `TrainStep` and
//! `InferenceStep`, and a strategy of this crate replaces burn's epochs by iterations, so that evaluations, checkpoints and
//! interruptions fall between any two of them. Metrics, displays and the interrupter are burn's.
//!
//! # With burn-train's own loop
//! The parts also fit burn's default strategy, here on the photos and masks of one folder:
//!
//! ```no_run
#![doc = include_str!("../examples/burn_train.rs")]
//! ```
//!
//! # Resuming
//! A resumed run restores parameters, moments, schedule, order, transforms and dropout on every device. On the CPU it resumes
//! bit-exactly. On a GPU it does so only where autotuning chooses the same kernels again, which it does by
//! timing, so that two processes may differ in the last bits; the text features are read from the run's folder in either
//! case. Devices that share a batch must be the same ones in the same order.
//!
//! # Several devices
//! [`SegmentationTraining::with_further_devices`] gives each device a replica and an equal part of every batch. Losses are sums until M of
//! the whole batch is known, so that sums of parts are what one device would have; the first device adds them up in a fixed
//! order, updates, and sends the trained parameters back. `burn-train`'s strategies would average gradients of losses that
//! are divided already, which the published code does not.
//!
//! # Words
//! `iteration`: one update, counted from 0. `micro-batch`: images that go through the model together. `rate`: the learning rate
//! of an iteration, the multiplier included. Shapes are those of [`zegclip_model`].
#![forbid(unsafe_code)]

mod adamw;
mod config;
mod config_text;
mod data;
mod error;
pub mod freeze;
mod gradients;
mod model_setup;
mod muon;
mod optimizer;
pub mod pretrain;
mod pseudo_labels;
mod replica;
mod report;
mod run_directory;
mod schedule;
mod seed;
mod segmentation_task;
mod segmentation_training;
mod shards;
mod step;
mod text_feature_cache;
mod text_features;
mod training;
mod validation;

pub use adamw::{AdamW, AdamWState};
pub use config::{DataConfig, FrozenPrecision, ModelConfig, PromptKind, PromptSettings, RunConfig, TrainConfig};
pub use config_text::Configuration;
pub use data::TrainData;
pub use error::TrainError;
pub use gradients::{clip_gradients, gradient_norm, gradients_by_name, scale_gradients};
pub use model_setup::drawn;
pub use muon::{Muon, MuonState};
pub use optimizer::{DecayExemption, Method, OptimizerConfig};
pub use pseudo_labels::pseudo_label;
pub use report::write_report;
pub use run_directory::{RunDirectory, RunLock};
pub use schedule::{IterationSchedule, ScheduleConfig};
pub use segmentation_task::SegmentationTask;
pub use segmentation_training::SegmentationTraining;
pub use step::{Losses, Objective, Sums, forward_backward};
pub use training::{
    Best, Checkpoint, ClipScores, Evaluated, EvaluationScores, Iteration, IterationMetric, MetricsLine, Outcome,
    ScoreMetric, Scored, SilentRenderer,
};
pub use validation::{ImageScores, LabeledImage, hiou};
