//! `zegclip dataset check` and `zegclip dataset show`

use zegclip_data::dataset_check::{CheckOptions, CheckReport, ClassCount, check};
use zegclip_data::datasets::{Dataset, DatasetSpec};
use zegclip_data::draw::{Bar, BarChart, blend, colorize, side_by_side, with_legend};
use zegclip_data::palette::Color;
use zegclip_data::{TrainingSetting, Vocabulary};

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
pub(crate) fn spec(text: &str) -> Result<DatasetSpec, Failure> {
    Ok(zegclip_scenes::dataset_spec(text)?)
}

fn run_check(options: &DatasetCheckArguments) -> Result<(), Failure> {
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
        save_png(path, &chart(&report, dataset.vocabulary()).draw())?;
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

/// One bar per class, as long as the logarithm of its pixels.
fn chart(report: &CheckReport, vocabulary: &Vocabulary) -> BarChart {
    let bar = |(class, color): (&ClassCount, Color)| Bar {
        name: class.name.clone(),
        value: class.pixels as f64,
        label: match class.pixels {
            0 => "none".to_owned(),
            pixels => format!("{} in {}", short(pixels), class.images),
        },
        color,
        marked: !class.seen,
    };
    let unseen = report.classes.iter().any(|class| !class.seen);
    BarChart {
        title: format!("{}, split {}: {} samples", report.dataset, report.split, report.samples),
        subtitle: format!(
            "pixels (logarithmic) and images per class{}",
            if unseen { "; ★ not seen in training" } else { "" }
        ),
        bars: report.classes.iter().zip(vocabulary.palette()).map(bar).collect(),
        logarithmic: true,
    }
}

/// `12.3 M`
fn short(count: u64) -> String {
    let count = count as f64;
    match count {
        count if count >= 1e9 => format!("{:.1} G", count / 1e9),
        count if count >= 1e6 => format!("{:.1} M", count / 1e6),
        count if count >= 1e3 => format!("{:.1} k", count / 1e3),
        count => count.to_string(),
    }
}

fn run_show(options: &DatasetShowArguments) -> Result<(), Failure> {
    if options.output.exists() && !options.overwrite {
        return Err(Failure::usage(format!("`{}` already exists", options.output.display())).hint(hints::CHOOSE_FILE));
    }
    let spec = spec(&options.dataset)?;
    let split = options.split.as_deref().unwrap_or_else(|| spec.validation_split());
    // Missing files of other samples do not matter.
    let dataset = spec.open_incomplete(split)?;
    let labels = dataset.labels(options.index)?;
    let vocabulary = dataset.vocabulary();
    let picture = if dataset.has_images() {
        let (image, labels) = dataset.load(options.index)?;
        let colored = blend(&image, &labels, vocabulary, options.opacity)?;
        side_by_side(&[(&title(&dataset, options.index), &image), ("labels", &colored)])
    } else {
        side_by_side(&[(&title(&dataset, options.index), &colorize(&labels, vocabulary))])
    };
    save_png(&options.output, &with_legend(&picture, &labels, vocabulary))?;
    output::message(format_args!(
        "{}, split {}, sample {} of {}: `{}`, drawn to `{}`",
        dataset.name(),
        dataset.split(),
        options.index,
        dataset.len(),
        title(&dataset, options.index),
        options.output.display()
    ));
    Ok(())
}

fn title(dataset: &Dataset, index: usize) -> String {
    dataset.samples().get(index).map_or("", |sample| sample.id()).to_owned()
}
