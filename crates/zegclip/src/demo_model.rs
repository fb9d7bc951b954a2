//! The model that is compiled in, so that the crate works without weight files.

/// Its name in place of a path.
pub const DEMO_MODEL_NAME: &str = "the built-in demo model";

/// What its results must be read with.
pub const DEMO_MODEL_LIMITS: &str = "it knows only drawings of the 155 things and grounds of the vocabulary `demo`";

/// The native file of the demo model: ZegCLIP with its own small CLIP, trained on composed scenes
/// (`zegclip_scenes`) by the commands in `assets/demo-model/README.md`.
pub fn demo_model() -> &'static [u8] {
    include_bytes!("../assets/demo-model/demo-model.safetensors")
}
