//! Small runs from beginning to end: interruption and resume, the wall before unseen classes, bad ends.

#![allow(clippy::print_stdout)] // How much precision costs shows before a limit is hit.

mod ablations;
mod bad_ends;
mod clip_weights;
mod devices;
mod farm;
mod leak;
mod photos;
mod precision;
mod presets;
mod resume;
mod settings;
