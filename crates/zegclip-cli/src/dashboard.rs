//! What `zegclip train` and `zegclip pretrain` show: a few lines that stay in place on a terminal, a line now and then elsewhere.

use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use zegclip_model::device::OpenDevice;

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
    iterations: u64,
    shown: Option<Shown>,
    scores: String,
}

/// One iteration that was done.
#[derive(Debug)]
pub(crate) struct Iteration {
    /// Iterations done, this one included.
    pub(crate) iteration: u64,
    /// The parts of the loss, which is their sum.
    pub(crate) losses: Vec<(&'static str, f64)>,
    /// Learning rate.
    pub(crate) rate: f64,
    /// Seconds, waiting for data included.
    pub(crate) seconds: f64,
    /// Seconds of these spent waiting for data.
    pub(crate) waited: f64,
    /// Images.
    pub(crate) images: usize,
    /// Seconds until the end of the run.
    pub(crate) remaining: f64,
}

/// Running means: single batches jump up and down.
#[derive(Debug, Clone)]
struct Shown {
    losses: Vec<(&'static str, f64)>,
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
            iterations,
            shown: None,
            scores: String::new(),
        }
    }

    pub(crate) fn step(&mut self, step: &Iteration) {
        let shown = Shown::after(self.shown.take(), step);
        let images = step.images as f64 / shown.seconds.max(f64::MIN_POSITIVE);
        let total: f64 = shown.losses.iter().map(|(_, loss)| loss).sum();
        let parts: Vec<String> = shown
            .losses
            .iter()
            .map(|(name, loss)| format!("{name} {loss:.4}"))
            .collect();
        let losses = match parts.as_slice() {
            [_, _, ..] => format!("loss {total:.4} ({})", parts.join(", ")),
            _ => format!("loss {total:.4}"),
        };
        let rate = format!("rate {:.2e}", step.rate);
        let speed = format!("{:.3} s/iteration, {images:.2} images/s", shown.seconds);
        let left = format!(
            "{} left",
            HumanDuration(Duration::from_secs_f64(step.remaining.max(0.0)))
        );
        let waited = format!("{:.3} s of it waiting for data", shown.waited);
        self.shown = Some(shown);
        self.bar.set_position(step.iteration);
        if !self.bar.is_hidden() {
            let lines = [
                format!(", {left}"),
                format!("{losses}, {rate}"),
                format!("{speed}, {waited}"),
                self.memory(),
                self.scores.clone(),
            ];
            self.bar.set_message(joined(&lines, "\n"));
            return;
        }
        let (first, last) = (step.iteration == 1, step.iteration == self.iterations);
        if first || last || self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let line = joined(&[losses, rate, speed, left, self.memory()], ", ");
            message(format_args!("{}/{}: {line}", step.iteration, self.iterations));
        }
    }

    /// Keeps the newest scores in sight; `lines` say what they are.
    pub(crate) fn scores(&mut self, iteration: u64, lines: &[String]) {
        let lines: Vec<String> = lines
            .iter()
            .map(|line| format!("iteration {iteration}: {line}"))
            .collect();
        for line in &lines {
            self.say(line);
        }
        self.scores = lines.join("\n");
    }

    pub(crate) fn saved(&self, iteration: u64, path: &Path) {
        self.say(&format!("iteration {iteration} saved in {}", path.display()));
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
    fn after(before: Option<Self>, step: &Iteration) -> Self {
        let now = Self {
            losses: step.losses.clone(),
            seconds: step.seconds,
            waited: step.waited,
        };
        // Another stage may have other losses.
        let Some(before) = before.filter(|before| before.losses.len() == now.losses.len()) else {
            return now;
        };
        let mean = |before: f64, now: f64| before + NEWEST * (now - before);
        let losses = before.losses.iter().zip(now.losses);
        Self {
            losses: losses
                .map(|((_, before), (name, now))| (name, mean(*before, now)))
                .collect(),
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
