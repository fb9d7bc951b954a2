//! Contrastive pre-training of CLIP from images and captions (Radford et al. 2021).
//!
//! A run consists of stages of growing image size; the position embedding is interpolated between them, as the ZegCLIP paper
//! does from 224 to 512 pixels. Like a [`SegmentationTraining`](crate::SegmentationTraining), a run is a function of
//! configuration, data and device, and resumes exactly.

mod batch;
mod config;
mod config_check;
mod contrastive;
mod evaluation;
mod jsonl;
mod model_file;
mod pair;
mod patch_text_loss;
mod report;
mod scenes;
mod source;
mod step;
mod task;
mod training;

pub use config::{
    CosineSchedule, EvaluationConfig, PretrainConfig, PretrainDataConfig, PretrainLoss, PretrainModelConfig,
    PretrainOptimizer, StageConfig, TextSizes, VisionSizes,
};
pub use contrastive::contrastive_loss;
pub use jsonl::Jsonl;
pub use pair::HeldOut;
pub use patch_text_loss::{BatchNames, patch_text_loss};
pub use source::PairSource;
pub use step::{ClipBatch, ClipLosses, ClipObjective, ClipSums, clip_forward_backward};
pub use task::{ContrastiveTask, SplitScores, StagedBatch};
pub use training::ContrastiveTraining;
