//! Scoring the images of a data set one after the other, independent of what predicts their labels.
//!
//! [`Evaluation`] reads ahead, predicts and scores concurrently in memory that does not grow with the number of images,
//! and resumes where it was interrupted. [`EvaluationFiles`] writes the result.

mod error;
mod examples;
mod files;
mod label_comparison;
mod merge;
mod run;
mod shard;
mod state;

pub use error::EvaluationError;
pub use examples::{Example, Examples};
pub use files::{ASSUMED, EvaluationFiles, ReportHeader, add_assumptions};
pub use label_comparison::{LabelComparison, TrueLabels};
pub use merge::{merge_confusion_files, missing_shards};
pub use run::{Evaluation, Scored};
pub use shard::Shard;
pub use state::EvaluationState;
