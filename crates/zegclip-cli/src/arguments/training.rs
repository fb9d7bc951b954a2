//! `zegclip train` and `zegclip pretrain`

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use zegclip::DeviceName;

use super::values::parse_device;

#[derive(Debug, Args)]
pub(crate) struct TrainArguments {
    /// Configuration of a new run; `assets/training/` contains the published ones
    #[arg(value_name = "CONFIG", conflicts_with = "resume")]
    pub(crate) config: Option<PathBuf>,
    /// Set one value of the configuration, as in `model.prompts.count=100`; with --resume only values that do not change
    /// the result
    #[arg(long = "set", value_name = "KEY=VALUE", conflicts_with = "export")]
    pub(crate) overrides: Vec<String>,
    /// Folder of a new run, without an existing run [default: zegclip-run]; with --export the model file
    #[arg(long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// Resume a run from its last checkpoint
    #[arg(long, value_name = "RUN")]
    pub(crate) resume: Option<PathBuf>,
    /// Only write the model of a checkpoint of the run: best, half-way, latest, an iteration, or a folder
    #[arg(long, value_name = "CHECKPOINT", requires = "resume")]
    pub(crate) export: Option<OsString>,
    /// Device; several, separated by commas, share each batch
    #[arg(long, default_value = "auto", value_parser = parse_device, value_delimiter = ',', value_name = "NAME,…")]
    pub(crate) device: Vec<DeviceName>,
    /// Read weight files completely instead of mapping them into memory, so that they may change meanwhile
    #[arg(long)]
    pub(crate) no_mmap: bool,
    #[command(flatten)]
    pub(crate) display: DisplayArguments,
}

#[derive(Debug, Args)]
pub(crate) struct PretrainArguments {
    /// Configuration of a new run; `assets/pretraining/` contains examples
    #[arg(value_name = "CONFIG", conflicts_with = "resume")]
    pub(crate) config: Option<PathBuf>,
    /// Set one value of the configuration, as in `stages.0.batch_size=64`; with --resume only values that do not change
    /// the result
    #[arg(long = "set", value_name = "KEY=VALUE", conflicts_with = "export")]
    pub(crate) overrides: Vec<String>,
    /// Folder of a new run, without an existing run [default: zegclip-pretrain]
    #[arg(long, value_name = "RUN", conflicts_with = "resume")]
    pub(crate) output: Option<PathBuf>,
    /// Resume a run from its last checkpoint
    #[arg(long, value_name = "RUN")]
    pub(crate) resume: Option<PathBuf>,
    /// Only write the model of the last checkpoint to FILE
    #[arg(long, value_name = "FILE", requires = "resume")]
    pub(crate) export: Option<PathBuf>,
    /// Device
    #[arg(long, default_value = "auto", value_parser = parse_device, value_name = "NAME")]
    pub(crate) device: DeviceName,
    /// Read weight files completely instead of mapping them into memory, so that they may change meanwhile
    #[arg(long)]
    pub(crate) no_mmap: bool,
    #[command(flatten)]
    pub(crate) display: DisplayArguments,
}

/// How a run is displayed.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct DisplayArguments {
    /// Print lines on stderr instead of the dashboard
    #[arg(long)]
    pub(crate) no_tui: bool,
    /// Print one JSON object at the end, and lines instead of the dashboard
    #[arg(long)]
    pub(crate) json: bool,
}
