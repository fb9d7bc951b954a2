//! The command line, as parsed by clap.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Deserialize;
use zegclip::DeviceName;
use zegclip_data::TrainingSetting;

use crate::evaluation_arguments::{DatasetCommand, EvalOptions, ScoreOptions};
use crate::pretrain::PretrainOptions;
use crate::train::TrainOptions;

/// Zero-shot semantic segmentation: name classes, get their pixels.
#[derive(Debug, Parser)]
#[command(name = "zegclip", version, about, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// See it work: the built-in demo model on its own benchmark
    Demo(DemoOptions),
    /// Segment images into the classes you name
    Segment(SegmentOptions),
    /// Train: inductive, transductive or fully supervised
    Train(TrainOptions),
    /// Train plain CLIP from images and captions
    Pretrain(PretrainOptions),
    /// Segment a data set and score the result
    Eval(Box<EvalOptions>),
    /// Score label maps that exist, or add up parts of an evaluation
    Score(ScoreOptions),
    /// Look at a data set: is it complete and sane?
    Dataset {
        /// What to do with it.
        #[command(subcommand)]
        command: DatasetCommand,
    },
    /// Compose scenes of named pictures with labels and captions, as a data set
    Scenes(ScenesOptions),
    /// Show what a weight file is and holds
    Inspect(InspectOptions),
    /// Convert any known weight format to a native file, or a native file to the authors' `.pth`
    Convert(ConvertOptions),
    /// Print CLIP's token ids, one JSON array a line
    Tokenize(TokenizeOptions),
    /// List the devices of this machine
    Devices(DevicesOptions),
}

/// Where a model comes from and where it runs.
#[derive(Debug, Args)]
pub(crate) struct ModelOptions {
    /// Trained model: a native file or a checkpoint of the authors; without, the built-in demo model, which knows only
    /// drawings of 155 things
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: Option<PathBuf>,
    /// CLIP's own weights, for the text encoder (and the image encoder) that the model's file lacks
    #[arg(long, value_name = "FILE")]
    pub(crate) clip: Option<PathBuf>,
    /// Text features of the class list: `[classes, width]` as .npy or safetensors
    #[arg(long, value_name = "FILE")]
    pub(crate) text_features: Option<PathBuf>,
    /// TOML with sizes that the weights cannot tell: image_size, stride, vision_heads, text_heads, decoder_heads, relation
    #[arg(long, value_name = "FILE")]
    pub(crate) model_config: Option<PathBuf>,
    /// auto, cpu, ndarray, wgpu, vulkan[:i], metal[:i], dx12[:i], gl[:i] or cuda[:i]
    #[arg(long, default_value = "auto", value_parser = parse_device, value_name = "NAME")]
    pub(crate) device: DeviceName,
    /// Type of the numbers to compute with
    #[arg(long, default_value = "f32")]
    pub(crate) precision: PrecisionName,
    /// `maskclip`: plain CLIP without training for segmentation, from CLIP's own weights in `--weights`
    #[arg(long, default_value = "zegclip")]
    pub(crate) method: MethodName,
    /// Windows that go through the model together
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256), value_name = "N")]
    pub(crate) batch: u16,
}

/// Which classes there are.
#[derive(Debug, Args)]
pub(crate) struct ClassOptions {
    /// Class names, separated by commas; `|` between synonyms: "cat, grass, sofa|couch"
    #[arg(
        long,
        value_name = "NAMES",
        conflicts_with = "vocabulary",
        required_unless_present = "vocabulary"
    )]
    pub(crate) classes: Option<String>,
    /// A built-in vocabulary (voc20, coco171, context59, context60, …), a file with one name a line, or a vocabulary's TOML
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) vocabulary: Option<String>,
    /// The classes that the model saw pixel labels of, separated by commas; all others are unseen
    #[arg(long, value_name = "NAMES")]
    pub(crate) seen: Option<String>,
    /// How the model was trained; transductive models keep the scores of seen classes. By default what its file says, else
    /// inductive
    #[arg(long)]
    pub(crate) setting: Option<SettingName>,
}

#[derive(Debug, Args)]
pub(crate) struct SegmentOptions {
    /// Images, folders, patterns such as "photos/*.jpg", or `-` for an image on stdin
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<String>,
    #[command(flatten)]
    pub(crate) classes: ClassOptions,
    #[command(flatten)]
    pub(crate) model: ModelOptions,
    /// Folder for the results
    #[arg(long, default_value = "zegclip-output", value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Replace results that exist
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Also write NAME.scores.safetensors: `scores` [classes, height, width] and `labels`
    #[arg(long)]
    pub(crate) scores: bool,
    /// Pixels that are none of the classes: those with a best score below a THRESHOLD, or those of the class NAME
    #[arg(long, value_name = "NAME|THRESHOLD", allow_negative_numbers = true)]
    pub(crate) background: Vec<String>,
    /// How much of the overlay is class colour, from 0 to 1
    #[arg(long, default_value_t = 0.6, value_parser = parse_opacity, value_name = "X")]
    pub(crate) overlay_opacity: f32,
    /// Print one JSON object an image
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DemoOptions {
    /// Folder for the page, the pictures and the scores
    #[arg(long, default_value = "zegclip-demo", value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Replace results that exist
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Scenes of each split; model cards state scores of 500
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000), value_name = "N")]
    pub(crate) count: u64,
    /// Width and height of a scene in pixels
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(32..=1024), value_name = "S")]
    pub(crate) size: u32,
    /// Another seed, other scenes
    #[arg(long, default_value_t = 0, value_name = "K")]
    pub(crate) seed: u64,
    /// Another model to score on the same scenes; without, the built-in demo model
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: Option<PathBuf>,
    /// Where to compute; the demo model is so small that the processor is the best place
    #[arg(long, default_value = "cpu", value_parser = parse_device, value_name = "NAME")]
    pub(crate) device: DeviceName,
    /// Print one JSON object a split
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ScenesOptions {
    /// New folder for photos, labels, captions.jsonl and dataset.toml
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// Number of scenes
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000_000), value_name = "N")]
    pub(crate) count: u64,
    /// Width and height of a scene in pixels
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(32..=1024), value_name = "S")]
    pub(crate) size: u32,
    /// Another seed, other scenes
    #[arg(long, default_value_t = 0, value_name = "K")]
    pub(crate) seed: u64,
    /// Training scenes by known artists, strongly varied, or test scenes by an artist that no training sees
    #[arg(long, default_value = "train")]
    pub(crate) split: SplitName,
    /// Who draws: known, unknown, all, or names separated by commas; by default known for train, unknown for test
    #[arg(long, value_name = "WHO")]
    pub(crate) artists: Option<String>,
    /// Folder with pictures.json and STYLE/NAME.png; else the embedded pictures
    #[arg(long, value_name = "DIR")]
    pub(crate) pictures: Option<PathBuf>,
    /// Draw and label only what this vocabulary names (voc-pictures, …, or a file); other grounds are ignored
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) vocabulary: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct InspectOptions {
    /// Weight file, index of shards, or folder with one; without, the built-in demo model
    pub(crate) file: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ConvertOptions {
    /// Weights in any known format
    pub(crate) input: PathBuf,
    /// `.safetensors`: a native file; `.pth`: a checkpoint of the authors' code, or of plain CLIP a state dict of OpenCLIP
    pub(crate) output: PathBuf,
    /// CLIP's own weights, for the encoders that the input lacks
    #[arg(long, value_name = "FILE")]
    pub(crate) clip: Option<PathBuf>,
    /// Class list to store in the native file: a built-in vocabulary or a file
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) vocabulary: Option<String>,
    /// TOML with sizes that the weights cannot tell
    #[arg(long, value_name = "FILE")]
    pub(crate) model_config: Option<PathBuf>,
    /// Type of the stored numbers; the input's own by default
    #[arg(long)]
    pub(crate) precision: Option<PrecisionName>,
    /// Replace the output if it exists
    #[arg(long)]
    pub(crate) overwrite: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TokenizeOptions {
    /// Texts; `-` or none: lines of stdin
    pub(crate) texts: Vec<String>,
    /// Most tokens of a text, start and end included
    #[arg(long, default_value_t = 77, value_parser = clap::value_parser!(u16).range(2..), value_name = "N")]
    pub(crate) context_length: u16,
}

#[derive(Debug, Args)]
pub(crate) struct DevicesOptions {
    /// Print one JSON object a device
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PrecisionName {
    F32,
    F16,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub(crate) enum MethodName {
    #[default]
    ZegClip,
    MaskClip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SplitName {
    Train,
    Test,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SettingName {
    /// 0.1 is taken from the scores of seen classes
    Inductive,
    /// Scores stay as they are
    Transductive,
    /// Every class counts as seen
    Full,
}

impl From<SettingName> for TrainingSetting {
    fn from(name: SettingName) -> Self {
        match name {
            SettingName::Inductive => Self::Inductive,
            SettingName::Transductive => Self::Transductive,
            SettingName::Full => Self::Full,
        }
    }
}

pub(crate) fn parse_device(text: &str) -> Result<DeviceName, String> {
    text.parse()
        .map_err(|error: zegclip_model::device::DeviceError| error.to_string())
}

pub(crate) fn parse_opacity(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("an opacity is a number from 0 to 1".to_owned()),
    }
}
