//! `zegclip pretrain`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use zegclip::DeviceName;
use zegclip_model::device;
use zegclip_train::pretrain::{PairSource, PretrainConfig, PretrainObserver, PretrainStep, Pretrainer};
use zegclip_train::{ClipScores, Configuration, Outcome, RunDirectory};

use crate::arguments::parse_device;
use crate::dashboard::{Dashboard, Iteration};
use crate::failure::Failure;
use crate::interrupt::{interruptible, while_watching};
use crate::output::{self, message};
use crate::run_messages::{Resuming, promise};

#[derive(Debug, Args)]
pub(crate) struct PretrainOptions {
    /// Configuration of a new run; `assets/pretraining/` holds some
    #[arg(value_name = "CONFIG", required_unless_present = "resume", conflicts_with = "resume")]
    config: Option<PathBuf>,
    /// Set one value of the configuration, as `optimiser.lr=1e-3` or `stages.0.batch_size=64`
    #[arg(long = "set", value_name = "KEY=VALUE", conflicts_with = "resume")]
    overrides: Vec<String>,
    /// Run directory of a new run; it must not hold a run
    #[arg(
        long,
        value_name = "RUN",
        default_value = "zegclip-pretrain",
        conflicts_with = "resume"
    )]
    output: PathBuf,
    /// Go on with a run where its last checkpoint stands
    #[arg(long, value_name = "RUN")]
    resume: Option<PathBuf>,
    /// Only write the model of the last checkpoint to FILE
    #[arg(long, value_name = "FILE", requires = "resume")]
    export: Option<PathBuf>,
    /// Where to compute
    #[arg(long, default_value = "auto", value_parser = parse_device, value_name = "NAME")]
    device: DeviceName,
}

pub(crate) fn run(options: &PretrainOptions) -> Result<(), Failure> {
    // Device and images are looked at before a run directory is made.
    let device = device::open(options.device).map_err(Failure::failed)?;
    let (run, config, source) = match (&options.resume, &options.config) {
        (Some(path), _) => {
            let run = RunDirectory::open(path).map_err(Failure::failed)?;
            let config: PretrainConfig = run.config().map_err(Failure::failed)?;
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
    let directory = run.clone();
    let resuming = Resuming {
        command: "pretrain",
        run: &directory,
        devices: &[options.device],
    };
    let mut pretrainer = Pretrainer::new(config.clone(), source, run, &device.device).map_err(|error| {
        if options.resume.is_none() {
            directory.withdraw();
        }
        resuming.advise(error)
    })?;
    if let Some(path) = &options.export {
        if path.exists() {
            let reason = format!("`{}` exists already; name another file", path.display());
            return Err(Failure::failed(reason));
        }
        pretrainer.write_model(path).map_err(Failure::failed)?;
        return output::line(path.display());
    }
    let stop = interruptible()?;
    let mut observer = Observer {
        dashboard: Dashboard::new(config.iterations(), pretrainer.iteration(), &device),
    };
    let watched = pretrainer.interrupter();
    let outcome = while_watching(&stop, &watched, || pretrainer.run(&mut observer));
    observer.dashboard.close();
    match outcome.map_err(|error| resuming.advise(error))? {
        Outcome::Finished => output::line(pretrainer.run_directory().model_path().display()),
        Outcome::Interrupted { iteration } => Err(resuming.interrupted(iteration)),
    }
}

/// Shows a run on stderr.
struct Observer {
    dashboard: Dashboard,
}

impl PretrainObserver for Observer {
    fn step(&mut self, step: &PretrainStep) {
        let mut losses = vec![("captions", step.losses.contrastive)];
        losses.extend(step.losses.patches.map(|patches| ("patches", patches)));
        self.dashboard.step(&Iteration {
            iteration: step.iteration,
            losses,
            rate: step.rate,
            seconds: step.seconds,
            waited: step.waited,
            images: step.images,
            remaining: step.remaining,
        });
    }

    fn saved(&mut self, iteration: u64, path: &Path) {
        self.dashboard.saved(iteration, path);
    }

    fn evaluated(&mut self, iteration: u64, scores: &BTreeMap<String, ClipScores>) {
        let lines: Vec<String> = scores.iter().map(|(split, scores)| told(split, scores)).collect();
        self.dashboard.scores(iteration, &lines);
    }
}

fn told(split: &str, scores: &ClipScores) -> String {
    let classification = match (scores.top1, scores.top5) {
        (Some(top1), Some(top5)) => format!("top-1 {top1:.1}, top-5 {top5:.1}, "),
        _ => String::new(),
    };
    format!(
        "{split}: {classification}R@1 {:.1} (texts) {:.1} (images), R@5 {:.1} {:.1}",
        scores.image_to_text_r1, scores.text_to_image_r1, scores.image_to_text_r5, scores.text_to_image_r5
    )
}
