//! The page of a run: what reports of training and of pre-training have in common.

use std::fmt::Write as _;

use zegclip_data::evaluation::{EXAMPLE_STYLE, escape};
use zegclip_data::write_atomically;

use crate::line_plot::{Curve, line_plot};
use crate::{ExampleMasks, MetricsLine, RunDirectory, TrainError};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#222;\
    background:#fff}svg{width:100%;height:auto}pre{background:#f4f4f4;padding:1rem;overflow:auto}\
    table{border-collapse:collapse}td,th{padding:.1em .8em .1em 0;text-align:right}\
    .wide{width:min(104rem,94vw);margin-left:50%;transform:translateX(-50%)}\
    .wide .row{flex-wrap:nowrap}.wide figure{flex:0 1 auto}";

/// A page that needs nothing else.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    pub(crate) title: &'static str,
    /// What goes before the number of iterations, such as the setting; text, not HTML.
    pub(crate) about: String,
    /// Iterations of the run.
    pub(crate) iterations: u64,
    pub(crate) lines: &'a [MetricsLine],
    /// The newest numbers; those without a value are left out.
    pub(crate) rows: Vec<Row>,
    pub(crate) plots: Vec<Plot>,
    pub(crate) examples: &'a [ExampleMasks],
    /// The configuration as TOML.
    pub(crate) config: String,
}

/// A number with the digits after its point.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) value: Option<f64>,
    pub(crate) digits: usize,
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, value: Option<f64>, digits: usize) -> Self {
        Self {
            name: name.into(),
            value,
            digits,
        }
    }
}

/// Puts a page into the folder of its run.
pub(crate) fn write_page(run: &RunDirectory, html: &str) -> Result<(), TrainError> {
    Ok(write_atomically(&run.report_path(), |file| {
        file.write_all(html.as_bytes())
    })?)
}

/// Curves over the iterations. Losses may get a logarithmic axis.
#[derive(Debug)]
pub(crate) struct Plot {
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) curves: Vec<Curve>,
}

impl Plot {
    /// That of the learning rate, which every run has.
    pub(crate) fn learning_rate(lines: &[MetricsLine]) -> Self {
        Self {
            title: "Learning rate",
            unit: "rate",
            curves: vec![curve("learning rate", lines, |line| line.lr)],
        }
    }
}

/// The curve of a value that not every line has.
pub(crate) fn curve(
    name: impl Into<String>,
    lines: &[MetricsLine],
    value: impl Fn(&MetricsLine) -> Option<f64>,
) -> Curve {
    Curve {
        name: name.into(),
        points: lines
            .iter()
            .filter_map(|line| Some((line.iteration as f64, value(line)?)))
            .collect(),
    }
}

impl Page<'_> {
    /// # Errors
    /// [`TrainError::Data`] if an example cannot be drawn.
    pub(crate) fn html(&self) -> Result<String, TrainError> {
        let title = self.title;
        let done = self.lines.iter().map(|line| line.iteration).max().unwrap_or_default();
        let state = if done >= self.iterations {
            "finished"
        } else {
            "not finished"
        };
        let mut html = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
             <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}{EXAMPLE_STYLE}</style></head><body>\
             <h1>{title}</h1><p>{}, {done} of {} iterations ({state}).</p>",
            escape(&self.about),
            self.iterations
        );
        html.push_str(&self.table());
        for Plot { title, unit, curves } in &self.plots {
            if let Some(svg) = line_plot(title, unit, curves, done, *unit == "loss") {
                let _ = write!(html, "<h2>{title}</h2>{svg}");
            }
        }
        for ExampleMasks {
            title,
            vocabulary,
            images,
        } in self.examples.iter().filter(|examples| !examples.images.is_empty())
        {
            let _ = write!(html, "<div class=\"wide\"><h2>{}</h2>", escape(title));
            for image in images {
                html.push_str(&image.html(vocabulary)?);
            }
            html.push_str("</div>");
        }
        let _ = writeln!(
            html,
            "<h2>Configuration</h2><pre>{}</pre></body></html>",
            escape(&self.config)
        );
        Ok(html)
    }

    fn table(&self) -> String {
        let rows: String = self
            .rows
            .iter()
            .filter_map(|Row { name, value, digits }| {
                let value = (*value)?;
                Some(format!("<tr><td>{}</td><td>{value:.digits$}</td></tr>", escape(name)))
            })
            .collect();
        if rows.is_empty() {
            return rows;
        }
        format!("<table>{rows}</table>")
    }
}
