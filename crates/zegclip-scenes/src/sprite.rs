//! The pixels of a picture at its size in a scene.

/// Pixels of a picture, premultiplied, 0 to 1 a channel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sprite {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// `[height, width, 4]`
    pub(crate) pixels: Vec<[f32; 4]>,
}
