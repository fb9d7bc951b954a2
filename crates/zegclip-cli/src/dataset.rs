//! `zegclip dataset check` and `zegclip dataset show`

use std::ffi::OsStr;

use zegclip_data::dataset_check::{CheckOptions, check};
use zegclip_data::datasets::DatasetSpec;
use zegclip_data::{TrainingSetting, remove_if_there};

use crate::arguments::{DatasetCheckArguments, DatasetCommand, DatasetShowArguments};
use crate::failure::Failure;
use crate::progress::bar;
use crate::segment::save_png;
use crate::{hints, output};

pub(crate) fn run(command: &DatasetCommand) -> Result<(), Failure> {
    match command {
        DatasetCommand::Check(options) => run_check(options),
        DatasetCommand::Show(options) => run_show(options),
    }
}

/// The data set of `NAME=DIR` or of a TOML.
pub(crate) fn spec(text: &OsStr) -> Result<DatasetSpec, Failure> {
    Ok(zegclip_scenes::dataset_spec(text)?)
}

fn run_check(options: &DatasetCheckArguments) -> Result<(), Failure> {
    if let Some(path) = options.chart.as_ref().filter(|path| path.exists()) {
        return Err(Failure::usage(format!("`{}` already exists", path.display())).hint(hints::CHOOSE_CHART));
    }
    if let Some(path) = &options.chart {
        output::check_file(path)?;
    }
    let spec = spec(&options.dataset)?;
    let split = options.split.as_deref().unwrap_or_else(|| spec.validation_split());
    let dataset = spec.open_incomplete(split)?;
    let settings = CheckOptions {
        setting: options.setting.map(TrainingSetting::from),
        labels_are_cleaned: options.cleaned,
    };
    let progress = bar(dataset.len() as u64);
    let report = check(&dataset, settings, || progress.inc(1));
    progress.finish_and_clear();
    if let Some(path) = &options.chart {
        save_png(path, &report.chart(dataset.vocabulary()).draw())?;
    }
    if options.json {
        output::json(&report)?;
    } else {
        output::line(report.to_string().trim_end())?;
    }
    let errors = report.findings.iter().filter(|found| found.finding.is_error()).count();
    match errors {
        0 => Ok(()),
        1 => Err(Failure::failed(format!("{} has 1 error", dataset.name()))),
        errors => Err(Failure::failed(format!("{} has {errors} errors", dataset.name()))),
    }
}

fn run_show(options: &DatasetShowArguments) -> Result<(), Failure> {
    if options.output.exists() && !options.overwrite {
        return Err(Failure::usage(format!("`{}` already exists", options.output.display())).hint(hints::CHOOSE_FILE));
    }
    output::check_file(&options.output)?;
    draw(options).inspect_err(|_| {
        // An earlier drawing is not that of this sample.
        if options.overwrite {
            let _ = remove_if_there(&options.output);
        }
    })
}

fn draw(options: &DatasetShowArguments) -> Result<(), Failure> {
    let spec = spec(&options.dataset)?;
    let split = options.split.as_deref().unwrap_or_else(|| spec.validation_split());
    // Missing files of other samples do not matter.
    let dataset = spec.open_incomplete(split)?;
    let picture = dataset.draw_sample(options.index, options.opacity)?;
    save_png(&options.output, &picture)?;
    output::message(format_args!(
        "{}, split {}, sample {} of {}: `{}`, drawn to `{}`",
        dataset.name(),
        dataset.split(),
        options.index,
        dataset.len(),
        dataset.id(options.index),
        options.output.display()
    ));
    Ok(())
}
