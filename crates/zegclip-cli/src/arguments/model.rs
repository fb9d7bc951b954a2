//! Arguments of several commands: the model and the classes.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use zegclip::DeviceName;

use super::dense::DenseArguments;
use super::values::{ClassNames, MethodName, PrecisionName, SettingName, parse_device};

/// Where the model is and where it runs.
#[derive(Debug, Args)]
pub(crate) struct ModelArguments {
    /// Trained model: a native file or a published checkpoint; by default the built-in demo model, which knows only
    /// drawings of 155 things. CLIP's published weights have names: `clip:ViT-B-16`, `hf:ORG/REPO` (see `zegclip weights`)
    #[arg(long, value_name = "FILE|NAME")]
    pub(crate) weights: Option<PathBuf>,
    /// CLIP's own weights, for encoders that the model file lacks: a file, or a name such as `clip:ViT-B-16`
    #[arg(long, value_name = "FILE|NAME")]
    pub(crate) clip: Option<PathBuf>,
    /// Text features of the class list: `[classes, width]` as .npy or safetensors
    #[arg(long, value_name = "FILE")]
    pub(crate) text_features: Option<PathBuf>,
    /// TOML with what the weights do not determine: image_size, stride, vision_heads, text_heads, decoder_heads, relation,
    /// activation ("gelu" or "quick_gelu"); it takes precedence over what they state
    #[arg(long, value_name = "FILE")]
    pub(crate) model_config: Option<PathBuf>,
    /// auto, cpu, ndarray, wgpu, vulkan[:i], metal[:i], dx12[:i], gl[:i] or cuda[:i]
    #[arg(long, default_value = "auto", value_parser = parse_device, value_name = "NAME")]
    pub(crate) device: DeviceName,
    /// Number type of the computation
    #[arg(long, default_value = "f32")]
    pub(crate) precision: PrecisionName,
    /// How masks are made: by a trained model, or by plain CLIP without training for segmentation [default: zegclip, or sc-clip if
    /// the weights are CLIP's own]
    #[arg(long)]
    pub(crate) method: Option<MethodName>,
    #[command(flatten)]
    pub(crate) dense: DenseArguments,
    /// Windows per forward pass
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256), value_name = "N")]
    pub(crate) batch: u16,
    /// Read weight files completely instead of mapping them into memory, so that they may change meanwhile
    #[arg(long)]
    pub(crate) no_mmap: bool,
}

/// The class list.
#[derive(Debug, Args)]
pub(crate) struct ClassArguments {
    /// Class names, separated by commas; `|` separates synonyms: "cat, grass, sofa|couch"
    #[arg(long, value_name = "NAMES", conflicts_with = "vocabulary")]
    pub(crate) classes: Option<String>,
    /// A built-in vocabulary (voc20, coco171, context59, context60, …), a file with one name per line (JSON and numbered lists too),
    /// or a TOML of a vocabulary
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) vocabulary: Option<OsString>,
    /// Classes with pixel labels in training, separated by commas; all others are unseen
    #[arg(long, value_name = "NAMES")]
    pub(crate) seen: Option<ClassNames>,
    /// Training setting of the model; the scores of seen classes are lowered by 0.1 for inductive models only [default:
    /// stated in the model file, else inductive]
    #[arg(long)]
    pub(crate) setting: Option<SettingName>,
}
