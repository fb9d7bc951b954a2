//! Scoring the images of a data set one after the other, whoever predicts their labels.
//!
//! [`Evaluation`] reads ahead, predicts and scores at the same time in memory that does not grow with the number of
//! images, and can go on where it was stopped. [`Page`] shows the result to people.

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
pub use files::{EvaluationFiles, ReportHeader};
pub use label_comparison::{LabelComparison, TrueLabels};
pub use merge::merge_confusion_files;
pub use run::{Evaluation, Scored};
pub use shard::Shard;
pub use state::EvaluationState;
