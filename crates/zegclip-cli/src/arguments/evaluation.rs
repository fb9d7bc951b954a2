//! `zegclip eval` and `zegclip score`

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;
use zegclip::evaluation::Shard;
use zegclip::{DenseProtocol, DeviceName};

use super::dense::DenseArguments;
use super::values::{
    ClassNames, MethodName, MinPresence, PrecisionName, SettingName, deserialize_batch, deserialize_device,
    deserialize_limit, deserialize_protocol, deserialize_text, parse_device, parse_protocol,
};

/// Each option may be a key of a TOML: its name with `_` for `-`. Paths in the TOML are relative to its folder.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(default)]
pub(crate) struct EvalArguments {
    /// TOML of options, such as `dataset = "voc2012=VOCdevkit"`; the command line takes precedence
    #[serde(skip)]
    #[arg(value_name = "CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Data set in its published layout (voc2012, coco-stuff, context59, context60, …), or a TOML that describes one
    #[arg(long, value_name = "NAME=DIR|FILE.toml")]
    #[serde(deserialize_with = "deserialize_text")]
    pub(crate) dataset: Option<OsString>,
    /// Split of the data set [default: the one of published results]
    #[arg(long, value_name = "NAME")]
    pub(crate) split: Option<String>,
    /// Trained model: a native file or a published checkpoint; by default the built-in demo model
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: Option<PathBuf>,
    /// CLIP's own weights, for encoders that the model file lacks
    #[arg(long, value_name = "FILE")]
    pub(crate) clip: Option<PathBuf>,
    /// Text features of the class list: `[classes, width]` as .npy or safetensors
    #[arg(long, value_name = "FILE")]
    pub(crate) text_features: Option<PathBuf>,
    /// TOML with what the weights do not determine, as for `segment`
    #[arg(long, value_name = "FILE")]
    pub(crate) model_config: Option<PathBuf>,
    /// auto, cpu, ndarray, wgpu, vulkan[:i], metal[:i], dx12[:i], gl[:i] or cuda[:i] [default: auto]
    #[arg(long, value_parser = parse_device, value_name = "NAME")]
    #[serde(deserialize_with = "deserialize_device")]
    pub(crate) device: Option<DeviceName>,
    /// Number type of the computation [default: f32]
    #[arg(long)]
    pub(crate) precision: Option<PrecisionName>,
    /// How masks are made: by a trained model, or by plain CLIP without training for segmentation [default: zegclip, or sc-clip if
    /// the weights are CLIP's own]
    #[arg(long, conflicts_with = "protocol")]
    pub(crate) method: Option<MethodName>,
    /// Settings and class names of a published figure of plain CLIP: METHOD-BENCHMARK, such as `sclip-voc21`
    #[arg(long, value_name = "NAME", value_parser = parse_protocol, conflicts_with = "vocabulary")]
    #[serde(deserialize_with = "deserialize_protocol")]
    pub(crate) protocol: Option<DenseProtocol>,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) dense: DenseArguments,
    /// Windows per forward pass [default: 1]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256), value_name = "N")]
    #[serde(deserialize_with = "deserialize_batch")]
    pub(crate) batch: Option<u16>,
    /// Read weight files completely instead of mapping them into memory, so that they may change meanwhile
    #[arg(long)]
    pub(crate) no_mmap: bool,
    /// Score the classes of another vocabulary: a built-in one, a list of names or a TOML
    #[arg(long, value_name = "NAME|FILE")]
    #[serde(deserialize_with = "deserialize_text")]
    pub(crate) vocabulary: Option<OsString>,
    /// TOML that maps classes of the data set to classes of the vocabulary, such as `"wall-brick" = "wall"`; others are
    /// matched by name
    #[arg(long, value_name = "FILE", requires = "vocabulary")]
    pub(crate) table: Option<PathBuf>,
    /// Classes that the vocabulary lacks: `ignore` them, `refuse` them, or map them to NAME [default: ignore]
    #[arg(long, value_name = "ignore|refuse|NAME", requires = "vocabulary")]
    pub(crate) unmatched: Option<String>,
    /// Classes with pixel labels in training, separated by commas [default: those of the data set]
    #[arg(long, value_name = "NAMES")]
    pub(crate) seen: Option<ClassNames>,
    /// Training setting of the model [default: full if the classes are not the model's own, else stated in the model file,
    /// else inductive]
    #[arg(long)]
    pub(crate) setting: Option<SettingName>,
    /// Leave classes out that are less present in an image than X, from 0 to 1 [default: off, as published]
    #[arg(long, value_name = "X|off")]
    pub(crate) presence: Option<MinPresence>,
    /// Folder of the results [default: zegclip-evaluation]
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Only the K-th of N shards of the images; `score --merge` adds shards up
    #[arg(long, value_name = "K/N")]
    pub(crate) shard: Option<Shard>,
    /// Only the first N images
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    #[serde(deserialize_with = "deserialize_limit")]
    pub(crate) limit: Option<u64>,
    /// Also compute the boundary IoU
    #[arg(long)]
    pub(crate) boundary: bool,
    /// Also write each label map to DIR/labels
    #[arg(long)]
    pub(crate) save_labels: bool,
    /// Start again and replace existing results; by default an interrupted evaluation is resumed
    #[arg(long)]
    #[serde(skip)]
    pub(crate) overwrite: bool,
    /// Print evaluation.json instead of a table
    #[arg(long)]
    #[serde(skip)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ScoreArguments {
    /// Folder of predicted label maps: NAME.png or NAME.labels.png; a value is the position in the class list
    #[arg(long, value_name = "DIR", conflicts_with = "merge")]
    pub(crate) predictions: Option<PathBuf>,
    /// Folder of the true label maps, with the label values of the vocabulary
    #[arg(long, value_name = "DIR", conflicts_with_all = ["merge", "dataset"], requires = "vocabulary")]
    pub(crate) labels: Option<PathBuf>,
    /// Data set with the true labels, instead of `--labels`
    #[arg(long, value_name = "NAME=DIR|FILE.toml", conflicts_with = "merge")]
    pub(crate) dataset: Option<OsString>,
    /// Split of the data set
    #[arg(long, value_name = "NAME", requires = "dataset")]
    pub(crate) split: Option<String>,
    /// Classes of the predictions: a built-in vocabulary, a list of names or a TOML [default: those of the data set]
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "merge")]
    pub(crate) vocabulary: Option<OsString>,
    /// TOML that maps classes of the data set to classes of the vocabulary; others are matched by name
    #[arg(long, value_name = "FILE", requires_all = ["dataset", "vocabulary"])]
    pub(crate) table: Option<PathBuf>,
    /// Classes that the vocabulary lacks: `ignore` them, `refuse` them, or map them to NAME [default: ignore]
    #[arg(long, value_name = "ignore|refuse|NAME", requires_all = ["dataset", "vocabulary"])]
    pub(crate) unmatched: Option<String>,
    /// Classes with pixel labels in training, separated by commas [default: those of the vocabulary]
    #[arg(long, value_name = "NAMES", conflicts_with = "merge")]
    pub(crate) seen: Option<ClassNames>,
    /// Confusion files of `eval --shard` to add up
    #[arg(long, value_name = "FILE.confusion.json", num_args = 1..)]
    pub(crate) merge: Vec<PathBuf>,
    /// Also compute the boundary IoU
    #[arg(long, conflicts_with = "merge")]
    pub(crate) boundary: bool,
    /// Folder of evaluation.json, .md and .html; by default nothing is written
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Replace existing results
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Print evaluation.json instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}
