//! `zegclip train`

use std::path::{Path, PathBuf};

use clap::Args;
use zegclip::{DeviceName, OpenDevice};
use zegclip_model::device;
use zegclip_train::{
    Configuration, EvaluationScores, ExampleMasks, Outcome, RunDirectory, Snapshot, Step, TrainConfig, TrainData,
    TrainObserver, Trainer,
};

use crate::arguments::parse_device;
use crate::dashboard::{Dashboard, Iteration};
use crate::failure::Failure;
use crate::interrupt::{interruptible, while_watching};
use crate::output::{self, message};
use crate::run_messages::{Resuming, promise};
use crate::train_validation::Validation;

#[derive(Debug, Args)]
pub(crate) struct TrainOptions {
    /// Configuration of a new run; `assets/training/` holds the published ones
    #[arg(value_name = "CONFIG", required_unless_present = "resume", conflicts_with = "resume")]
    config: Option<PathBuf>,
    /// Set one value of the configuration, as `model.prompts.count=100`
    #[arg(long = "set", value_name = "KEY=VALUE", conflicts_with = "resume")]
    overrides: Vec<String>,
    /// Run directory of a new run; it must not hold a run
    #[arg(long, value_name = "RUN", default_value = "zegclip-run", conflicts_with = "resume")]
    output: PathBuf,
    /// Go on with a run where its last checkpoint stands
    #[arg(long, value_name = "RUN")]
    resume: Option<PathBuf>,
    /// Where to compute; several names, separated by commas, share each batch
    #[arg(long, default_value = "auto", value_parser = parse_device, value_delimiter = ',', value_name = "NAME,…")]
    device: Vec<DeviceName>,
}

pub(crate) fn run(options: &TrainOptions) -> Result<(), Failure> {
    // Devices and data set are looked at before a run directory is made.
    let devices = open(&options.device)?;
    let (run, config, data) = match (&options.resume, &options.config) {
        (Some(path), _) => {
            let run = RunDirectory::open(path).map_err(Failure::failed)?;
            let config = run.config().map_err(Failure::failed)?;
            let data = TrainData::open(&config).map_err(Failure::failed)?;
            (run, config, data)
        }
        (None, Some(path)) => {
            let config = TrainConfig::from_file(path, &options.overrides).map_err(Failure::usage)?;
            config.validate().map_err(Failure::usage)?;
            let data = TrainData::open(&config).map_err(Failure::failed)?;
            let run = RunDirectory::create(&options.output, &config).map_err(Failure::failed)?;
            (run, config, data)
        }
        (None, None) => return Err(Failure::usage("name a configuration, or a run with `--resume`")),
    };
    for device in &devices {
        message(format_args!("device: {}", device.description));
    }
    message(promise(&devices));
    let Some((first, further)) = devices.split_first() else {
        return Err(Failure::usage("`--device` names no device"));
    };
    let further: Vec<_> = further.iter().map(|device| device.device.clone()).collect();
    let directory = run.clone();
    let resuming = Resuming {
        command: "train",
        run: &directory,
        devices: &options.device,
    };
    let mut trainer = Trainer::new(config.clone(), data, run, &first.device)
        .and_then(|trainer| trainer.with_further_devices(&further))
        .map_err(|error| {
            if options.resume.is_none() {
                directory.withdraw();
            }
            resuming.advise(error)
        })?;
    let stop = interruptible()?;
    let mut observer = Observer {
        dashboard: Dashboard::new(config.iterations, trainer.iteration(), first),
        validation: Validation::new(&config, first, &stop)?,
    };
    let watched = trainer.interrupter();
    let outcome = while_watching(&stop, &watched, || trainer.run(&mut observer));
    observer.dashboard.close();
    match outcome.map_err(|error| resuming.advise(error))? {
        Outcome::Finished => output::line(trainer.run_directory().model_path().display()),
        Outcome::Interrupted { iteration } => Err(resuming.interrupted(iteration)),
    }
}

/// Follows a run: shows it and judges its model.
struct Observer<'a> {
    dashboard: Dashboard,
    validation: Validation<'a>,
}

impl TrainObserver for Observer<'_> {
    fn step(&mut self, step: &Step) {
        let mut losses = vec![("mask", step.losses.mask)];
        losses.extend(step.losses.dice.map(|dice| ("dice", dice)));
        self.dashboard.step(&Iteration {
            iteration: step.iteration,
            losses,
            rate: step.rate,
            seconds: step.seconds,
            waited: step.waited,
            images: step.samples.len(),
            remaining: step.remaining,
        });
    }

    fn saved(&mut self, iteration: u64, path: &Path) {
        self.dashboard.saved(iteration, path);
    }

    fn evaluate(&mut self, snapshot: &Snapshot<'_>) -> Option<EvaluationScores> {
        self.dashboard.busy("scoring the model");
        match self.validation.scores(snapshot) {
            Ok(scores) => {
                if let Some(scores) = &scores {
                    self.dashboard.scores(snapshot.iteration(), &[told(scores)]);
                }
                scores
            }
            Err(failure) => {
                self.dashboard
                    .say(&format!("the evaluation failed, training goes on: {failure}"));
                None
            }
        }
    }

    fn examples(&mut self, snapshot: &Snapshot<'_>) -> Vec<ExampleMasks> {
        self.dashboard.busy("writing the report");
        self.validation.examples(snapshot).unwrap_or_else(|failure| {
            self.dashboard.say(&format!("the report has no masks: {failure}"));
            Vec::new()
        })
    }
}

fn told(scores: &EvaluationScores) -> String {
    let shown = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.1}"));
    format!(
        "hIoU {}, mIoU(S) {}, mIoU(U) {}, pAcc {}",
        shown(scores.hiou),
        shown(scores.miou_seen),
        shown(scores.miou_unseen),
        shown(scores.pixel_accuracy)
    )
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
