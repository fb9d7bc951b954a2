//! Schedule, pseudo-labels and consecutive AdamW steps against recordings of the published code.

#![allow(clippy::print_stdout)] // How far a result is from its recording shows before a limit is hit.

#[path = "../../../zegclip-model/tests/parity/cases.rs"]
#[allow(unreachable_pub, missing_docs, dead_code)]
mod cases;
mod pseudo_labels;
mod recorded_model;
mod schedule;
mod trajectory;
