//! Small runs from beginning to end: interruption and resume, the wall before unseen classes, bad ends.

mod bad_ends;
mod farm;
mod leak;
mod photos;
mod presets;
mod resume;
mod settings;
