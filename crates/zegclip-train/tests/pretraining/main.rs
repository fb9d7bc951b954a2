//! Small runs of pre-training from beginning to end.

mod files;
mod gradients;
mod presets;
mod resume;
mod runs;
