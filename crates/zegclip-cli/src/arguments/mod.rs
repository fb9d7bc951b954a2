//! The command line as clap parses it. [`crate::plan`] checks it and fills in what it leaves open.

mod dataset;
mod dense;
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

use std::ffi::OsString;

use clap::Parser;
use clap::error::ErrorKind;

use crate::failure::Failure;
use crate::shell::quoted;

pub(crate) use dataset::{DatasetCheckArguments, DatasetCommand, DatasetShowArguments};
pub(crate) use dense::DenseArguments;
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
pub(crate) use values::{ClassNames, MethodName, MinPresence, PrecisionName, SettingName, SplitName};
#[cfg(feature = "hub")]
pub(crate) use weights::WeightsCommand;

/// Reads the command line. Paths may have any bytes; another argument that is not UTF-8 is named.
pub(crate) fn parse(arguments: Vec<OsString>) -> Result<Arguments, Failure> {
    let error = match Arguments::try_parse_from(&arguments) {
        Ok(parsed) => return Ok(parsed),
        Err(error) if error.kind() == ErrorKind::InvalidUtf8 => error,
        Err(error) => error.exit(),
    };
    // The error does not say which argument it is: the one that cannot be read where all others are text.
    let is_wrong = |position: &usize| {
        let text = |(other, argument): (usize, &OsString)| match other == *position {
            true => argument.clone(),
            false => argument.to_string_lossy().into_owned().into(),
        };
        let rest = arguments.iter().enumerate().map(text);
        Arguments::try_parse_from(rest).is_err_and(|error| error.kind() == ErrorKind::InvalidUtf8)
    };
    let wrong = (0..arguments.len()).find(is_wrong);
    match wrong.and_then(|position| arguments.get(position)) {
        Some(argument) => Err(Failure::usage(format!(
            "the argument {} is not UTF-8, which only paths need not be",
            quoted(argument)
        ))),
        None => error.exit(),
    }
}
