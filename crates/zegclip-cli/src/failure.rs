//! Failures as the user sees them.

use std::fmt::Display;
use std::process::ExitCode;

/// Why the program ends without success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line asks for something impossible.
    #[error("{0}")]
    Usage(String),
    /// Something could not be done.
    #[error("{0}")]
    Failed(String),
    /// Single images failed and were reported; the rest is done.
    #[error("{failed} of {total} images failed")]
    Partly {
        /// Images that failed.
        failed: usize,
        /// All images.
        total: usize,
    },
    /// Nobody reads stdout any more.
    #[error("stdout is closed")]
    ClosedPipe,
}

impl Failure {
    pub(crate) fn usage(message: impl Display) -> Self {
        Self::Usage(message.to_string())
    }

    pub(crate) fn failed(message: impl Display) -> Self {
        Self::Failed(message.to_string())
    }

    pub(crate) fn report(&self) {
        report(self);
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => 2,
            Self::Failed(_) | Self::Partly { .. } => 1,
            Self::ClosedPipe => 0,
        })
    }
}

/// One message on stderr.
pub(crate) fn report(message: impl Display) {
    crate::output::message(format_args!("error: {message}"));
}

impl From<zegclip_data::DataError> for Failure {
    fn from(error: zegclip_data::DataError) -> Self {
        Self::failed(error)
    }
}

impl From<zegclip_data::datasets::DatasetError> for Failure {
    fn from(error: zegclip_data::datasets::DatasetError) -> Self {
        Self::failed(error)
    }
}

impl From<zegclip_data::evaluation::EvaluationError> for Failure {
    fn from(error: zegclip_data::evaluation::EvaluationError) -> Self {
        Self::failed(error)
    }
}

impl From<zegclip_data::scenes::SceneError> for Failure {
    fn from(error: zegclip_data::scenes::SceneError) -> Self {
        use zegclip_data::scenes::SceneError::{FolderExists, NoArtist, NoList, NoThing, Setting, UnknownArtist};
        match error {
            FolderExists { .. }
            | NoArtist { .. }
            | NoList { .. }
            | NoThing { .. }
            | Setting { .. }
            | UnknownArtist { .. } => Self::usage(error),
            error => Self::failed(error),
        }
    }
}

impl From<zegclip_model::ModelError> for Failure {
    fn from(error: zegclip_model::ModelError) -> Self {
        Self::failed(error)
    }
}

impl From<zegclip_weights::WeightError> for Failure {
    fn from(error: zegclip_weights::WeightError) -> Self {
        Self::failed(error)
    }
}

impl From<zegclip::Error> for Failure {
    fn from(error: zegclip::Error) -> Self {
        Self::failed(error)
    }
}
