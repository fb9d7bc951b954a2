//! Is a data set complete and sane? Every file is read, and what is wrong is listed rather than met in training.

mod chart;
mod check;
mod finding;
mod note;
mod report;

pub use check::{CheckOptions, check};
pub use finding::{Finding, SampleFinding};
pub use note::{Note, survey};
pub use report::{CheckReport, ClassCount};
