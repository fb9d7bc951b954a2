//! burn-train's dashboard on the terminal.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::error::Error;
use std::io;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind};
use std::sync::{Mutex, MutexGuard, Once, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::MetricDefinition;
use burn::train::renderer::tui::TuiMetricsRendererWrapper;
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation, MetricsRendererTraining,
};
use burn::train::{Interrupter, LearnerSummary};

use super::evaluation_lines::EvaluationLines;
use super::terminal;
use crate::failure::Failure;
use crate::notices::{self, Redirected};

/// The panic of burn-train's dashboard when its key `k` is pressed.
const KILLED: &str = "Killing training from user input.";
/// Name of the drawing thread.
const DRAWING_THREAD: &str = "train-renderer";
/// Longer than it takes to install its panic hook, which ours must follow.
const HOOK_DELAY: Duration = Duration::from_millis(50);
/// Time for the dashboard to close by itself; it checks ten times a second.
const CLOSING_TIME: Duration = Duration::from_secs(2);

/// The dashboard of this process, which signals and panics close from other threads.
static OPEN: Mutex<Option<Open>> = Mutex::new(None);
/// Locked while a thread closes it, so that the program does not end before.
static CLOSING: Mutex<()> = Mutex::new(());

struct Open {
    dashboard: TuiMetricsRendererWrapper,
    held: Redirected,
}

/// Forwards burn-train's events; iterations count from where this process started, so that the remaining time is right.
///
/// It closes when the training ends, earlier than burn-train's own, so that later lines are visible.
pub(crate) struct TerminalDashboard {
    interrupter: Interrupter,
    label: String,
    from: usize,
    done: usize,
    evaluation: Option<(usize, usize)>,
    scores: EvaluationLines,
}

impl TerminalDashboard {
    /// Takes the terminal. The run starts at iteration `from`.
    pub(crate) fn open(command: &str, from: u64, interrupter: &Interrupter) -> io::Result<Self> {
        let from = usize::try_from(from).map_err(io::Error::other)?;
        terminal::enable_raw_mode_with_interrupt()?;
        let open = Open {
            dashboard: TuiMetricsRendererWrapper::new(interrupter.clone(), None),
            held: notices::held(),
        };
        *lock() = Some(open);
        thread::sleep(HOOK_DELAY);
        install_panic_hook();
        Ok(Self {
            interrupter: interrupter.clone(),
            label: label(command, from),
            from,
            done: from,
            evaluation: None,
            scores: EvaluationLines::default(),
        })
    }
}

fn label(command: &str, from: usize) -> String {
    let resumed = (from > 0).then(|| format!("resumed at iteration {from}"));
    let parts = [
        Some(format!("zegclip {command}")),
        resumed,
        terminal::HOW_TO_STOP.map(str::to_owned),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join(", ")
}

/// Closes the dashboard where one is open, from any thread, also from one that panics.
pub(super) fn close() {
    let _closing = CLOSING.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(Open { dashboard, held }) = lock().take() else {
        return;
    };
    // On a thread that panics burn's dashboard neither closes nor waits.
    let closing = thread::Builder::new()
        .name("dashboard-closing".to_owned())
        .spawn(move || drop(dashboard));
    let started = Instant::now();
    let closed = closing.is_ok_and(|closing| {
        while !closing.is_finished() && started.elapsed() < CLOSING_TIME {
            thread::sleep(Duration::from_millis(5));
        }
        closing.is_finished()
    });
    if closed {
        terminal::show_cursor();
    } else {
        terminal::restore();
    }
    drop(held);
}

/// Shows on the dashboard that the run stops; `false` where none is open.
pub(super) fn show_stopping() -> bool {
    let text = "stopping after this iteration";
    with_dashboard(|dashboard| show_label(dashboard, text)).is_some()
}

fn show_label(dashboard: &mut TuiMetricsRendererWrapper, text: &str) {
    dashboard.start(1, 1, None, Some(text));
}

/// Whether the dashboard still has the terminal. A panic hook asks, so this does not wait.
fn has_terminal() -> bool {
    match (OPEN.try_lock(), CLOSING.try_lock()) {
        (Ok(open), Ok(_)) => open.is_some(),
        (Err(TryLockError::Poisoned(open)), Ok(_)) => open.into_inner().is_some(),
        _ => true,
    }
}

fn lock() -> MutexGuard<'static, Option<Open>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with_dashboard<T>(forward: impl FnOnce(&mut TuiMetricsRendererWrapper) -> T) -> Option<T> {
    let mut open = lock();
    let dashboard = &mut open.as_mut()?.dashboard;
    match catch_unwind(AssertUnwindSafe(|| forward(dashboard))) {
        Ok(result) => Some(result),
        Err(payload) if is_kill(payload.as_ref()) => end_killed(),
        Err(payload) => {
            drop(open);
            resume_unwind(payload)
        }
    }
}

/// Buffers the report of a panic until the dashboard is closed.
fn install_panic_hook() {
    let earlier = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let draws = thread::current().name() == Some(DRAWING_THREAD);
        if is_kill(panic.payload()) {
            end_killed();
        } else if draws {
            // Nothing draws any more; the training continues.
            terminal::restore();
            notices::release();
            notices::line(report(panic));
        } else if has_terminal() {
            notices::line(report(panic));
        } else {
            earlier(panic);
        }
    }));
}

fn report(panic: &PanicHookInfo<'_>) -> String {
    let thread = thread::current();
    let name = thread.name().unwrap_or("<unnamed>");
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => format!("thread '{name}' {panic}\n{backtrace}"),
        _ => format!("thread '{name}' {panic}"),
    }
}

fn is_kill(payload: &(dyn Any + Send)) -> bool {
    payload.downcast_ref::<&str>() == Some(&KILLED)
}

/// Ends at once, without waiting for the iteration, as the key `k` promises.
fn end_killed() -> ! {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        terminal::restore();
        notices::release();
        Failure::failed("the run was killed from the dashboard; iterations after its last checkpoint are lost")
            .report();
        signal_hook::low_level::exit(1)
    });
    unreachable!("the program has ended")
}

impl MetricsRendererTraining for TerminalDashboard {
    fn update_train(&mut self, state: MetricState) {
        with_dashboard(|dashboard| dashboard.update_train(state));
    }

    fn update_valid(&mut self, state: MetricState) {
        self.scores.add(&state);
        with_dashboard(|dashboard| dashboard.update_valid(state));
    }

    // Not forwarded: burn's dashboard would make the interrupter forget why the run ended.
    fn on_train_end(&mut self, _: Option<LearnerSummary>) -> Result<(), Box<dyn Error>> {
        close();
        Ok(())
    }
}

impl TrainingProgressLogger for TerminalDashboard {
    fn start(&mut self, epochs: usize, epoch: usize, items: Option<usize>, _: Option<&str>) {
        with_dashboard(|dashboard| dashboard.start(epochs, epoch, items, Some(&self.label)));
    }

    fn update_epoch(&mut self, epoch: usize) {
        with_dashboard(|dashboard| dashboard.update_epoch(epoch));
    }

    fn start_split(&mut self, split: &str, total: usize) {
        let training = split == "train";
        self.evaluation = (!training).then_some((0, total));
        let total = if training {
            total.saturating_sub(self.from)
        } else {
            total
        };
        with_dashboard(|dashboard| dashboard.start_split(split, total));
    }

    fn update_split(&mut self, done: usize) {
        let here = match &mut self.evaluation {
            Some((images, _)) => {
                *images = done;
                done
            }
            None => {
                self.done = done;
                done.saturating_sub(self.from)
            }
        };
        with_dashboard(|dashboard| dashboard.update_split(here));
    }

    fn end_split(&mut self) {
        if let Some((images, total)) = self.evaluation.take() {
            let lines = self.scores.take(self.done as u64);
            // Scores of some of the images are not the scores of the data set.
            if images >= total || !self.interrupter.should_stop() {
                // They remain on the terminal after the dashboard is closed.
                lines.iter().for_each(notices::line);
            }
        }
        with_dashboard(TrainingProgressLogger::end_split);
    }

    fn end(&mut self) {
        with_dashboard(TrainingProgressLogger::end);
    }

    // burn-train counts iterations here, from zero after each evaluation.
    fn log_event_training(&mut self, _: String) {}
}

impl MetricsRenderer for TerminalDashboard {
    fn manual_close(&mut self) {
        close();
    }

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.scores.register(&definition);
        with_dashboard(|dashboard| dashboard.register_metric(definition));
    }
}

/// A training run has no test.
impl MetricsRendererEvaluation for TerminalDashboard {
    fn update_test(&mut self, _: EvaluationName, _: MetricState) {}

    fn on_test_end(&mut self, _: Option<LearnerSummary>) -> Result<(), Box<dyn Error>> {
        Ok(())
    }
}

impl EvaluationProgressLogger for TerminalDashboard {
    fn start_global_progress(&mut self, _: usize) {}

    fn start_test(&mut self, _: &str, _: usize) {}

    fn update_test_progress(&mut self, _: usize) {}

    fn end_test(&mut self) {}

    fn end_global_progress(&mut self) {}

    fn log_event_evaluation(&mut self, _: String) {}
}

impl Drop for TerminalDashboard {
    fn drop(&mut self) {
        close();
    }
}
