//! The model that is compiled in, so that everything can be tried before any weights are found.

/// What it is called where a path would stand.
pub const DEMO_MODEL_NAME: &str = "the built-in demo model";

/// What everybody who sees its results should know.
pub const DEMO_MODEL_LIMITS: &str = "it knows only drawings of the 155 things and grounds of the vocabulary `demo`";

/// The native file of the demo model: ZegCLIP with its own small CLIP, trained on composed scenes
/// ([`zegclip_scenes`]) by the commands in `assets/demo-model/README.md`.
pub fn demo_model() -> &'static [u8] {
    include_bytes!("../assets/demo-model/demo-model.safetensors")
}
