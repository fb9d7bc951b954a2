//! Display of a training run: burn-train's dashboard on a terminal, lines on stderr elsewhere.
//!
//! Only the dashboard writes to stdout, and only where stdout is a terminal.

mod evaluation_lines;
mod line_display;
mod metric_means;
mod remaining_time;
mod renderer;
mod terminal;
mod terminal_dashboard;

pub(crate) use renderer::{closed_after, end_at_once, renderer, stopping};
