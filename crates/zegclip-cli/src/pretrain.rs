//! `zegclip pretrain`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;
use zegclip::DeviceName;
use zegclip_model::device;
use zegclip_train::pretrain::{PairSource, PretrainConfig, PretrainObserver, PretrainStep, Pretrainer};
use zegclip_train::{ClipScores, Configuration, Outcome, RunDirectory};

use crate::arguments::parse_device;
use crate::failure::Failure;
use crate::interrupt::{interruptible, while_watching};
use crate::output::{self, message};
use crate::progress::bar;

/// Time between two lines where stderr is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

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
    // The images are looked at before a run directory is made for them.
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
    let device = device::open(options.device).map_err(Failure::failed)?;
    message(format_args!("device: {}", device.description));
    if options.device != DeviceName::Cpu && !device.description.starts_with("cpu") {
        message("resuming is exact only on cpu: a GPU may choose other kernels in another process");
    }
    let path = run.path().to_owned();
    let mut pretrainer = Pretrainer::new(config.clone(), source, run, &device.device).map_err(Failure::failed)?;
    if let Some(path) = &options.export {
        if path.exists() {
            let reason = format!("`{}` exists already; name another file", path.display());
            return Err(Failure::failed(reason));
        }
        pretrainer.write_model(path).map_err(Failure::failed)?;
        return output::line(path.display());
    }
    let stop = interruptible()?;
    let mut observer = Progress {
        bar: bar(config.iterations()),
        last_line: Instant::now(),
    };
    observer.bar.set_position(pretrainer.iteration());
    let watched = pretrainer.interrupter();
    let outcome = while_watching(&stop, &watched, || pretrainer.run(&mut observer));
    observer.bar.finish_and_clear();
    match outcome.map_err(Failure::failed)? {
        Outcome::Finished => output::line(pretrainer.run_directory().model_path().display()),
        Outcome::Interrupted { iteration } => Err(Failure::failed(format!(
            "interrupted after iteration {iteration}, which is saved; go on with\n  zegclip pretrain --resume {} --device {}",
            path.display(),
            options.device
        ))),
    }
}

/// Shows a run on stderr.
struct Progress {
    bar: ProgressBar,
    last_line: Instant,
}

impl Progress {
    fn say(&self, text: &str) {
        self.bar.suspend(|| message(text));
    }
}

impl PretrainObserver for Progress {
    fn step(&mut self, step: &PretrainStep) {
        let loss = format!("loss {:.4}, rate {:.2e}", step.loss, step.rate);
        let speed = format!(
            "{:.2} s ({:.2} s for data), {:.1} images/s",
            step.seconds, step.waited, step.images_per_second
        );
        self.bar.set_position(step.iteration);
        self.bar.set_message(format!("{loss}, {speed}"));
        let last = step.iteration == step.iterations;
        if self.bar.is_hidden() && (last || step.iteration == 1 || self.last_line.elapsed() >= LINE_EVERY) {
            self.last_line = Instant::now();
            let left = Duration::from_secs(step.remaining.max(0.0) as u64);
            message(format_args!(
                "{}/{}: {loss}, {speed}, {left:?} left",
                step.iteration, step.iterations
            ));
        }
    }

    fn saved(&mut self, iteration: u64, path: &Path) {
        self.say(&format!("iteration {iteration} saved in {}", path.display()));
    }

    fn evaluated(&mut self, iteration: u64, scores: &BTreeMap<String, ClipScores>) {
        for (split, scores) in scores {
            let classification = match (scores.top1, scores.top5) {
                (Some(top1), Some(top5)) => format!("top-1 {top1:.1}, top-5 {top5:.1}, "),
                _ => String::new(),
            };
            self.say(&format!(
                "iteration {iteration}: {split}: {classification}R@1 {:.1} (texts) {:.1} (images), R@5 {:.1} {:.1}",
                scores.image_to_text_r1, scores.text_to_image_r1, scores.image_to_text_r5, scores.text_to_image_r5
            ));
        }
    }
}
