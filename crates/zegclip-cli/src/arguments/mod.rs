//! The command line as clap parses it. [`crate::plan`] checks it and fills in what it leaves open.

mod dataset;
mod evaluation;
mod files;
mod generate;
mod model;
mod program;
mod scenes;
mod segment;
mod training;
mod values;
#[cfg(feature = "hub")]
mod weights;

pub(crate) use dataset::{DatasetCheckArguments, DatasetCommand, DatasetShowArguments};
pub(crate) use evaluation::{EvalArguments, ScoreArguments};
pub(crate) use files::{ConvertArguments, DevicesArguments, InspectArguments, TokenizeArguments};
pub(crate) use generate::{CompletionsArguments, ManArguments};
pub(crate) use model::{ClassArguments, ModelArguments};
pub(crate) use program::{Arguments, Command};
#[cfg(feature = "demo")]
pub(crate) use scenes::DemoArguments;
pub(crate) use scenes::ScenesArguments;
pub(crate) use segment::SegmentArguments;
pub(crate) use training::{DisplayArguments, PretrainArguments, TrainArguments};
pub(crate) use values::{MethodName, PrecisionName, SettingName, SplitName};
#[cfg(feature = "hub")]
pub(crate) use weights::WeightsCommand;
