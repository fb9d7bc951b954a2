//! Scores: a confusion that grows image by image, and what is computed from it.

mod boundary;
mod confusion;
mod report;
mod scores;

pub use confusion::Confusion;
pub use report::{evaluation_json, markdown_table};
pub use scores::{ClassScores, Scores};
