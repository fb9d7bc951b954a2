//! Which display a run has, and how it ends.

use std::io::IsTerminal;

use burn::train::Interrupter;
use burn::train::renderer::MetricsRenderer;

use super::line_display::LineDisplay;
use super::terminal;
use super::terminal_dashboard::{self, TerminalDashboard};
use crate::arguments::DisplayArguments;
use crate::failure::Failure;
use crate::notices;

/// The display of a run from iteration `from` on: burn-train's dashboard where stdout and stderr are terminals and the
/// arguments allow it, else lines on stderr.
pub(crate) fn renderer(
    command: &'static str,
    arguments: DisplayArguments,
    from: u64,
    interrupter: &Interrupter,
) -> Box<dyn MetricsRenderer> {
    let terminals = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
    if terminals && !arguments.no_tui && !arguments.json && terminal::can_be_drawn_on() {
        match TerminalDashboard::open(command, from, interrupter) {
            Ok(dashboard) => return Box::new(dashboard),
            Err(error) => tracing::warn!("the dashboard cannot be shown: {error}"),
        }
    }
    Box::new(LineDisplay::new(from, interrupter))
}

/// Does `work` and closes the dashboard that it left open, also if it panics.
pub(crate) fn closed_after<T>(work: impl FnOnce() -> T) -> T {
    struct Closing;
    impl Drop for Closing {
        fn drop(&mut self) {
            terminal_dashboard::close();
        }
    }
    let _closing = Closing;
    work()
}

/// Shows that a run stops because of `reason`.
pub(crate) fn stopping(reason: &str) {
    if !terminal_dashboard::show_stopping() {
        notices::line(format_args!(
            "{reason}: the run stops after this iteration; another signal ends it at once"
        ));
    }
}

/// Restores the terminal and ends the program, without waiting for anything.
pub(crate) fn end_at_once(code: i32) -> ! {
    terminal_dashboard::close();
    notices::release();
    Failure::failed("the run was ended at once; iterations after its last checkpoint are lost").report();
    signal_hook::low_level::exit(code)
}
