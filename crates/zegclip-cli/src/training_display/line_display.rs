//! A run as lines on stderr: a progress bar on a terminal, periodic lines elsewhere.

use std::error::Error;
use std::time::{Duration, Instant};

use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::MetricDefinition;
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation, MetricsRendererTraining,
};
use burn::train::{Interrupter, LearnerSummary};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use super::evaluation_lines::EvaluationLines;
use super::metric_means::MetricMeans;
use super::remaining_time::RemainingTime;
use super::terminal;
use crate::notices::{self, Redirected};
use crate::progress;

/// Time between two lines.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Time between two texts of the bar.
const TEXT_EVERY: Duration = Duration::from_secs(1);

/// burn-train's events as lines.
pub(crate) struct LineDisplay {
    interrupter: Interrupter,
    from: u64,
    done: u64,
    total: u64,
    evaluation: Option<Evaluation>,
    means: MetricMeans,
    scores: EvaluationLines,
    remaining: RemainingTime,
    last_shown: Instant,
    output: Output,
}

/// Images of the running evaluation.
#[derive(Debug, Clone, Copy)]
struct Evaluation {
    done: u64,
    total: u64,
}

/// Where lines go.
enum Output {
    Bar(ProgressBar, Option<Redirected>),
    Lines(Box<dyn FnMut(String) + Send + Sync>),
}

impl LineDisplay {
    /// The run starts at iteration `from`.
    pub(crate) fn new(from: u64, interrupter: &Interrupter) -> Self {
        let bar = progress::bar(0);
        if bar.is_hidden() {
            return Self::with_output(from, interrupter, Output::Lines(Box::new(notices::line)));
        }
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {msg}") {
            bar.set_style(style);
        }
        let above = notices::above(&bar);
        Self::with_output(from, interrupter, Output::Bar(bar, Some(above)))
    }

    fn with_output(from: u64, interrupter: &Interrupter, output: Output) -> Self {
        Self {
            interrupter: interrupter.clone(),
            from,
            done: from,
            total: 0,
            evaluation: None,
            means: MetricMeans::default(),
            scores: EvaluationLines::default(),
            remaining: RemainingTime::new(from),
            last_shown: Instant::now(),
            output,
        }
    }

    fn trained(&mut self, done: u64, now: Instant) {
        self.done = done;
        let remaining = self.remaining.after(done, self.total, now);
        let (first, last) = (done == self.from + 1, done == self.total);
        if !self.is_due(now) && !first && !last {
            return self.output.show_position(done, self.total);
        }
        self.last_shown = now;
        let left = remaining.filter(|_| !last);
        let left = left.map(|left| format!("{} left", HumanDuration(left)));
        self.output
            .show_iteration(done, self.total, &self.means.take(), left.as_deref());
    }

    fn evaluated(&mut self, done: u64, now: Instant) {
        let Some(evaluation) = &mut self.evaluation else { return };
        evaluation.done = done;
        let evaluation = *evaluation;
        if self.is_due(now) {
            self.last_shown = now;
            self.output.show_evaluation(evaluation);
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last_shown) >= self.output.every()
    }

    fn close(&mut self) {
        if let Output::Bar(_, above) = &mut self.output {
            // This clears the bar.
            above.take();
        }
    }
}

impl Output {
    fn every(&self) -> Duration {
        match self {
            Self::Bar(..) => TEXT_EVERY,
            Self::Lines(_) => LINE_EVERY,
        }
    }

    fn show_position(&self, done: u64, total: u64) {
        if let Self::Bar(bar, _) = self {
            bar.set_length(total);
            bar.set_position(done);
        }
    }

    fn show_iteration(&mut self, done: u64, total: u64, metrics: &[String], left: Option<&str>) {
        let head = format!("{done}/{total}");
        let left = left.map(str::to_owned);
        match self {
            Self::Bar(bar, _) => {
                let head: Vec<String> = [head].into_iter().chain(left).collect();
                let mut lines = vec![head.join(", ")];
                lines.extend(wrapped(metrics, terminal::width()));
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(lines.join("\n"));
            }
            Self::Lines(print) => {
                let parts: Vec<String> = metrics.iter().cloned().chain(left).collect();
                print(format!("{head}: {}", parts.join(", ")));
            }
        }
    }

    fn show_evaluation(&mut self, Evaluation { done, total }: Evaluation) {
        let line = format!("evaluating: {done}/{total}");
        match self {
            Self::Bar(bar, _) => {
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(line);
            }
            Self::Lines(print) => print(line),
        }
    }

    fn print(&mut self, line: String) {
        match self {
            Self::Bar(..) => notices::line(line),
            Self::Lines(print) => print(line),
        }
    }
}

/// Joins `parts` to lines of at most `width` characters where possible.
fn wrapped(parts: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            // Two for the separator, one for the comma that may follow.
            Some(line) if line.chars().count() + part.chars().count() + 3 <= width => {
                line.push_str(", ");
                line.push_str(part);
            }
            Some(line) => {
                line.push(',');
                lines.push(part.clone());
            }
            None => lines.push(part.clone()),
        }
    }
    lines
}

impl MetricsRendererTraining for LineDisplay {
    fn update_train(&mut self, state: MetricState) {
        self.means.add(&state);
    }

    fn update_valid(&mut self, state: MetricState) {
        self.scores.add(&state);
    }

    // The default prints to stdout.
    fn on_train_end(&mut self, _: Option<LearnerSummary>) -> Result<(), Box<dyn Error>> {
        self.close();
        Ok(())
    }
}

impl TrainingProgressLogger for LineDisplay {
    fn start(&mut self, _: usize, _: usize, _: Option<usize>, _: Option<&str>) {}

    fn update_epoch(&mut self, _: usize) {}

    fn start_split(&mut self, split: &str, total_items: usize) {
        let total = total_items as u64;
        if split == "train" {
            self.total = total;
            self.remaining.start(Instant::now());
            self.output.show_position(self.done, total);
        } else {
            let evaluation = Evaluation { done: 0, total };
            self.evaluation = Some(evaluation);
            if let Output::Bar(..) = self.output {
                self.output.show_evaluation(evaluation);
            }
        }
    }

    fn update_split(&mut self, items_processed: usize) {
        let (done, now) = (items_processed as u64, Instant::now());
        match self.evaluation {
            Some(_) => self.evaluated(done, now),
            None => self.trained(done, now),
        }
    }

    fn end_split(&mut self) {
        let Some(Evaluation { done, total }) = self.evaluation.take() else {
            return;
        };
        let lines = self.scores.take(self.done);
        // Scores of some of the images are not the scores of the data set.
        if done < total && self.interrupter.should_stop() {
            return;
        }
        for line in lines {
            self.output.print(line);
        }
    }

    fn end(&mut self) {
        self.close();
    }

    fn log_event_training(&mut self, _: String) {}
}

impl MetricsRenderer for LineDisplay {
    fn manual_close(&mut self) {
        self.close();
    }

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.means.register(&definition);
        self.scores.register(&definition);
    }
}

/// A training run has no test.
impl MetricsRendererEvaluation for LineDisplay {
    fn update_test(&mut self, _: EvaluationName, _: MetricState) {}

    fn on_test_end(&mut self, _: Option<LearnerSummary>) -> Result<(), Box<dyn Error>> {
        Ok(())
    }
}

impl EvaluationProgressLogger for LineDisplay {
    fn start_global_progress(&mut self, _: usize) {}

    fn start_test(&mut self, _: &str, _: usize) {}

    fn update_test_progress(&mut self, _: usize) {}

    fn end_test(&mut self) {}

    fn end_global_progress(&mut self) {}

    fn log_event_evaluation(&mut self, _: String) {}
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use burn::train::metric::{
        MetricAttributes, MetricEntry, MetricId, NumericAttributes, NumericEntry, SerializedEntry,
    };

    use super::*;

    struct Run {
        display: LineDisplay,
        lines: Arc<Mutex<Vec<String>>>,
        interrupter: Interrupter,
    }

    impl Run {
        fn new(from: u64, metrics: &[(&str, Option<&str>)]) -> Self {
            let (lines, interrupter) = (Arc::new(Mutex::new(Vec::new())), Interrupter::new());
            let printed = lines.clone();
            let print = move |line| printed.lock().expect("no panic").push(line);
            let output = Output::Lines(Box::new(print));
            let mut display = LineDisplay::with_output(from, &interrupter, output);
            for (name, unit) in metrics {
                display.register_metric(MetricDefinition {
                    metric_id: id(name),
                    name: Arc::new((*name).to_owned()),
                    description: None,
                    attributes: MetricAttributes::Numeric(NumericAttributes {
                        unit: unit.map(str::to_owned),
                        higher_is_better: false,
                    }),
                });
            }
            Self {
                display,
                lines,
                interrupter,
            }
        }

        fn train(&mut self, iteration: usize, values: &[(&str, f64)]) {
            for (name, value) in values {
                self.display.update_train(numeric(name, NumericEntry::Value(*value)));
            }
            self.display.update_split(iteration);
        }

        fn evaluate(&mut self, images: (usize, usize), scores: &[(&str, f64)]) {
            self.display.start_split("valid", images.1);
            self.display.update_split(images.0);
            for (name, value) in scores {
                self.display.update_valid(numeric(name, NumericEntry::Final(*value)));
            }
            self.display.end_split();
        }

        fn printed(&self) -> Vec<String> {
            std::mem::take(&mut *self.lines.lock().expect("no panic"))
        }

        /// Makes the last line old.
        fn wait(&mut self) {
            self.display.last_shown -= LINE_EVERY;
        }
    }

    fn id(name: &str) -> MetricId {
        MetricId::new(Arc::new(name.to_owned()))
    }

    fn numeric(name: &str, value: NumericEntry) -> MetricState {
        let text = SerializedEntry::new(String::new(), String::new());
        MetricState::Numeric(MetricEntry::new(id(name), text), Some(value))
    }

    #[test]
    fn means_since_the_last_line_and_newest_values() {
        let metrics = [
            ("Loss", None),
            ("Learning rate", None),
            ("Images/s", None),
            ("Memory", Some("GB")),
        ];
        let mut run = Run::new(10, &metrics);
        run.display.start_split("train", 100);
        let values = |loss, rate| {
            [
                ("Loss", loss),
                ("Learning rate", rate),
                ("Images/s", 1.234),
                ("Memory", 0.58),
            ]
        };
        run.train(11, &values(4.0, 1e-5));
        let first = run.printed();
        let start = "11/100: Loss 4.0000, Learning rate 1.00e-5, Images/s 1.23, Memory 0.58 GB, ";
        assert!(first[0].starts_with(start) && first[0].ends_with(" left"), "{first:?}");

        run.train(12, &values(3.0, 2e-5));
        assert_eq!(run.printed(), [""; 0], "ten seconds have not passed");

        run.wait();
        run.train(13, &values(2.0, 3e-5));
        let start = "13/100: Loss 2.5000, Learning rate 3.00e-5, ";
        assert!(run.printed()[0].starts_with(start));

        run.display.update_train(numeric("Loss", NumericEntry::Final(77.0)));
        run.train(100, &values(1.0, 0.0));
        let last = "100/100: Loss 1.0000, Learning rate 0.00e0, Images/s 1.23, Memory 0.58 GB";
        assert_eq!(run.printed(), [last]);
    }

    #[test]
    fn a_rate_is_images_by_time_and_not_the_mean_of_rates() {
        let metrics = [("Iteration time", Some("s")), ("Images/s", None)];
        let mut run = Run::new(0, &metrics);
        run.display.start_split("train", 9);
        run.train(1, &[("Iteration time", 1.0), ("Images/s", 1.0)]);
        run.printed();
        // 16 images in 1 second, then 16 in 4: 32 in 5.
        run.train(2, &[("Iteration time", 1.0), ("Images/s", 16.0)]);
        run.wait();
        run.train(3, &[("Iteration time", 4.0), ("Images/s", 4.0)]);
        assert!(run.printed()[0].starts_with("3/9: Iteration time 2.500 s, Images/s 6.40, "));
    }

    #[test]
    fn an_evaluation_ends_in_its_scores() {
        let mut run = Run::new(0, &[("Loss", None), ("hIoU", None), ("mIoU(U)", None)]);
        run.display.start_split("train", 2);
        run.train(1, &[("Loss", 1.0)]);
        run.printed();
        run.display.end_split();
        run.evaluate((1449, 1449), &[("mIoU(U)", f64::NAN), ("hIoU", 49.06)]);
        assert_eq!(run.printed(), ["iteration 1: hIoU 49.1, mIoU(U) –"]);

        run.display.start_split("valid", 1449);
        run.wait();
        run.display.update_split(120);
        assert_eq!(run.printed(), ["evaluating: 120/1449"]);
        run.display.end_split();

        run.display.start_split("train", 2);
        run.train(2, &[("Loss", 0.5)]);
        assert_eq!(run.printed(), ["2/2: Loss 0.5000"]);
    }

    #[test]
    fn each_data_set_has_its_line() {
        let names = ["known_artists: top-1", "known_artists: R@1", "new_artists: top-1"];
        let mut run = Run::new(3, &names.map(|name| (name, None)));
        run.evaluate((1, 1), &names.map(|name| (name, 12.5)));
        let lines = [
            "iteration 3: known_artists: top-1 12.5, R@1 12.5",
            "iteration 3: new_artists: top-1 12.5",
        ];
        assert_eq!(run.printed(), lines);
    }

    #[test]
    fn an_interrupted_evaluation_has_no_scores() {
        let mut run = Run::new(0, &[("hIoU", None)]);
        run.interrupter.stop(None);
        run.evaluate((3, 10), &[("hIoU", 10.0)]);
        assert_eq!(run.printed(), [""; 0]);
        run.evaluate((10, 10), &[("hIoU", 20.0)]);
        assert_eq!(run.printed(), ["iteration 0: hIoU 20.0"]);
    }

    #[test]
    fn the_text_of_the_bar_fits_the_terminal() {
        let parts = ["Loss 3.1416", "Dice loss 0.5320", "Images/s 1.23"].map(str::to_owned);
        let lines = wrapped(&parts, 31);
        assert_eq!(lines, ["Loss 3.1416, Dice loss 0.5320,", "Images/s 1.23"]);
        assert_eq!(wrapped(&parts, 5).len(), 3);
        assert_eq!(wrapped(&[], 80), [""; 0]);
    }
}
