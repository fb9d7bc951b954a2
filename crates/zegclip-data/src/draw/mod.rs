//! Drawings of label maps: overlays, legends, error maps, panels side by side, bar charts.
//!
//! Images are 8-bit RGB, `[height, width, 3]`; all sizes are in pixels. Text is DejaVu Sans, which is compiled in. In images its
//! height is 1/28 of the image's shorter side, between 16 and 72 pixels, so that images of all sizes are equally legible.

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
