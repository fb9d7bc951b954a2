//! Why training cannot start, go on or be saved.

use std::path::PathBuf;

use zegclip_data::DataError;
use zegclip_data::datasets::DatasetError;
use zegclip_model::ModelError;
use zegclip_scenes::SceneError;
use zegclip_weights::WeightError;

/// Errors of the training crate.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A configuration is no TOML or has a value of the wrong kind.
    #[error("{origin}: {message}")]
    Config {
        /// The file or the `--set` argument.
        origin: String,
        /// What is wrong, with the line or the key.
        message: String,
    },
    /// A configuration has a key that does not exist.
    #[error("{origin}: there is no key `{key}`{hint}")]
    UnknownKey {
        /// The file or the `--set` argument.
        origin: String,
        /// The key with the tables around it.
        key: String,
        /// ` (did you mean …?)`, or the keys that exist there.
        hint: String,
    },
    /// Values of a configuration contradict each other or lie outside their range.
    #[error("`{key}` = {value}: {reason}")]
    Value {
        /// The key with the tables around it.
        key: &'static str,
        /// Its value.
        value: String,
        /// The range, or what to do.
        reason: String,
    },
    /// The data set cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A vocabulary or an output cannot be read or written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A model cannot be made.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A weight file cannot be read or written.
    #[error(transparent)]
    Weights(#[from] WeightError),
    /// No class has labels.
    #[error(
        "data set `{dataset}` has no seen class, so that there is nothing to train on; mark classes as seen, or use `setting = \"full\"`"
    )]
    NoSeenClass {
        /// The data set.
        dataset: String,
    },
    /// Nothing gives text features of the classes.
    #[error("there are no text features for {classes}: {reason}")]
    NoTextFeatures {
        /// Some of the class names.
        classes: String,
        /// What was looked at and what to do.
        reason: String,
    },
    /// There are no scenes to be composed.
    #[error(transparent)]
    Scenes(#[from] SceneError),
    /// A list of images and captions is none.
    #[error("`{path}`: {reason}; write a line `{{\"image\": PATH, \"captions\": [TEXT, …]}}` for each image")]
    Pairs {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        reason: String,
    },
    /// The device failed.
    #[error(
        "the device failed: {0}; the last checkpoint is whole, resume from it with a smaller batch or on another device"
    )]
    Device(String),
    /// A loss or a gradient is not finite.
    #[error(
        "iteration {iteration}: the {quantity} is {value}, on the samples {samples}; {state}. Look at these samples, or start a new run with a lower `optimiser.lr`"
    )]
    NotFinite {
        /// The iteration, from 0.
        iteration: u64,
        /// `loss` or `length of the gradient`.
        quantity: &'static str,
        /// Its value.
        value: f64,
        /// Names of the samples in the batch.
        samples: String,
        /// The newest checkpoint before this iteration, if one was written.
        checkpoint: Option<PathBuf>,
        /// The same in words.
        state: String,
    },
    /// A gradient is not finite; the loop adds where that was.
    #[error("the length of the gradient is {norm}; use a lower learning rate")]
    GradientNotFinite {
        /// Length of all gradients taken as one vector.
        norm: f64,
    },
    /// The data ended before the run.
    #[error("the data ended after {iteration} of {iterations} iterations")]
    EndOfData {
        /// Iterations done.
        iteration: u64,
        /// Iterations of the run.
        iterations: u64,
    },
    /// Another process trains this run.
    #[error("`{path}` is in use by another process; wait for it to end, or name another run")]
    RunInUse {
        /// The folder.
        path: PathBuf,
    },
    /// A run or a checkpoint was written by the version before.
    #[error(
        "`{path}` was written by zegclip before it trained with burn-train and cannot be read; finish that run with the version that began it, or start a new one"
    )]
    OldCheckpoint {
        /// The file.
        path: PathBuf,
    },
    /// An input of a run is not what it was when the run began.
    #[error(
        "`{path}` was started with another `{key}`: it had {recorded}, now it has {found}; bring the former one back, or start a new run"
    )]
    ChangedInput {
        /// The run directory.
        path: PathBuf,
        /// The input.
        key: String,
        /// Its fingerprint when the run began.
        recorded: String,
        /// Its fingerprint now.
        found: String,
    },
    /// Labels of an image cannot be scored or drawn.
    #[error(transparent)]
    Segmentation(Box<zegclip::Error>),
    /// A run directory is in use by another run.
    #[error("`{path}` holds a run already; go on with it (`--resume {path}`) or name another folder")]
    RunExists {
        /// The folder.
        path: PathBuf,
    },
    /// A folder is no run directory.
    #[error("`{path}` is no run directory: it has no `config.toml`")]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// A run is to go on with another configuration.
    #[error(
        "`{path}` was made with another configuration: `{key}` is {recorded} there and {given} now; start a new run, or resume with the recorded one"
    )]
    OtherConfig {
        /// The run directory or the checkpoint.
        path: PathBuf,
        /// The first key that differs.
        key: String,
        /// Its value in the run.
        recorded: String,
        /// Its value now.
        given: String,
    },
    /// A checkpoint cannot be read.
    #[error("checkpoint `{path}` is damaged ({reason}); {fix}")]
    DamagedCheckpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
        /// From what to go on.
        fix: String,
    },
    /// A checkpoint belongs to another model.
    #[error("checkpoint `{path}` does not fit the model: {reason}")]
    CheckpointMismatch {
        /// The file.
        path: PathBuf,
        /// The parameter and what differs.
        reason: String,
    },
    /// A file of the run cannot be read or written.
    #[error("cannot {action} `{path}`: {source}")]
    Io {
        /// `read`, `write`, `make`, `remove`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl From<zegclip::Error> for TrainError {
    fn from(error: zegclip::Error) -> Self {
        Self::Segmentation(Box::new(error))
    }
}

impl TrainError {
    pub(crate) fn device(error: impl std::fmt::Display) -> Self {
        Self::Device(error.to_string())
    }

    pub(crate) fn value(key: &'static str, value: &dyn std::fmt::Display, reason: &str) -> Self {
        Self::Value {
            key,
            value: value.to_string(),
            reason: reason.to_owned(),
        }
    }

    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
