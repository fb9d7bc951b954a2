//! Training of ZegCLIP (paper, sections 3 and 4): inductive, transductive and fully supervised, with the paper's ablations.
//!
//! A run is a function of its configuration, its data and its device. Every random number derives from
//! `(seed, iteration)` without a generator that is carried along, so that a checkpoint consists of parameters and optimizer
//! state, and a resumed run writes the same bytes as an uninterrupted one.
//!
//! Training uses burn-train: [`SegmentationTask`] and [`pretrain::ContrastiveTask`] are modules with burn's `TrainStep` and
//! `InferenceStep`, and a strategy of this crate replaces burn's epochs by iterations, so that evaluations, checkpoints and
//! interruptions are possible after each iteration. Metrics, displays and the interrupter are burn's.
//!
//! # With burn-train's own loop
//! The parts also work with burn's default strategy, here on the images and masks of one folder:
//!
//! ```no_run
#![doc = include_str!("../examples/burn_train.rs")]
//! ```
//!
//! # Resuming
//! A resumed run restores parameters, moments, schedule, sample order, transforms and dropout on every device. On the CPU it
//! resumes bit-exactly. On a GPU it does so only if autotuning, which measures times, selects the same kernels; text features
//! are read from the run directory in either case. Several devices must be the same ones in the same order.
//!
//! # Several devices
//! [`SegmentationTraining::with_further_devices`] gives each device a replica and an equal shard of every batch. Losses are
//! sums until M of the complete batch is known; the first device adds them up in a fixed order, updates the parameters and
//! sends them back. Unlike burn-train's strategies, this is not an average of normalized losses, as in the published code.
//!
//! # Terms
//! `iteration`: one update, counted from 0. `shard`: the part of a batch on one device. `micro-batch`: the images of one forward
//! pass. `rate`: the learning rate of an iteration, including the multiplier. Shapes are those of [`zegclip_model`].
#![forbid(unsafe_code)]

mod adamw;
mod config;
mod config_check;
mod config_keys;
mod config_text;
mod data;
mod error;
pub mod freeze;
mod gradients;
mod limits;
mod model_setup;
mod muon;
mod optimizer;
pub mod pretrain;
mod pseudo_labels;
mod replica;
mod report;
mod run;
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
pub use config_keys::ConfigDifference;
pub use config_text::Configuration;
pub use data::TrainData;
pub use error::{CheckpointDamage, TrainError};
pub use gradients::{clip_gradients, gradient_norm, gradients_by_name, scale_gradients};
pub use muon::{Muon, MuonState};
pub use optimizer::{DecayExemption, Method, OptimizerConfig};
pub use pseudo_labels::pseudo_label;
pub use report::write_report;
pub use run::{Best, Checkpoint, ClipScores, EvaluationScores, MetricsLine, RunDirectory, RunLock};
pub use schedule::{IterationSchedule, ScheduleConfig};
pub use seed::init_seeded;
pub use segmentation_task::SegmentationTask;
pub use segmentation_training::{CheckpointExport, SegmentationTraining};
pub use step::{Losses, Objective, Sums, forward_backward};
pub use training::{Evaluated, Iteration, IterationMetric, Outcome, ScoreMetric, Scored, SilentRenderer};
pub use validation::{ImageScores, LabeledImage, hiou};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_types_are_send_and_sync() {
        fn check<T: Send + Sync>() {}
        check::<TrainConfig>();
        check::<pretrain::PretrainConfig>();
        check::<pretrain::PairSource>();
        check::<TrainData>();
        check::<RunDirectory>();
        check::<RunLock>();
        check::<Checkpoint>();
        check::<TrainError>();
        check::<CheckpointDamage>();
        check::<OptimizerConfig>();
        check::<AdamW>();
        check::<Muon>();
        check::<IterationSchedule>();
        check::<SegmentationTask>();
        check::<pretrain::ContrastiveTask>();
        check::<Objective>();
    }
}
