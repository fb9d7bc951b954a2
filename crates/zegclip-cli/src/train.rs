//! `zegclip train`

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use zegclip::{DeviceName, OpenDevice};
use zegclip_model::device;
use zegclip_train::{Configuration, Outcome, RunDirectory, SegmentationTraining, TrainConfig, TrainData};

use crate::arguments::parse_device;
use crate::failure::Failure;
use crate::interrupt::stop_on_signals;
use crate::output::{self, message};
use crate::run_messages::{Resuming, promise, resumed_config};
use crate::training_display;

/// Where a new run goes unless it is named.
const OUTPUT: &str = "zegclip-run";

#[derive(Debug, Args)]
pub(crate) struct TrainOptions {
    /// Configuration of a new run; `assets/training/` holds the published ones
    #[arg(value_name = "CONFIG", required_unless_present = "resume", conflicts_with = "resume")]
    config: Option<PathBuf>,
    /// Set one value of the configuration, as `model.prompts.count=100`; with --resume only what does not change the result
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Run directory of a new run, which must not hold a run (zegclip-run by default); with --export the model file
    #[arg(long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Resume a run from its last checkpoint
    #[arg(long, value_name = "RUN")]
    resume: Option<PathBuf>,
    /// Only write the model of a checkpoint of the run: best, half-way, latest, an iteration, or a folder
    #[arg(long, value_name = "CHECKPOINT", requires = "resume")]
    export: Option<String>,
    /// Where to compute; several names, separated by commas, share each batch
    #[arg(long, default_value = "auto", value_parser = parse_device, value_delimiter = ',', value_name = "NAME,…")]
    device: Vec<DeviceName>,
    /// Show lines on stderr instead of the dashboard
    #[arg(long)]
    no_tui: bool,
    /// Print one JSON object at the end; shows lines instead of the dashboard
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &TrainOptions) -> Result<(), Failure> {
    if let (Some(_), Some(_), None) = (&options.resume, &options.output, &options.export) {
        return Err(Failure::usage(
            "`--output` names the folder of a new run; a resumed run stays where it is",
        ));
    }
    if options.export.is_some() && options.resume.is_none() {
        return Err(Failure::usage(
            "`--export` takes a checkpoint of a run: name the run with `--resume`",
        ));
    }
    // Devices and data set are looked at before a run directory is made.
    let devices = open(&options.device)?;
    let (run, config, data) = match (&options.resume, &options.config) {
        (Some(path), _) => {
            let run = RunDirectory::open(path).map_err(Failure::failed)?;
            let config: TrainConfig = resumed_config(&run, &options.overrides)?;
            let data = TrainData::open(&config).map_err(Failure::failed)?;
            (run, config, data)
        }
        (None, Some(path)) => {
            let config = TrainConfig::from_file(path, &options.overrides).map_err(Failure::usage)?;
            config.validate().map_err(Failure::usage)?;
            let data = TrainData::open(&config).map_err(Failure::failed)?;
            let output = options.output.as_deref().unwrap_or(Path::new(OUTPUT));
            let run = RunDirectory::create(output, &config).map_err(Failure::failed)?;
            (run, config, data)
        }
        (None, None) => return Err(Failure::usage("name a configuration, or a run with `--resume`")),
    };
    let Some((first, further)) = devices.split_first() else {
        return Err(Failure::usage("`--device` names no device"));
    };
    if let Some(checkpoint) = &options.export {
        return export(options, checkpoint, &run, &config, &data, first);
    }
    for device in &devices {
        message(format_args!("device: {}", device.description));
    }
    message(promise(&devices));
    let further: Vec<_> = further.iter().map(|device| device.device.clone()).collect();
    let resuming = Resuming {
        command: "train",
        run: &run,
        devices: &options.device,
    };
    let training = SegmentationTraining::new(config.clone(), data, run.clone(), &first.device)
        .and_then(|training| training.with_further_devices(&further))
        .map_err(|error| {
            if options.resume.is_none() {
                run.discard_unstarted();
            }
            Failure::failed(error)
        })?;
    if options.resume.is_some() && !options.overrides.is_empty() {
        run.record_config(&config).map_err(Failure::failed)?;
    }
    let interrupter = training.interrupter();
    stop_on_signals(&interrupter)?;
    let (from, iterations) = (training.iteration(), config.iterations);
    let renderer = training_display::renderer("train", options.no_tui, options.json, from, &interrupter);
    let outcome = training.with_renderer(renderer).run();
    match outcome.map_err(|error| resuming.advise(error))? {
        Outcome::Finished if options.json => output::json(&json!({
            "model": run.model_path(),
            "iterations": iterations,
            "report": run.report_path(),
        })),
        Outcome::Finished => output::line(run.model_path().display()),
        Outcome::Interrupted { iteration } => Err(resuming.interrupted(iteration)),
    }
}

fn export(
    options: &TrainOptions,
    checkpoint: &str,
    run: &RunDirectory,
    config: &TrainConfig,
    data: &TrainData,
    device: &OpenDevice,
) -> Result<(), Failure> {
    let (name, path) = match checkpoint {
        "best" => ("best".to_owned(), run.best_path()),
        "half-way" => ("half-way".to_owned(), run.half_way_path()),
        "latest" => {
            let newest = run.checkpoints().map_err(Failure::failed)?.last().copied();
            let missing = || Failure::failed(format!("`{}` has no checkpoint yet", run.path().display()));
            let iteration = newest.ok_or_else(missing)?;
            (format!("iteration-{iteration}"), run.checkpoint_path(iteration))
        }
        other => match other.parse() {
            Ok(iteration) => (format!("iteration-{iteration}"), run.checkpoint_path(iteration)),
            Err(_) => {
                let path = PathBuf::from(other);
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                (name, path)
            }
        },
    };
    if !path.is_dir() {
        return Err(Failure::failed(format!("there is no checkpoint `{}`", path.display())));
    }
    let default = || run.path().join(format!("{name}.safetensors"));
    let output = options.output.clone().unwrap_or_else(default);
    if output.exists() {
        let reason = format!(
            "`{}` exists already; name another file with `--output`",
            output.display()
        );
        return Err(Failure::failed(reason));
    }
    SegmentationTraining::export(config, data, run, &path, &device.device, &output).map_err(Failure::failed)?;
    if options.json {
        return output::json(&json!({ "model": output }));
    }
    output::line(output.display())
}

/// Opens the devices; none may be named twice.
fn open(names: &[DeviceName]) -> Result<Vec<OpenDevice>, Failure> {
    let mut devices: Vec<OpenDevice> = Vec::new();
    for name in names {
        let device = device::open(*name).map_err(Failure::failed)?;
        if devices.iter().any(|other| other.device == device.device) {
            return Err(Failure::usage(format!(
                "`--device` names {} twice; a device computes one part of the batch",
                device.description
            )));
        }
        devices.push(device);
    }
    Ok(devices)
}
