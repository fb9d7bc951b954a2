//! What went wrong for people with other programs that do the same job, as recorded in public bug reports, and what people do with plain
//! CLIP. Every test makes its own inputs.

#[path = "../program/mod.rs"]
mod program;

mod class_lists;
mod datasets;
mod files;
mod images;
mod plain_clip;
mod weights;
