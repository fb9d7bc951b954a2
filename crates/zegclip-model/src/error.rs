//! Why a model cannot be made or used.

use crate::device::DeviceError;
use zegclip_weights::WeightError;

/// Errors of the model crate.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A weight file cannot be read or written.
    #[error(transparent)]
    Weights(#[from] WeightError),
    /// A device does not open.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A tensor of a weight file does not have the shape that the configuration asks for.
    #[error(
        "`{file}`: `{name}` has shape {found:?} but the model needs {expected:?}; give the weights and the configuration of the same model"
    )]
    Shape {
        /// The weight file.
        file: String,
        /// Name of the tensor in it.
        name: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Shape in the model.
        expected: Vec<usize>,
    },
    /// A weight file lacks a part of the model.
    #[error("`{file}` holds no {part}; {fix}")]
    MissingPart {
        /// The weight file.
        file: String,
        /// `image encoder`, `text encoder`, `decoder`.
        part: &'static str,
        /// What to do.
        fix: &'static str,
    },
    /// Two parts do not belong together.
    #[error("{0}")]
    Mismatch(String),
    /// A class name does not fit the text encoder.
    #[error(
        "class name `{name}` is too long: with its template it has more than the {context} tokens that the text encoder takes; shorten it"
    )]
    NameTooLong {
        /// The class name.
        name: String,
        /// Tokens that fit.
        context: usize,
    },
}
