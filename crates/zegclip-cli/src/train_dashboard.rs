//! What `zegclip train` shows: a few lines that stay in place on a terminal, a line now and then elsewhere.

use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use zegclip_model::device::OpenDevice;
use zegclip_train::{EvaluationScores, Step};

use crate::output::message;
use crate::process_memory::{ProcessMemory, size};
use crate::progress::bar;

/// Time between two lines where stderr is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Share of the newest iteration in the shown losses and times.
const NEWEST: f64 = 0.1;

/// The display of a run.
pub(crate) struct Dashboard {
    bar: ProgressBar,
    device: OpenDevice,
    last_line: Instant,
    shown: Option<Shown>,
    scores: String,
}

/// Running means: single batches jump up and down.
#[derive(Debug, Clone, Copy)]
struct Shown {
    mask: f64,
    dice: Option<f64>,
    seconds: f64,
    waited: f64,
}

impl Dashboard {
    /// `done` of `iterations` were done before. The memory of `device` is shown.
    pub(crate) fn new(iterations: u64, done: u64, device: &OpenDevice) -> Self {
        let bar = bar(iterations);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len}{msg}") {
            bar.set_style(style);
        }
        bar.set_position(done);
        Self {
            bar,
            device: device.clone(),
            last_line: Instant::now(),
            shown: None,
            scores: String::new(),
        }
    }

    pub(crate) fn step(&mut self, step: &Step) {
        let shown = Shown::after(self.shown, step);
        self.shown = Some(shown);
        let images = step.samples.len() as f64 / shown.seconds.max(f64::MIN_POSITIVE);
        let losses = match shown.dice {
            Some(dice) => format!("loss {:.4} (mask {:.4}, dice {dice:.4})", shown.mask + dice, shown.mask),
            None => format!("loss {:.4}", shown.mask),
        };
        let rate = format!("rate {:.2e}", step.rate);
        let speed = format!("{:.3} s/iteration, {images:.2} images/s", shown.seconds);
        let left = format!(
            "{} left",
            HumanDuration(Duration::from_secs_f64(step.remaining.max(0.0)))
        );
        self.bar.set_position(step.iteration);
        if !self.bar.is_hidden() {
            let waited = format!("{:.3} s of it waiting for data", shown.waited);
            let memory = self.memory();
            let lines = [
                format!(", {left}"),
                format!("{losses}, {rate}"),
                format!("{speed}, {waited}"),
                memory,
                self.scores.clone(),
            ];
            self.bar.set_message(joined(&lines, "\n"));
            return;
        }
        let (first, last) = (step.iteration == 1, step.iteration == step.iterations);
        if first || last || self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let line = joined(&[losses, rate, speed, left, self.memory()], ", ");
            message(format_args!("{}/{}: {line}", step.iteration, step.iterations));
        }
    }

    pub(crate) fn scores(&mut self, iteration: u64, scores: &EvaluationScores) {
        let shown = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.1}"));
        self.scores = format!(
            "iteration {iteration}: hIoU {}, mIoU(S) {}, mIoU(U) {}, pAcc {}",
            shown(scores.hiou),
            shown(scores.miou_seen),
            shown(scores.miou_unseen),
            shown(scores.pixel_accuracy)
        );
        self.say(&self.scores);
    }

    /// A line that stays.
    pub(crate) fn say(&self, text: &str) {
        self.bar.suspend(|| message(text));
    }

    /// What is done beside training.
    pub(crate) fn busy(&self, with: &str) {
        if !self.bar.is_hidden() {
            self.bar.set_message(format!(", {with}"));
        }
    }

    pub(crate) fn close(&self) {
        self.bar.finish_and_clear();
    }

    fn memory(&self) -> String {
        let process = ProcessMemory::read()
            .map(|memory| memory.to_string())
            .unwrap_or_default();
        let device = self.device.device.memory_pool_usage();
        let device = device.map_or(String::new(), |pool| {
            format!("{} on the device", size(pool.bytes_reserved))
        });
        joined(&[process, device], ", ")
    }
}

impl Shown {
    fn after(before: Option<Self>, step: &Step) -> Self {
        let now = Self {
            mask: step.losses.mask,
            dice: step.losses.dice,
            seconds: step.seconds,
            waited: step.waited,
        };
        let Some(before) = before else { return now };
        let mean = |before: f64, now: f64| before + NEWEST * (now - before);
        Self {
            mask: mean(before.mask, now.mask),
            dice: before.dice.zip(now.dice).map(|(before, now)| mean(before, now)),
            seconds: mean(before.seconds, now.seconds),
            waited: mean(before.waited, now.waited),
        }
    }
}

fn joined(parts: &[String], between: &str) -> String {
    let parts: Vec<&str> = parts
        .iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    parts.join(between)
}
