//! `zegclip segment`

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::model::{ClassArguments, ModelArguments};
use super::values::{MinPresence, parse_class_name, parse_opacity, parse_score};

#[derive(Debug, Args)]
pub(crate) struct SegmentArguments {
    /// Image files, folders, patterns such as "images/*.jpg", or `-` for an image on stdin
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<OsString>,
    #[command(flatten)]
    pub(crate) classes: ClassArguments,
    #[command(flatten)]
    pub(crate) model: ModelArguments,
    /// Folder of the results
    #[arg(long, default_value = "zegclip-output", value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Remove existing results of the images, and write new ones
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Resume a command that was interrupted: images that have a NAME.json are done
    #[arg(long, conflicts_with = "overwrite")]
    pub(crate) skip_existing: bool,
    /// Also write NAME.scores.safetensors: `scores` [classes, height, width] and `labels` [height, width]
    #[arg(long)]
    pub(crate) scores: bool,
    /// Pixels of this class are left without a label; may be repeated
    #[arg(long, value_name = "NAME", value_parser = parse_class_name)]
    pub(crate) background_class: Vec<String>,
    /// Pixels whose best score is below X, from -1 to 1, are left without a label
    #[arg(long, value_name = "X", value_parser = parse_score, allow_negative_numbers = true)]
    pub(crate) min_score: Option<f32>,
    /// Leave classes out that are less present in an image than X, from 0 to 1, or `off` [default: 0.3 for trained models, else
    /// off]
    #[arg(long, value_name = "X|off")]
    pub(crate) presence: Option<MinPresence>,
    /// The former name of `--background-class` and `--min-score`.
    #[arg(long, value_name = "NAME|X", allow_negative_numbers = true, hide = true)]
    pub(crate) background: Vec<String>,
    /// Weight of the class colors in the overlay, from 0 to 1
    #[arg(long, default_value_t = 0.6, value_parser = parse_opacity, value_name = "X")]
    pub(crate) overlay_opacity: f32,
    /// Print one JSON object per image
    #[arg(long)]
    pub(crate) json: bool,
}
