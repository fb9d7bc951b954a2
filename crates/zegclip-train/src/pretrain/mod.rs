//! CLIP's own training from images and their captions (Radford et al. 2021).
//!
//! Both encoders are trained together so that an image and its caption have like features. A run goes through stages of
//! growing image size; positions are interpolated between them, as the paper does from 224 to 512 pixels. Like a
//! [`SegmentationTraining`](crate::SegmentationTraining)'s, a run is a function of configuration, data and device, and resumes exactly.

mod batch;
mod config;
mod contrastive;
mod evaluation;
mod jsonl;
mod model_file;
mod naming;
mod report;
mod scenes;
mod source;
mod step;
mod task;
mod training;

pub use config::{
    CosineSchedule, EvaluationConfig, PretrainConfig, PretrainDataConfig, PretrainLoss, PretrainModelConfig,
    PretrainOptimiser, StageConfig, TextSizes, VisionSizes,
};
pub use contrastive::contrastive_loss;
pub use jsonl::Jsonl;
pub use naming::{BatchNames, patch_naming_loss};
pub use source::{HeldOut, PairSource};
pub use step::{ClipBatch, ClipLosses, ClipSums, clip_forward_backward};
pub use task::{ContrastiveTask, SplitScores, StagedBatch};
pub use training::ContrastiveTraining;
