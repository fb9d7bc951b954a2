//! Why an image cannot be segmented.

use std::path::PathBuf;

use zegclip_data::DataError;
use zegclip_data::datasets::DatasetError;
use zegclip_data::evaluation::EvaluationError;
use zegclip_model::ModelError;
use zegclip_model::device::DeviceError;
use zegclip_weights::WeightError;

/// Errors of the application library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model or a device cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// An image, a class list or an output file cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A data set cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// Scenes cannot be composed.
    #[cfg(feature = "demo")]
    #[error(transparent)]
    Scenes(#[from] zegclip_scenes::SceneError),
    /// A data set cannot be evaluated.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// [`SegmenterBuilder::build`](crate::SegmenterBuilder::build) without weights.
    #[error("no weights are named")]
    NoWeights,
    /// A batch without images.
    #[error("the batch has no images")]
    NoImages,
    /// A number of [`SegmentOptions`](crate::SegmentOptions) outside its range.
    #[error("`{name}` is {value}, but must be between {lowest} and 1")]
    OptionRange {
        /// Name of the option.
        name: &'static str,
        /// Its value.
        value: f32,
        /// The lowest one that is possible.
        lowest: f32,
    },
    /// Pixels of a normalized image that do not fit its size.
    #[error("a normalized image of {}×{} pixels has {} values, not {values}", .size[1], .size[0], 3 * .size[0] * .size[1])]
    PixelCount {
        /// `[height, width]`
        size: [usize; 2],
        /// Values found.
        values: usize,
    },
    /// An image that was encoded by another segmenter.
    #[error("the image was encoded by another segmenter")]
    ForeignEncoding,
    /// The device does not compute in half precision.
    #[error("device `{device}` does not compute in f16")]
    NoF16 {
        /// Description of the device.
        device: String,
    },
    /// Class names without text features, and no text encoder to make them.
    #[error("`{}` has no text encoder, so the classes `{classes}` have no text features", .weights.display())]
    NoTextEncoder {
        /// The weight file.
        weights: PathBuf,
        /// The first class names.
        classes: String,
    },
    /// Text features of another class list or model.
    #[error(
        "text features of {origin} are {found:?} (classes, width), but the model and the class list need {expected:?}"
    )]
    TextFeatureShape {
        /// A file, or the vocabulary whose published features were taken.
        origin: String,
        /// Classes and width found.
        found: [usize; 2],
        /// Classes and width needed.
        expected: [usize; 2],
    },
    /// A file of text features cannot be used.
    #[error("cannot read text features from `{}`: {source}", .path.display())]
    TextFeatureFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: TextFeatureProblem,
    },
    /// The result of an image exists.
    #[error("`{}` already exists", .path.display())]
    ResultExists {
        /// The file.
        path: PathBuf,
    },
    /// Another process has been writing results into a folder for too long.
    #[error("`{}` is in use by another process", .path.display())]
    FolderInUse {
        /// The folder.
        path: PathBuf,
    },
    /// A weight file has nothing that can be stored in the format that was asked for.
    #[error("`{}` contains neither a trained decoder nor both encoders of CLIP; PyTorch code cannot use it", .path.display())]
    NotExportable {
        /// The weight file.
        path: PathBuf,
    },
    /// The name of an output does not state its format.
    #[error("`{}` ends neither in `.safetensors` nor in `.pth`", .path.display())]
    OutputFormat {
        /// The output.
        path: PathBuf,
    },
    /// An image so long that it is too large at the model's size.
    #[error(
        "an image of {}×{} pixels has proportions of {}:1; the model scales its short side to {short} pixels, and its long side \
         would have {long}, where at most {limit} are allowed",
        .size.0, .size.1, .size.0.max(.size.1) / .size.0.min(.size.1).max(1)
    )]
    Proportions {
        /// Width and height.
        size: (u32, u32),
        /// Pixels of its short side at the model's size.
        short: u32,
        /// Pixels of its long side at the model's size.
        long: u32,
        /// What the long side may be.
        limit: u32,
    },
    /// What went wrong with one image of several.
    #[error("`{image}`: {source}")]
    OfImage {
        /// The image's file or name.
        image: String,
        /// What went wrong.
        source: Box<Error>,
    },
    /// The masks of an image are NaN or infinite, as those of weights that overflowed in training.
    #[error("the model gives masks that are not finite numbers")]
    NotFinite,
    /// A setting of methods on plain CLIP with a trained model.
    #[error("the trained model has no {setting} of its own; it is a setting of methods on plain CLIP")]
    NotPlainClip {
        /// The setting.
        setting: &'static str,
    },
    /// A setting of a method on plain CLIP outside its range.
    #[error("the {setting} {value} is not in its range")]
    DenseSetting {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: f64,
    },
    /// The device failed while it computed.
    #[error("the device failed while computing: {reason}")]
    Execution {
        /// The device's message.
        reason: String,
    },
}

/// What is wrong with a file of text features.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextFeatureProblem {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It is not a matrix in `.npy` format.
    #[error(transparent)]
    Npy(#[from] DataError),
    /// It is of no known format.
    #[error("it is neither `.npy` nor safetensors ({0})")]
    Format(#[from] safetensors::SafeTensorError),
    /// Which of its tensors are the features is not clear.
    #[error("it has several tensors, none of which is called `text_features`")]
    NoTensor,
    /// It is not a matrix.
    #[error("its shape is {shape:?}, not [classes, width]")]
    Shape {
        /// The tensor's shape.
        shape: Vec<usize>,
    },
    /// Its numbers are not floating-point numbers of 16 or 32 bits.
    #[error("its values are {dtype:?}, not f32 or f16")]
    Type {
        /// The tensor's type.
        dtype: safetensors::Dtype,
    },
    /// It has NaN or infinite values.
    #[error("it has values that are not finite numbers")]
    NotFinite,
}

impl Error {
    /// The same error with the image that it is about.
    #[must_use]
    pub fn of_image(self, image: impl Into<String>) -> Self {
        Self::OfImage {
            image: image.into(),
            source: Box::new(self),
        }
    }

    /// A failure of a device, in its own words.
    pub(crate) fn execution(error: impl std::fmt::Display) -> Self {
        Self::Execution {
            reason: error.to_string(),
        }
    }
}

impl From<DeviceError> for Error {
    fn from(error: DeviceError) -> Self {
        Self::Model(error.into())
    }
}

impl From<WeightError> for Error {
    fn from(error: WeightError) -> Self {
        Self::Model(error.into())
    }
}
