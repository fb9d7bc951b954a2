//! Pictures for people: labels over photos, legends, bar charts, panels side by side.
//!
//! Text is DejaVu Sans, which is compiled in. All sizes follow from the picture's, so that a thumbnail and a photo of
//! a modern camera are equally readable.

mod bar_chart;
mod canvas;
mod error_map;
mod legend;
mod overlay;
mod panels;
mod text;

pub use bar_chart::{Bar, BarChart};
pub use error_map::error_map;
pub use legend::with_legend;
pub use overlay::{DEFAULT_OPACITY, blend, colorize, overlay};
pub use panels::side_by_side;
