//! `zegclip dataset`

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::values::{SettingName, parse_opacity};

#[derive(Debug, Subcommand)]
pub(crate) enum DatasetCommand {
    /// Read every file; report missing, unreadable and unusual ones, and the frequency of each class
    Check(DatasetCheckArguments),
    /// Draw a sample: image, labels, legend
    Show(DatasetShowArguments),
}

#[derive(Debug, Args)]
pub(crate) struct DatasetCheckArguments {
    /// Data set: NAME=DIR, or a TOML that describes one
    #[arg(value_name = "DATASET")]
    pub(crate) dataset: OsString,
    /// Split [default: the one of published results]
    #[arg(long, value_name = "NAME")]
    pub(crate) split: Option<String>,
    /// Training setting: determines how training treats unseen classes
    #[arg(long)]
    pub(crate) setting: Option<SettingName>,
    /// Report every label of an unseen class, for labels that are supposed to have none
    #[arg(long)]
    pub(crate) cleaned: bool,
    /// Draw the frequency of each class
    #[arg(long, value_name = "OUT.png")]
    pub(crate) chart: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DatasetShowArguments {
    /// Data set: NAME=DIR, or a TOML that describes one
    #[arg(value_name = "DATASET")]
    pub(crate) dataset: OsString,
    /// Image to write
    #[arg(value_name = "OUT.png")]
    pub(crate) output: PathBuf,
    /// Split [default: the one of published results]
    #[arg(long, value_name = "NAME")]
    pub(crate) split: Option<String>,
    /// Index of the sample, from 0
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) index: usize,
    /// Weight of the class colors beside the image, from 0 to 1
    #[arg(long, default_value_t = 0.75, value_parser = parse_opacity, value_name = "X")]
    pub(crate) opacity: f32,
    /// Replace an existing image
    #[arg(long)]
    pub(crate) overwrite: bool,
}
