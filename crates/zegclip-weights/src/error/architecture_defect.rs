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
    /// A tensor without elements.
    #[error("`{name}` has shape {shape:?}, without elements")]
    NoElements {
        /// Name of the tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// An activation that is not implemented.
    #[error("its {place} is {stated}, which is neither QuickGELU (`quick_gelu`) nor GELU (`gelu`)")]
    Activation {
        /// Where the activation is stated.
        place: String,
        /// The value as stated.
        stated: String,
    },
    /// A configuration beside the file whose heads do not divide the width.
    #[error("its configuration's `{key}` is {stated}, which does not divide the width {width} into heads")]
    ConfigurationHeads {
        /// Where the number is.
        key: String,
        /// The value as stated.
        stated: String,
        /// Width of a token.
        width: usize,
    },
    /// A configuration beside the file that is of another model.
    #[error("its configuration's `{key}` is {stated}, but its tensors have the width {width}")]
    ConfigurationWidth {
        /// Where the width is.
        key: String,
        /// The value as stated.
        stated: String,
        /// Width of the tensors.
        width: usize,
    },
    /// A size in the header of a native file that no model has.
    #[error("its header's `{key}` is {value}, above the limit of {limit}")]
    HeaderSize {
        /// Where the size is, from the entry on.
        key: String,
        /// The size as stated.
        value: String,
        /// The limit.
        limit: u64,
    },
    /// A number of heads in the header of a native file that does not divide the width.
    #[error("its header's `{key}` is {heads}, which does not divide the width {width}")]
    HeaderHeads {
        /// Where the number is, from the entry on.
        key: String,
        /// Width of a token.
        width: u64,
        /// Attention heads.
        heads: u64,
    },
}
