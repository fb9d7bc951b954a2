//! Errors of the training crate.

use std::path::PathBuf;

use zegclip_data::datasets::DatasetError;
use zegclip_data::{DataError, ThreadFailed};
use zegclip_foundation::{did_you_mean, quoted};
use zegclip_model::ModelError;
use zegclip_scenes::SceneError;
use zegclip_weights::WeightError;

/// Why a run cannot start, continue or be saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A configuration is not TOML.
    #[error("{origin}:{} {}", line_text(.line), one_line(.source.message()))]
    InvalidToml {
        /// The file or the override.
        origin: String,
        /// The line, from 1, if it is known.
        line: Option<usize>,
        /// The parser's error.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A value of a configuration has the wrong type.
    #[error("{origin}:{} `{key}`: {}", line_text(.line), one_line(.source.message()))]
    WrongType {
        /// The file or the override.
        origin: String,
        /// The line, from 1, if the value is in a file.
        line: Option<usize>,
        /// The key with its tables.
        key: String,
        /// Expected and found type.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// An override is not of the form `key=value`, or its key does not name a value.
    #[error("{origin}: {reason}")]
    InvalidOverride {
        /// The override.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// A configuration has a key that does not exist.
    #[error("{origin}: unknown key `{key}`{}", nearest_or_known(.nearest, .known))]
    UnknownKey {
        /// The file or the override.
        origin: String,
        /// The key with its tables.
        key: String,
        /// The existing key with the most similar name, with its tables.
        nearest: Option<String>,
        /// The keys of that table.
        known: Vec<String>,
    },
    /// A configuration has a renamed key under its old and its new name.
    #[error("{origin}: `{old}` is the old name of `{new}`, and both are present")]
    RenamedKeyTwice {
        /// The file.
        origin: String,
        /// The old name.
        old: &'static str,
        /// The new name.
        new: &'static str,
    },
    /// A value of a configuration is out of range, or contradicts another one.
    #[error("`{key}` = {value}: {reason}")]
    Value {
        /// The key with its tables.
        key: String,
        /// Its value.
        value: String,
        /// The range or the contradiction.
        reason: String,
    },
    /// A configuration has no TOML form, because a path is not UTF-8 or an integer is not below 2⁶³.
    #[error("the configuration cannot be written as TOML: {source}")]
    Unserializable {
        /// The serializer's error.
        #[source]
        source: Box<toml::ser::Error>,
    },
    /// The data set cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// An image or a vocabulary cannot be read, or an image cannot be scored.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A model cannot be built.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A weight file cannot be read or written.
    #[error(transparent)]
    Weights(#[from] WeightError),
    /// The evaluation of an image failed.
    #[error(transparent)]
    Segmentation(Box<zegclip::Error>),
    /// Scenes cannot be composed.
    #[error(transparent)]
    Scenes(#[from] SceneError),
    /// No class has labels.
    #[error("data set `{dataset}` has no seen class")]
    NoSeenClass {
        /// The data set.
        dataset: String,
    },
    /// No published list of text features contains all classes.
    #[error("no published text features for {classes}: the published lists are `voc20` and `coco171`")]
    NoPublishedTextFeatures {
        /// The first class names.
        classes: String,
    },
    /// Published text features have another width than the model's embedding.
    #[error("the published text features of `{list}` have width {width}, the model has `embed_dim` = {embed_dim}")]
    TextFeatureWidth {
        /// The published list.
        list: &'static str,
        /// Its width.
        width: usize,
        /// The model's width.
        embed_dim: usize,
    },
    /// The weights of CLIP have no text encoder, and published text features are not used.
    #[error("no text features for {classes}: `{path}` has no text encoder")]
    NoTextEncoder {
        /// The first class names.
        classes: String,
        /// The weight file.
        path: PathBuf,
    },
    /// A line of a pair list is not JSON of the expected form.
    #[error("`{path}`: line {line}: {source}")]
    InvalidPair {
        /// The pair list.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The parser's error.
        #[source]
        source: serde_json::Error,
    },
    /// An image of a pair list has no caption.
    #[error("`{path}`: line {line}: the image has no caption")]
    NoCaption {
        /// The pair list.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A pair list has no lines.
    #[error("`{path}`: the pair list is empty")]
    NoPairs {
        /// The pair list.
        path: PathBuf,
    },
    /// No line of a pair list has `names`, which the patch-text loss needs.
    #[error("`{path}`: no line has `names`, which `loss.patches` > 0 needs")]
    NoPairNames {
        /// The pair list.
        path: PathBuf,
    },
    /// The device failed, or is out of memory.
    #[error("the device failed: {0}")]
    Device(String),
    /// The device does not support the type of `model.frozen_precision`.
    #[error("`model.frozen_precision` = \"{precision}\": the device does not compute in {precision}")]
    UnsupportedPrecision {
        /// `f16` or `bf16`.
        precision: &'static str,
    },
    /// burn's training loop reported an error of its own.
    #[error("the training loop failed: {0}")]
    Loop(String),
    /// The system cannot start a thread.
    #[error("cannot start a thread: {source}")]
    Thread {
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// A loader thread panicked.
    #[error(transparent)]
    LoaderThread(#[from] ThreadFailed),
    /// A loss or a gradient norm is not finite. The parameters are those before the iteration.
    #[error("{quantity} is {value} at iteration {iteration}; {}", last_good(.checkpoint))]
    NotFinite {
        /// The iteration, from 0.
        iteration: u64,
        /// `loss` or `gradient norm`.
        quantity: &'static str,
        /// Its value.
        value: f64,
        /// Names of the samples of the batch, as far as they have any.
        samples: Vec<String>,
        /// The newest checkpoint before this iteration.
        checkpoint: Option<PathBuf>,
    },
    /// A gradient norm is not finite, under a loop other than this crate's.
    #[error("gradient norm is {norm}")]
    GradientNotFinite {
        /// L2 norm of all gradients.
        norm: f64,
    },
    /// The data ended before the run.
    #[error("the data ended after {iteration} of {iterations} iterations")]
    EndOfData {
        /// Iterations completed.
        iteration: u64,
        /// Iterations of the run.
        iterations: u64,
    },
    /// Another process trains this run.
    #[error("`{path}` is in use by another process")]
    RunInUse {
        /// The run directory.
        path: PathBuf,
    },
    /// The directory for a new run contains a run, or files that a run would replace.
    #[error("a run already exists in `{path}`")]
    RunExists {
        /// The directory.
        path: PathBuf,
    },
    /// A directory is not a run directory.
    #[error("`{path}` is not a run directory: it has no `config.toml`")]
    NoRun {
        /// The directory.
        path: PathBuf,
    },
    /// An input of a run has changed since the run began.
    #[error("`{path}` was started with another `{key}`: {recorded} when it began, {found} now")]
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
    /// The given configuration differs from that of the run in a value that the result depends on.
    #[error("`{path}` has another configuration: `{key}` is {recorded} there and {given} now")]
    OtherConfig {
        /// The configuration of the run, or the checkpoint.
        path: PathBuf,
        /// The first key that differs.
        key: String,
        /// Its value in the run.
        recorded: String,
        /// Its value now.
        given: String,
    },
    /// A run or a checkpoint has the format of versions before burn-train.
    #[error("`{path}` has the format zegclip-checkpoint-1, which this version does not read")]
    OldCheckpoint {
        /// The file.
        path: PathBuf,
    },
    /// A checkpoint is damaged.
    #[error("checkpoint `{path}` is damaged: {source}{}", intact_text(.intact))]
    DamagedCheckpoint {
        /// The checkpoint.
        path: PathBuf,
        /// The newest intact checkpoint of the same run, where the run was searched for one.
        intact: Option<PathBuf>,
        /// The damage.
        #[source]
        source: CheckpointDamage,
    },
    /// A checkpoint belongs to another model.
    #[error("checkpoint `{path}` does not fit the model: {reason}")]
    CheckpointMismatch {
        /// The checkpoint.
        path: PathBuf,
        /// The parameter and the difference.
        reason: String,
    },
    /// A file of the run cannot be read or written.
    #[error("cannot {action} `{path}`: {source}")]
    Io {
        /// `read`, `write`, `make`, `remove`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
}

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointDamage {
    /// A file of it cannot be read.
    #[error("`{file}`: {source}")]
    Io {
        /// The file within the checkpoint.
        file: &'static str,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// `state.json` is not JSON of the expected form.
    #[error("`{file}`: {source}")]
    Json {
        /// The file within the checkpoint.
        file: &'static str,
        /// The parser's error.
        #[source]
        source: serde_json::Error,
    },
    /// It has another format.
    #[error("its format is `{found}`, this version reads `{expected}`")]
    Format {
        /// The recorded format.
        found: String,
        /// The format of this version.
        expected: &'static str,
    },
    /// Length or checksum of a file is wrong.
    #[error("the checksum of `{file}` is wrong")]
    Checksum {
        /// The file within the checkpoint.
        file: &'static str,
    },
}

impl From<zegclip::Error> for TrainError {
    fn from(error: zegclip::Error) -> Self {
        Self::Segmentation(Box::new(error))
    }
}

impl TrainError {
    /// Whether the configuration is wrong, rather than an input, the device or the system: a usage error of a program.
    pub fn is_configuration_error(&self) -> bool {
        matches!(
            self,
            Self::InvalidToml { .. }
                | Self::WrongType { .. }
                | Self::InvalidOverride { .. }
                | Self::UnknownKey { .. }
                | Self::RenamedKeyTwice { .. }
                | Self::Value { .. }
                | Self::Unserializable { .. }
        )
    }

    pub(crate) fn device(error: impl std::fmt::Display) -> Self {
        Self::Device(error.to_string())
    }

    pub(crate) fn value(key: impl Into<String>, value: impl std::fmt::Display, reason: impl std::fmt::Display) -> Self {
        Self::Value {
            key: key.into(),
            value: value.to_string(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn thread(source: std::io::Error) -> Self {
        Self::Thread { source }
    }

    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

fn line_text(line: &Option<usize>) -> String {
    line.map(|line| format!(" line {line}:")).unwrap_or_default()
}

/// Parsers write over several lines.
fn one_line(message: &str) -> String {
    message.trim().replace('\n', ", ")
}

fn nearest_or_known(nearest: &Option<String>, known: &[String]) -> String {
    match nearest {
        Some(_) => did_you_mean(nearest.as_deref()),
        None => format!(" (existing keys: {})", quoted(known)),
    }
}

fn last_good(checkpoint: &Option<PathBuf>) -> String {
    match checkpoint {
        Some(path) => format!("last good checkpoint: `{}`", path.display()),
        None => "no checkpoint was written before it".to_owned(),
    }
}

fn intact_text(intact: &Option<PathBuf>) -> String {
    intact
        .as_ref()
        .map(|path| format!("; newest intact checkpoint: `{}`", path.display()))
        .unwrap_or_default()
}
