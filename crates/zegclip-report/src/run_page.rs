//! The course of a training run: newest numbers, curves, example images, configuration.

use maud::html;

use crate::document::document;
use crate::{ExampleGroup, LinePlot};

/// A page about one training run, finished or not.
#[derive(Clone, Debug)]
pub struct RunPage<'a> {
    /// The heading.
    pub title: String,
    /// A few words about the run, before the number of iterations.
    pub description: String,
    /// Iterations done, which is also the right end of the plots.
    pub iterations_done: u64,
    /// Iterations of the complete run.
    pub iterations: u64,
    /// The newest values; undefined ones are omitted.
    pub numbers: Vec<Number>,
    /// Plots over the iterations; those without points are omitted.
    pub plots: Vec<LinePlot>,
    /// Example images.
    pub examples: &'a [ExampleGroup],
    /// The configuration as TOML.
    pub config: String,
}

/// A row of the table of newest values.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// The name, with its unit.
    pub name: String,
    /// The value.
    pub value: Option<f64>,
    /// Digits after the point.
    pub digits: usize,
}

impl RunPage<'_> {
    /// The page as an HTML document.
    pub fn html(&self) -> String {
        let Self {
            iterations_done,
            iterations,
            ..
        } = *self;
        let state = if iterations_done >= iterations {
            "finished"
        } else {
            "not finished"
        };
        let numbers = || (self.numbers.iter()).filter_map(|number| Some((&number.name, number.value?, number.digits)));
        let plots = || self.plots.iter().filter_map(|plot| plot.markup(iterations_done));
        let body = html! {
            p { (self.description) ", " (iterations_done) " of " (iterations) " iterations (" (state) ")." }
            @if numbers().next().is_some() {
                table {
                    @for (name, value, digits) in numbers() {
                        tr { td { (name) } td.number { (format_args!("{value:.digits$}")) } }
                    }
                }
            }
            div.plots { @for plot in plots() { (plot) } }
            @for group in self.examples { (group.markup()) }
            h2 { "Configuration" }
            pre { (self.config) }
        };
        document(&self.title, &body)
    }
}
