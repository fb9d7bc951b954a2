//! HTML reports as single files: evaluations, training runs, example segmentations.
//!
//! - [`evaluation_page`]: the page of a finished evaluation with its worst and best images.
//! - [`EvaluationPage`]: its template; [`evaluation_collection`] puts several on one page.
//! - [`RunPage`]: loss curves, scores and examples of a training run.
//! - [`ExampleFigure`]: an image, its labels, a prediction and the errors side by side.
//! - [`LinePlot`]: curves over iterations as inline SVG.
//!
//! Templates are checked at compile time and escape all text. Images are embedded as JPEG data URIs, plots as SVG; a
//! content security policy forbids scripts and network access. The same input gives the same bytes.
//!
//! ```
//! use zegclip_report::{Curve, LinePlot, RunPage, VerticalScale};
//!
//! let page = RunPage {
//!     title: "Training".to_owned(),
//!     description: "data set <farm>".to_owned(),
//!     iterations_done: 2,
//!     iterations: 4,
//!     numbers: Vec::new(),
//!     plots: vec![LinePlot {
//!         title: "Loss".to_owned(),
//!         unit: "loss".to_owned(),
//!         scale: VerticalScale::Automatic,
//!         curves: vec![Curve { name: "loss".to_owned(), points: vec![(1.0, 3.5), (2.0, 2.25)] }],
//!     }],
//!     examples: &[],
//!     config: "iterations = 4".to_owned(),
//! };
//! let html = page.html();
//! assert!(html.contains("data set &lt;farm&gt;, 2 of 4 iterations (not finished).") && html.contains("<svg"));
//! ```

#![forbid(unsafe_code)]

mod axis;
mod cells;
mod document;
mod evaluation_page;
mod example_figure;
mod line_plot;
mod run_page;

pub use axis::VerticalScale;
pub use evaluation_page::{EvaluationPage, evaluation_collection, evaluation_page};
pub use example_figure::{Example, ExampleFigure, ExampleGroup};
pub use line_plot::{Curve, LinePlot};
pub use run_page::{Number, RunPage};
