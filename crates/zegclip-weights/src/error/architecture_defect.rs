//! How the shapes of tensors describe a model that is not implemented.

/// Why shapes do not determine a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchitectureDefect {
    /// An image encoder that is not a vision transformer of CLIP.
    #[error("its image encoder is not a vision transformer of CLIP (it has `{0}`)")]
    ImageEncoder(String),
    /// Patches that are not RGB squares.
    #[error("`{name}` has patches of {channels}×{height}×{width}, which are not RGB squares")]
    Patches {
        /// Name of the tensor.
        name: String,
        /// Channels of a patch.
        channels: usize,
        /// Height of a patch in pixels.
        height: usize,
        /// Width of a patch in pixels.
        width: usize,
    },
    /// A position embedding without rows.
    #[error("its position embedding is empty")]
    Positions,
    /// Different numbers of prompts in the first layer and in later ones.
    #[error("its first layer has {first} prompts, its later layers have {deep}")]
    Prompts {
        /// Prompts of the first layer.
        first: usize,
        /// Prompts of each later layer.
        deep: usize,
    },
    /// A tensor that determines a size is missing.
    #[error("it lacks `{0}`, which determines its sizes")]
    MissingTensor(String),
    /// A tensor with another number of axes.
    #[error("`{name}` has shape {shape:?} instead of {axes} axes")]
    Rank {
        /// Name of the tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Number of axes that it should have.
        axes: usize,
    },
    /// A layer is missing between others.
    #[error("it lacks the layer `{0}`")]
    MissingLayer(String),
}
