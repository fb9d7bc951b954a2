//! Why a model cannot be made or used: facts, one variant per cause.

use std::path::PathBuf;

use zegclip_weights::WeightError;

use crate::device::DeviceError;

/// A part of a model in a weight file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelPart {
    /// CLIP's image encoder.
    ImageEncoder,
    /// CLIP's text encoder.
    TextEncoder,
    /// ZegCLIP's decoder.
    Decoder,
}

impl ModelPart {
    /// The field of [`ModelOverrides`](crate::ModelOverrides) with its number of heads.
    pub fn heads_key(self) -> &'static str {
        match self {
            Self::ImageEncoder => "vision_heads",
            Self::TextEncoder => "text_heads",
            Self::Decoder => "decoder_heads",
        }
    }
}

impl std::fmt::Display for ModelPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ImageEncoder => "image encoder",
            Self::TextEncoder => "text encoder",
            Self::Decoder => "decoder",
        })
    }
}

/// Errors of the model crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A weight file cannot be read or written.
    #[error(transparent)]
    Weights(#[from] WeightError),
    /// A device does not open.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A tensor of a weight file does not have the shape that the configuration needs.
    #[error("`{}`: `{name}` has shape {found:?}, but the model needs {expected:?}", .file.display())]
    Shape {
        /// The weight file.
        file: PathBuf,
        /// Name of the tensor in it.
        name: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Shape in the model.
        expected: Vec<usize>,
    },
    /// A weight file lacks a part of the model.
    #[error("`{}` has no {part}", .file.display())]
    MissingPart {
        /// The weight file.
        file: PathBuf,
        /// The part.
        part: ModelPart,
    },
    /// An entry of a native file's header is not what this version writes.
    #[error("`{}`: the header's `{key}` is not valid: {source}", .file.display())]
    Header {
        /// The weight file.
        file: PathBuf,
        /// Key of the entry.
        key: &'static str,
        /// What the entry lacks.
        source: serde_json::Error,
    },
    /// The pruned vocabulary of a native file is not sorted.
    #[error("`{}`: the header's `text.kept_tokens` is not strictly increasing", .file.display())]
    UnsortedVocabulary {
        /// The weight file.
        file: PathBuf,
    },
    /// Decoder and image encoder have features of different widths.
    #[error(
        "the decoder of `{}` takes features of width {decoder}, but the image encoder of `{}` has width {image_encoder}",
        .decoder_file.display(), .encoder_file.display()
    )]
    FeatureWidth {
        /// The file of the decoder.
        decoder_file: PathBuf,
        /// Width of the decoder.
        decoder: usize,
        /// The file of the image encoder.
        encoder_file: PathBuf,
        /// Width of the image encoder's features.
        image_encoder: usize,
    },
    /// Image and text encoder of one file have features of different widths.
    #[error("`{}`: image features have width {image}, text features have width {text}", .file.display())]
    EmbeddingWidth {
        /// The weight file.
        file: PathBuf,
        /// Width of image features.
        image: usize,
        /// Width of text features.
        text: usize,
    },
    /// A position embedding that is not a square grid.
    #[error("`{}` has {positions} positions, which are not a square grid", .file.display())]
    PositionGrid {
        /// The weight file.
        file: PathBuf,
        /// Positions without the class token's.
        positions: usize,
    },
    /// A value of [`ModelOverrides`](crate::ModelOverrides) that no model has.
    #[error("`{key}` is 0, but must be at least 1")]
    Override {
        /// The field.
        key: &'static str,
    },
    /// A token embedding with fewer rows than there are tokens.
    #[error("`{}`: the token embedding has {found} rows, but the tokenizer has {needed} tokens", .file.display())]
    VocabularySize {
        /// The weight file.
        file: PathBuf,
        /// Rows of the embedding.
        found: usize,
        /// Tokens.
        needed: usize,
    },
    /// A native file whose header states another patch size than its tensors have.
    #[error("`{}`: the header states patches of {stated} pixels, but the tensors have {found}", .file.display())]
    PatchSize {
        /// The weight file.
        file: PathBuf,
        /// Side of a patch in the header.
        stated: usize,
        /// Side of a patch in the tensors.
        found: usize,
    },
    /// A probability of dropout that is none.
    #[error("`{}`: the header's `config.{key}` is {value}, which is not in 0..1", .file.display())]
    DropoutProbability {
        /// The weight file.
        file: PathBuf,
        /// The key.
        key: &'static str,
        /// The value.
        value: f64,
    },
    /// A window with more patches than any model has.
    #[error("`{}`: image_size {image_size} is above the limit of {limit}", .file.display())]
    LargeImageSize {
        /// The weight file.
        file: PathBuf,
        /// Side of a window in pixels.
        image_size: usize,
        /// The limit in pixels.
        limit: usize,
    },
    /// A window that is smaller than a patch.
    #[error("`{}`: image_size {image_size} is smaller than a patch of {patch_size} pixels", .file.display())]
    ImageSize {
        /// The weight file.
        file: PathBuf,
        /// Side of a window in pixels.
        image_size: usize,
        /// Side of a patch in pixels.
        patch_size: usize,
    },
    /// A stride of zero, or one that leaves pixels between windows.
    #[error("`{}`: stride {stride} is not in 1..={image_size} (image_size)", .file.display())]
    Stride {
        /// The weight file.
        file: PathBuf,
        /// Pixels from one window to the next.
        stride: usize,
        /// Side of a window in pixels.
        image_size: usize,
    },
    /// A decoder without layers.
    #[error("`{}`: the decoder has no layers", .file.display())]
    NoDecoderLayers {
        /// The weight file.
        file: PathBuf,
    },
    /// Prompts for more blocks than the image encoder has.
    #[error("`{}`: prompts for {prompted} blocks, but the image encoder has {blocks}", .file.display())]
    PromptBlocks {
        /// The weight file.
        file: PathBuf,
        /// Blocks with prompts.
        prompted: usize,
        /// Blocks of the image encoder.
        blocks: usize,
    },
    /// A number of attention heads that does not divide the width.
    #[error("`{}`: the width {width} of the {part} is not divisible by {heads} heads", .file.display())]
    Heads {
        /// The weight file.
        file: PathBuf,
        /// The part.
        part: ModelPart,
        /// Width of a token.
        width: usize,
        /// Attention heads.
        heads: usize,
    },
    /// Perceptrons that are not four times as wide as a token.
    #[error("`{}`: perceptrons of width {mlp_width} for tokens of width {width} are not supported (only four times the width)", .file.display())]
    MlpWidth {
        /// The weight file.
        file: PathBuf,
        /// Width of a token.
        width: usize,
        /// Width inside the perceptrons.
        mlp_width: usize,
    },
    /// A window with too few patches for a method that compares a patch with its nearest neighbors.
    #[error("a window of {} × {} patches has fewer than the {needed} that the method needs", .patches[0], .patches[1])]
    TooFewPatches {
        /// Patches `[height, width]`.
        patches: [usize; 2],
        /// Patches that a window needs at least.
        needed: usize,
    },
    /// An image encoder with fewer blocks than a method reads.
    #[error("the method reads an image encoder of at least {needed} blocks, but this one has {blocks}")]
    BlockCount {
        /// Blocks that are needed.
        needed: usize,
        /// Blocks of the image encoder.
        blocks: usize,
    },
    /// The device failed while it computed.
    #[error("the device failed while computing: {reason}")]
    Execution {
        /// The device's message.
        reason: String,
    },
    /// A class name with more tokens than the text encoder takes.
    #[error("class name `{name}` is too long: with its template it has more than {context} tokens")]
    NameTooLong {
        /// The class name.
        name: String,
        /// Longest token sequence of the text encoder.
        context: usize,
    },
}

impl ModelError {
    /// A failure of a device, in its own words.
    pub(crate) fn execution(error: impl std::fmt::Display) -> Self {
        Self::Execution {
            reason: error.to_string(),
        }
    }
}
