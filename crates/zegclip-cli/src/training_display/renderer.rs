//! Which display a run has, and how it ends.

use std::io::IsTerminal;

use burn::train::Interrupter;
use burn::train::renderer::MetricsRenderer;

use super::line_display::LineDisplay;
use super::terminal;
use super::terminal_dashboard::{self, TerminalDashboard};
use crate::{failure, notices};

/// The display of a run of which `from` iterations were done before: burn-train's dashboard where stdout and stderr are
/// terminals and neither `no_tui` nor `json` is set, else lines on stderr.
pub(crate) fn renderer(
    command: &'static str,
    no_tui: bool,
    json: bool,
    from: u64,
    interrupter: &Interrupter,
) -> Box<dyn MetricsRenderer> {
    let terminals = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
    if terminals && !no_tui && !json && terminal::can_be_drawn_on() {
        match TerminalDashboard::open(command, from, interrupter) {
            Ok(dashboard) => return Box::new(dashboard),
            Err(error) => notices::line(format_args!("no dashboard: {error}")),
        }
    }
    Box::new(LineDisplay::new(from, interrupter))
}

/// Does `work` and closes what it left open on the terminal, also if it panics.
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
            "{reason}: the run stops after this iteration; once more ends it at once"
        ));
    }
}

/// Restores the terminal and ends the program, without waiting for anything.
pub(crate) fn end_at_once(code: i32) -> ! {
    terminal_dashboard::close();
    notices::release();
    failure::report("the run was ended at once; what came after its last checkpoint is lost");
    signal_hook::low_level::exit(code)
}
