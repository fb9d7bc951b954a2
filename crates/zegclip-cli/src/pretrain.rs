//! `zegclip pretrain`

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use zegclip::DeviceName;
use zegclip_model::device;
use zegclip_train::pretrain::{ContrastiveTraining, PairSource, PretrainConfig};
use zegclip_train::{Configuration, Outcome, RunDirectory};

use crate::arguments::parse_device;
use crate::failure::Failure;
use crate::interrupt::stop_on_signals;
use crate::output::{self, message};
use crate::run_messages::{Resuming, promise, resumed_config};
use crate::training_display;

#[derive(Debug, Args)]
pub(crate) struct PretrainOptions {
    /// Configuration of a new run; `assets/pretraining/` holds some
    #[arg(value_name = "CONFIG", required_unless_present = "resume", conflicts_with = "resume")]
    config: Option<PathBuf>,
    /// Set one value of the configuration, as `optimiser.lr=1e-3` or `stages.0.batch_size=64`; with --resume only what does
    /// not change the result
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Run directory of a new run; it must not hold a run
    #[arg(
        long,
        value_name = "RUN",
        default_value = "zegclip-pretrain",
        conflicts_with = "resume"
    )]
    output: PathBuf,
    /// Resume a run from its last checkpoint
    #[arg(long, value_name = "RUN")]
    resume: Option<PathBuf>,
    /// Only write the model of the last checkpoint to FILE
    #[arg(long, value_name = "FILE", requires = "resume")]
    export: Option<PathBuf>,
    /// Where to compute
    #[arg(long, default_value = "auto", value_parser = parse_device, value_name = "NAME")]
    device: DeviceName,
    /// Show lines on stderr instead of the dashboard
    #[arg(long)]
    no_tui: bool,
    /// Print one JSON object at the end; shows lines instead of the dashboard
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &PretrainOptions) -> Result<(), Failure> {
    if options.export.is_some() && options.resume.is_none() {
        return Err(Failure::usage(
            "`--export` takes the model of a run: name the run with `--resume`",
        ));
    }
    // Device and images are looked at before a run directory is made.
    let device = device::open(options.device).map_err(Failure::failed)?;
    let (run, config, source) = match (&options.resume, &options.config) {
        (Some(path), _) => {
            let run = RunDirectory::open(path).map_err(Failure::failed)?;
            let config: PretrainConfig = resumed_config(&run, &options.overrides)?;
            let source = PairSource::open(&config).map_err(Failure::failed)?;
            (run, config, source)
        }
        (None, Some(path)) => {
            let config = PretrainConfig::from_file(path, &options.overrides).map_err(Failure::usage)?;
            let source = PairSource::open(&config).map_err(Failure::failed)?;
            let config = config.with_tokens(&source).map_err(Failure::failed)?;
            let run = RunDirectory::create(&options.output, &config).map_err(Failure::failed)?;
            (run, config, source)
        }
        (None, None) => return Err(Failure::usage("name a configuration, or a run with `--resume`")),
    };
    message(format_args!("device: {}", device.description));
    message(promise(std::slice::from_ref(&device)));
    let resuming = Resuming {
        command: "pretrain",
        run: &run,
        devices: &[options.device],
    };
    let training = ContrastiveTraining::new(config.clone(), source, run.clone(), &device.device).map_err(|error| {
        if options.resume.is_none() {
            run.discard_unstarted();
        }
        Failure::failed(error)
    })?;
    if let Some(path) = &options.export {
        if path.exists() {
            let reason = format!("`{}` exists already; name another file", path.display());
            return Err(Failure::failed(reason));
        }
        training.write_model(path).map_err(Failure::failed)?;
        return if options.json {
            output::json(&json!({ "model": path }))
        } else {
            output::line(path.display())
        };
    }
    if options.resume.is_some() && !options.overrides.is_empty() {
        run.record_config(&config).map_err(Failure::failed)?;
    }
    let interrupter = training.interrupter();
    stop_on_signals(&interrupter)?;
    let from = training.iteration();
    let renderer = training_display::renderer("pretrain", options.no_tui, options.json, from, &interrupter);
    let outcome = training.with_renderer(renderer).run();
    match outcome.map_err(|error| resuming.advise(error))? {
        Outcome::Finished if options.json => output::json(&json!({
            "model": run.model_path(),
            "iterations": config.iterations(),
            "report": run.report_path(),
        })),
        Outcome::Finished => output::line(run.model_path().display()),
        Outcome::Interrupted { iteration } => Err(resuming.interrupted(iteration)),
    }
}
