//! `zegclip demo` and `zegclip scenes`

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::values::SplitName;
#[cfg(feature = "demo")]
use super::values::parse_device;

#[cfg(feature = "demo")]
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Folder of the page, the images and the scores
    #[arg(long, default_value = "zegclip-demo", value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Replace existing results
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Scenes per split; model cards state scores of 500
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000), value_name = "N")]
    pub(crate) count: u64,
    /// Width and height of a scene in pixels
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(32..=1024), value_name = "S")]
    pub(crate) size: u32,
    /// Seed of the scenes
    #[arg(long, default_value_t = 0, value_name = "K")]
    pub(crate) seed: u64,
    /// Model to score on the scenes; by default the built-in demo model
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: Option<PathBuf>,
    /// Device; the CPU is the fastest for a model as small as the demo model
    #[arg(long, default_value = "cpu", value_parser = parse_device, value_name = "NAME")]
    pub(crate) device: zegclip::DeviceName,
    /// Print one JSON object per split
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ScenesArguments {
    /// New folder for images, labels, captions.jsonl and dataset.toml
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// Number of scenes
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000_000), value_name = "N")]
    pub(crate) count: u64,
    /// Width and height of a scene in pixels
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(32..=1024), value_name = "S")]
    pub(crate) size: u32,
    /// Seed of the scenes
    #[arg(long, default_value_t = 0, value_name = "K")]
    pub(crate) seed: u64,
    /// Training scenes by known artists with strong augmentation, or test scenes by an artist held out from training
    #[arg(long, default_value = "train")]
    pub(crate) split: SplitName,
    /// Artists: known, unknown, all, or names separated by commas [default: known for train, unknown for test]
    #[arg(long, value_name = "NAMES")]
    pub(crate) artists: Option<String>,
    /// Folder with pictures.json and STYLE/NAME.png; by default the embedded pictures
    #[arg(long, value_name = "DIR")]
    pub(crate) pictures: Option<PathBuf>,
    /// Draw and label only classes of this vocabulary (voc-pictures, …, or a file); other grounds are ignored
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) vocabulary: Option<OsString>,
}
