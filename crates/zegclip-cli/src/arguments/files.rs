//! `zegclip inspect`, `convert`, `tokenize` and `devices`

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::values::PrecisionName;

#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// Weight file, index of a sharded model, or folder of either; by default the built-in demo model
    pub(crate) file: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Read weight files completely instead of mapping them into memory, so that they may change meanwhile
    #[arg(long)]
    pub(crate) no_mmap: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ConvertArguments {
    /// Weights in any known format
    pub(crate) input: PathBuf,
    /// `.safetensors`: a native file; `.pth`: a checkpoint of the published code, or for plain CLIP an OpenCLIP state dict
    pub(crate) output: PathBuf,
    /// CLIP's own weights, for encoders that the input lacks
    #[arg(long, value_name = "FILE")]
    pub(crate) clip: Option<PathBuf>,
    /// Class list to store in the native file: a built-in vocabulary or a file
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) vocabulary: Option<OsString>,
    /// TOML with what the weights do not determine, as for `segment`
    #[arg(long, value_name = "FILE")]
    pub(crate) model_config: Option<PathBuf>,
    /// Number type of the stored tensors [default: as in the input]
    #[arg(long)]
    pub(crate) precision: Option<PrecisionName>,
    /// Replace an existing output
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Read weight files completely instead of mapping them into memory, so that they may change meanwhile
    #[arg(long)]
    pub(crate) no_mmap: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TokenizeArguments {
    /// Texts; `-` or none: lines of stdin
    pub(crate) texts: Vec<String>,
    /// Maximum number of tokens, including start and end
    #[arg(long, default_value_t = 77, value_parser = clap::value_parser!(u16).range(2..), value_name = "N")]
    pub(crate) context_length: u16,
}

#[derive(Debug, Args)]
pub(crate) struct DevicesArguments {
    /// Print one JSON object per device
    #[arg(long)]
    pub(crate) json: bool,
}
