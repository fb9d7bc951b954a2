//! Why a photo cannot be segmented.

use std::path::PathBuf;

use zegclip_data::DataError;
use zegclip_data::evaluation::EvaluationError;
use zegclip_model::ModelError;
use zegclip_model::device::DeviceError;
use zegclip_weights::WeightError;

/// Errors of the application library.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model cannot be loaded.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// An image, class list or output file is at fault.
    #[error(transparent)]
    Data(#[from] DataError),
    /// No scenes can be composed.
    #[error(transparent)]
    Scenes(#[from] zegclip_scenes::SceneError),
    /// A data set cannot be evaluated.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// The device cannot compute in half precision.
    #[error("device `{device}` does not compute in f16; use `--precision f32` or another device")]
    NoF16 {
        /// Description of the device.
        device: String,
    },
    /// Free words, but nothing that turns them into features.
    #[error(
        "`{}` holds no text encoder, so the classes `{classes}` have no text features: name CLIP's own weights with `--clip`, \
         give `--text-features FILE`, or use `--vocabulary voc20` or `coco171`", .weights.display()
    )]
    NoTextEncoder {
        /// The weight file.
        weights: PathBuf,
        /// The first class names.
        classes: String,
    },
    /// Text features of another list or model.
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
    /// A file of text features cannot be read.
    #[error("cannot read text features from `{}`: {reason}", .path.display())]
    TextFeatureFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The device failed while it computed.
    #[error("the device failed while computing: {0}; try a smaller `--batch` or `--device cpu`")]
    Execution(String),
}

impl Error {
    /// What a device says of its failure.
    pub(crate) fn execution(error: impl std::fmt::Display) -> Self {
        Self::Execution(error.to_string())
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
