//! The command line of `eval`, `score` and `dataset`, and the TOML that may stand for that of `eval`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::{Deserialize, Deserializer};
use zegclip::DeviceName;
use zegclip_foundation::nearest_name;

use crate::arguments::{MethodName, ModelOptions, PrecisionName, SettingName, parse_device, parse_opacity};
use crate::failure::Failure;

/// Results of `eval` and `score` are written here unless said otherwise.
pub(crate) const DEFAULT_OUTPUT: &str = "zegclip-evaluation";

/// Every option may stand in a TOML instead; there it has the option's name with `_` for `-`, and paths start at the
/// TOML's folder.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EvalOptions {
    /// TOML that holds options, such as `dataset = "voc2012=VOCdevkit"`; those on the command line go first
    #[serde(skip)]
    #[arg(value_name = "CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Data set as its publisher ships it (voc2012, coco-stuff, context59, context60, …), or a TOML that describes one
    #[arg(long, value_name = "NAME=DIR|FILE.toml")]
    pub(crate) dataset: Option<String>,
    /// Split of the data set; by default the one that published results are of
    #[arg(long, value_name = "NAME")]
    pub(crate) split: Option<String>,
    /// Trained model: a native file or a checkpoint of the authors; without, the built-in demo model
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: Option<PathBuf>,
    /// CLIP's own weights, for what the model's file lacks
    #[arg(long, value_name = "FILE")]
    pub(crate) clip: Option<PathBuf>,
    /// Text features of the class list: `[classes, width]` as .npy or safetensors
    #[arg(long, value_name = "FILE")]
    pub(crate) text_features: Option<PathBuf>,
    /// TOML with sizes that the weights cannot tell
    #[arg(long, value_name = "FILE")]
    pub(crate) model_config: Option<PathBuf>,
    /// auto, cpu, ndarray, wgpu, vulkan[:i], metal[:i], dx12[:i], gl[:i] or cuda[:i]; auto by default
    #[arg(long, value_parser = parse_device, value_name = "NAME")]
    #[serde(deserialize_with = "device")]
    pub(crate) device: Option<DeviceName>,
    /// Type of the numbers to compute with; f32 by default
    #[arg(long)]
    pub(crate) precision: Option<PrecisionName>,
    /// `maskclip`: plain CLIP without training for segmentation, from CLIP's own weights in `--weights`; zegclip by default
    #[arg(long)]
    pub(crate) method: Option<MethodName>,
    /// Windows that go through the model together; 1 by default
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256), value_name = "N")]
    pub(crate) batch: Option<u16>,
    /// Score under the classes of another vocabulary: a built-in one, a list of names or a TOML
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) vocabulary: Option<String>,
    /// TOML of which class of the data set is which of the vocabulary, such as `"wall-brick" = "wall"`; others go by name
    #[arg(long, value_name = "FILE", requires = "vocabulary")]
    pub(crate) table: Option<PathBuf>,
    /// Classes that the vocabulary lacks: `ignore` them (the default), `refuse` them, or the NAME they become
    #[arg(long, value_name = "ignore|refuse|NAME", requires = "vocabulary")]
    pub(crate) unmatched: Option<String>,
    /// The classes that the model saw pixel labels of, separated by commas; the data set's by default
    #[arg(long, value_name = "NAMES")]
    pub(crate) seen: Option<String>,
    /// How the model was trained; full by default where the classes are not the model's own, else what its file says, else
    /// inductive
    #[arg(long)]
    pub(crate) setting: Option<SettingName>,
    /// Folder for the results [default: zegclip-evaluation]
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Only the K-th of N parts of the images; `score --merge` adds the parts up
    #[arg(long, value_name = "K/N")]
    pub(crate) shard: Option<Shard>,
    /// Only the first N images
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Also score boundaries (boundary IoU)
    #[arg(long)]
    pub(crate) boundary: bool,
    /// Also write every label map, to DIR/labels
    #[arg(long)]
    pub(crate) save_labels: bool,
    /// Start anew, replacing results that exist; without, an interrupted evaluation goes on
    #[arg(long)]
    #[serde(skip)]
    pub(crate) overwrite: bool,
    /// Print evaluation.json instead of a table
    #[arg(long)]
    #[serde(skip)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ScoreOptions {
    /// Folder of predicted label maps: NAME.png or NAME.labels.png, index = position in the class list
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "merge",
        conflicts_with = "merge"
    )]
    pub(crate) predictions: Option<PathBuf>,
    /// Folder of the true label maps, with values as the vocabulary says
    #[arg(long, value_name = "DIR", conflicts_with_all = ["merge", "dataset"], required_unless_present_any = ["merge", "dataset"],
        requires = "vocabulary")]
    pub(crate) labels: Option<PathBuf>,
    /// Data set with the true labels, instead of `--labels`
    #[arg(long, value_name = "NAME=DIR|FILE.toml", conflicts_with = "merge")]
    pub(crate) dataset: Option<String>,
    /// Split of the data set
    #[arg(long, value_name = "NAME", requires = "dataset")]
    pub(crate) split: Option<String>,
    /// Classes of the predictions: a built-in vocabulary, a list of names or a TOML; by default the data set's
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "merge")]
    pub(crate) vocabulary: Option<String>,
    /// TOML of which class of the data set is which of the vocabulary; others go by name
    #[arg(long, value_name = "FILE", requires_all = ["dataset", "vocabulary"])]
    pub(crate) table: Option<PathBuf>,
    /// Classes that the vocabulary lacks: `ignore` them (the default), `refuse` them, or the NAME they become
    #[arg(long, value_name = "ignore|refuse|NAME", requires_all = ["dataset", "vocabulary"])]
    pub(crate) unmatched: Option<String>,
    /// The classes that the model saw pixel labels of, separated by commas; the vocabulary's by default
    #[arg(long, value_name = "NAMES", conflicts_with = "merge")]
    pub(crate) seen: Option<String>,
    /// Add up what `eval --shard` counted
    #[arg(long, value_name = "FILE.confusion.json", num_args = 1..)]
    pub(crate) merge: Vec<PathBuf>,
    /// Also score boundaries (boundary IoU)
    #[arg(long, conflicts_with = "merge")]
    pub(crate) boundary: bool,
    /// Folder for evaluation.json, .md and .html; by default nothing is written
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Replace results that exist
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Print evaluation.json instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DatasetCommand {
    /// Read every file: what is missing, unreadable or odd, and how often each class occurs
    Check(DatasetCheckOptions),
    /// Draw a sample: photo, labels, legend
    Show(DatasetShowOptions),
}

#[derive(Debug, Args)]
pub(crate) struct DatasetCheckOptions {
    /// Data set: NAME=DIR, or a TOML that describes one
    #[arg(value_name = "DATASET")]
    pub(crate) dataset: String,
    /// Split; by default the one that published results are of
    #[arg(long, value_name = "NAME")]
    pub(crate) split: Option<String>,
    /// What the data set is for: says what becomes of unseen classes in training
    #[arg(long)]
    pub(crate) setting: Option<SettingName>,
    /// The labels are said to hold no unseen class: report every one that they do
    #[arg(long)]
    pub(crate) cleaned: bool,
    /// Draw how often each class occurs
    #[arg(long, value_name = "OUT.png")]
    pub(crate) chart: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DatasetShowOptions {
    /// Data set: NAME=DIR, or a TOML that describes one
    #[arg(value_name = "DATASET")]
    pub(crate) dataset: String,
    /// The picture to write
    #[arg(value_name = "OUT.png")]
    pub(crate) output: PathBuf,
    /// Split; by default the one that published results are of
    #[arg(long, value_name = "NAME")]
    pub(crate) split: Option<String>,
    /// Which sample, from 0
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) index: usize,
    /// How much of the labels' picture is class colour, from 0 to 1
    #[arg(long, default_value_t = 0.75, value_parser = parse_opacity, value_name = "X")]
    pub(crate) opacity: f32,
    /// Replace the picture if it exists
    #[arg(long)]
    pub(crate) overwrite: bool,
}

/// The `number`-th of `of` parts, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) number: usize,
    pub(crate) of: usize,
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(number, of)| {
            Some(Self {
                number: number.trim().parse().ok()?,
                of: of.trim().parse().ok()?,
            })
        });
        match parts {
            Some(shard) if (1..=shard.of).contains(&shard.number) => Ok(shard),
            _ => Err("a part is K/N with K from 1 to N, such as 3/16".to_owned()),
        }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.number, self.of)
    }
}

impl<'de> Deserialize<'de> for Shard {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

fn device<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DeviceName>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_device(&text).map(Some).map_err(serde::de::Error::custom)
}

impl EvalOptions {
    /// The options with those of the TOML behind them.
    pub(crate) fn resolved(&self) -> Result<Self, Failure> {
        let Some(path) = &self.config else {
            return Ok(self.clone());
        };
        let file = Self::read(path)?;
        let own = self.clone();
        Ok(Self {
            config: own.config,
            dataset: own.dataset.or(file.dataset),
            split: own.split.or(file.split),
            weights: own.weights.or(file.weights),
            clip: own.clip.or(file.clip),
            text_features: own.text_features.or(file.text_features),
            model_config: own.model_config.or(file.model_config),
            device: own.device.or(file.device),
            precision: own.precision.or(file.precision),
            method: own.method.or(file.method),
            batch: own.batch.or(file.batch),
            vocabulary: own.vocabulary.or(file.vocabulary),
            table: own.table.or(file.table),
            unmatched: own.unmatched.or(file.unmatched),
            seen: own.seen.or(file.seen),
            setting: own.setting.or(file.setting),
            output: own.output.or(file.output),
            shard: own.shard.or(file.shard),
            limit: own.limit.or(file.limit),
            boundary: own.boundary || file.boundary,
            save_labels: own.save_labels || file.save_labels,
            overwrite: own.overwrite,
            json: own.json,
        })
    }

    fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let wrong = |reason: String| Failure::failed(format!("`{shown}`: {}", reason.replace('\n', ", ")));
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::failed(format!("cannot read `{shown}`: {error}")))?;
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| wrong(error.message().to_owned()))?;
        let known = Self::keys();
        if let Some(key) = table.keys().find(|key| !known.contains(key)) {
            let hint = nearest_name(key, known.iter().map(String::as_str)).map_or_else(
                || format!("; known keys are {}", known.join(", ")),
                |near| format!(" (did you mean `{near}`?)"),
            );
            return Err(wrong(format!("unknown key `{key}`{hint}")));
        }
        let options: Self = table
            .try_into()
            .map_err(|error: toml::de::Error| wrong(error.message().to_owned()))?;
        if options.batch.is_some_and(|batch| !(1..=256).contains(&batch)) {
            return Err(wrong("`batch` is a number from 1 to 256".to_owned()));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let at_folder = |path: PathBuf| folder.join(path);
        Ok(Self {
            dataset: options.dataset.map(|dataset| match dataset.split_once('=') {
                Some((name, root)) => format!("{name}={}", folder.join(root).display()),
                None => folder.join(dataset).display().to_string(),
            }),
            weights: options.weights.map(at_folder),
            clip: options.clip.map(at_folder),
            text_features: options.text_features.map(at_folder),
            model_config: options.model_config.map(at_folder),
            table: options.table.map(at_folder),
            output: options.output.map(at_folder),
            vocabulary: options.vocabulary.map(|name| {
                let file = folder.join(&name);
                if file.is_file() {
                    file.display().to_string()
                } else {
                    name
                }
            }),
            ..options
        })
    }

    /// What may stand in a TOML: the options that are no mere wish of the moment.
    fn keys() -> Vec<String> {
        let command = Self::augment_args(clap::Command::new("eval"));
        let ids = command.get_arguments().map(|argument| argument.get_id().to_string());
        ids.filter(|id| !["config", "overwrite", "json"].contains(&id.as_str()))
            .collect()
    }

    /// Where the model comes from and where it runs.
    pub(crate) fn model(&self) -> ModelOptions {
        ModelOptions {
            weights: self.weights.clone(),
            clip: self.clip.clone(),
            text_features: self.text_features.clone(),
            model_config: self.model_config.clone(),
            device: self.device.unwrap_or(DeviceName::Auto),
            precision: self.precision.unwrap_or(PrecisionName::F32),
            method: self.method.unwrap_or_default(),
            batch: self.batch.unwrap_or(1),
        }
    }

    /// Where results go.
    pub(crate) fn output(&self) -> PathBuf {
        self.output.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_OUTPUT))
    }
}
