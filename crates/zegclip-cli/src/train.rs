//! `zegclip train`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;
use zegclip::evaluation::Evaluation;
use zegclip::{DeviceName, OpenDevice, SegmentOptions, Segmenter, evaluate};
use zegclip_data::datasets::{Dataset, DatasetSpec};
use zegclip_data::metrics::Scores;
use zegclip_data::{TrainingSetting, Vocabulary};
use zegclip_model::device;
use zegclip_train::{
    Configuration, EvaluationScores, Outcome, RunDirectory, Snapshot, Step, TrainConfig, TrainData, TrainObserver,
    Trainer,
};

use crate::arguments::parse_device;
use crate::failure::Failure;
use crate::interrupt::{interruptible, while_watching};
use crate::output::{self, message};
use crate::progress::bar;

/// Time between two lines where stderr is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

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
    /// Where to compute
    #[arg(long, default_value = "auto", value_parser = parse_device, value_name = "NAME")]
    device: DeviceName,
}

pub(crate) fn run(options: &TrainOptions) -> Result<(), Failure> {
    // The data set is looked at before a run directory is made for it.
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
    let device = device::open(options.device).map_err(Failure::failed)?;
    message(format_args!("device: {}", device.description));
    if options.device != DeviceName::Cpu && !device.description.starts_with("cpu") {
        message("resuming is exact only on cpu: a GPU may choose other kernels in another process");
    }
    let path = run.path().to_owned();
    let mut trainer = Trainer::new(config.clone(), data, run, &device.device).map_err(Failure::failed)?;
    let stop = interruptible()?;
    let mut observer = Progress::new(&config, &device, &stop)?;
    observer.bar.set_position(trainer.iteration());
    let watched = trainer.interrupter();
    let outcome = while_watching(&stop, &watched, || trainer.run(&mut observer));
    observer.bar.finish_and_clear();
    match outcome.map_err(Failure::failed)? {
        Outcome::Finished => output::line(trainer.run_directory().model_path().display()),
        Outcome::Interrupted { iteration } => Err(Failure::failed(format!(
            "interrupted after iteration {iteration}, which is saved; go on with\n  zegclip train --resume {} --device {}",
            path.display(),
            options.device
        ))),
    }
}

/// Shows a run on stderr and scores it on the validation split.
struct Progress<'a> {
    bar: ProgressBar,
    last_line: Instant,
    device: &'a OpenDevice,
    stop: &'a AtomicBool,
    validation: Option<Dataset>,
    vocabulary: Option<Vocabulary>,
    transductive: bool,
}

impl<'a> Progress<'a> {
    fn new(config: &TrainConfig, device: &'a OpenDevice, stop: &'a AtomicBool) -> Result<Self, Failure> {
        let (mut validation, mut vocabulary) = (None, None);
        if config.run.evaluation_interval > 0 {
            let spec = DatasetSpec::parse(&config.data.dataset).map_err(Failure::failed)?;
            validation = Some(spec.open(spec.validation_split()).map_err(Failure::failed)?);
            vocabulary = Some(spec.vocabulary().clone());
        }
        Ok(Self {
            bar: bar(config.iterations),
            last_line: Instant::now(),
            device,
            stop,
            validation,
            vocabulary,
            transductive: config.setting == TrainingSetting::Transductive,
        })
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| message(text));
    }

    fn scores(&self, snapshot: &Snapshot<'_>) -> Result<Option<EvaluationScores>, Failure> {
        let (Some(dataset), Some(vocabulary)) = (&self.validation, &self.vocabulary) else {
            return Ok(None);
        };
        let features = snapshot.text_features(vocabulary).map_err(Failure::failed)?;
        let model = snapshot.model().clone();
        let segmenter = Segmenter::with_text_features(
            model,
            snapshot.config().clone(),
            self.device.clone(),
            vocabulary,
            features,
        );
        let identity = BTreeMap::new();
        let evaluation = Evaluation::new(vocabulary, dataset.len(), &identity, self.stop);
        let decoding = SegmentOptions {
            keep_seen_scores: self.transductive,
            ..SegmentOptions::default()
        };
        let state = evaluate(&segmenter, dataset, &evaluation, &decoding, |_| Ok(()))?;
        if state.done() < dataset.len() as u64 {
            return Ok(None);
        }
        let scores = Scores::of(state.confusion());
        let percent = |value: Option<f64>| value.map(|value| 100.0 * value);
        Ok(Some(EvaluationScores {
            pixel_accuracy: percent(scores.pixel_accuracy),
            miou: percent(scores.miou),
            miou_seen: percent(scores.miou_seen),
            miou_unseen: percent(scores.miou_unseen),
            hiou: percent(scores.hiou),
        }))
    }
}

impl TrainObserver for Progress<'_> {
    fn step(&mut self, step: &Step) {
        let losses = format!("loss {:.4}, rate {:.2e}", step.losses.total(), step.rate);
        let speed = format!("{:.2} s, {:.2} images/s", step.seconds, step.images_per_second);
        self.bar.set_position(step.iteration);
        self.bar.set_message(format!("{losses}, {speed}"));
        let last = step.iteration == step.iterations;
        if self.bar.is_hidden() && (last || step.iteration == 1 || self.last_line.elapsed() >= LINE_EVERY) {
            self.last_line = Instant::now();
            let left = Duration::from_secs(step.remaining.max(0.0) as u64);
            message(format_args!(
                "{}/{}: {losses}, {speed}, {left:?} left",
                step.iteration, step.iterations
            ));
        }
    }

    fn saved(&mut self, iteration: u64, path: &Path) {
        self.say(&format!("iteration {iteration} saved in {}", path.display()));
    }

    fn evaluate(&mut self, snapshot: &Snapshot<'_>) -> Option<EvaluationScores> {
        match self.scores(snapshot) {
            Ok(scores) => {
                if let Some(EvaluationScores {
                    miou_seen,
                    miou_unseen,
                    hiou,
                    ..
                }) = scores
                {
                    let shown = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.1}"));
                    self.say(&format!(
                        "iteration {}: mIoU(S) {}, mIoU(U) {}, hIoU {}",
                        snapshot.iteration(),
                        shown(miou_seen),
                        shown(miou_unseen),
                        shown(hiou)
                    ));
                }
                scores
            }
            Err(failure) => {
                self.say(&format!("the evaluation failed, training goes on: {failure}"));
                None
            }
        }
    }
}
