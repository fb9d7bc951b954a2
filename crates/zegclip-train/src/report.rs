//! `report.html`: the course of a run in one file that needs nothing else.

use std::fmt::Write as _;

use zegclip_data::write_atomically;

use crate::{Configuration, MetricsLine, RunDirectory, TrainConfig, TrainError};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 280.0;
/// Space for the numbers beside the axes.
const MARGIN: f64 = 60.0;
/// Distinguishable with any kind of colour vision (Okabe and Ito).
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

/// A named line of points `(iteration, value)`.
struct Curve {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

/// Writes the report of a run, finished or not, from its metrics.
///
/// # Errors
/// [`TrainError::Io`], [`TrainError::Data`].
pub fn write_report(run: &RunDirectory, config: &TrainConfig) -> Result<(), TrainError> {
    let html = report(&run.metrics()?, config)?;
    Ok(write_atomically(&run.report_path(), |file| {
        file.write_all(html.as_bytes())
    })?)
}

fn report(lines: &[MetricsLine], config: &TrainConfig) -> Result<String, TrainError> {
    let curve = |name, value: fn(&MetricsLine) -> Option<f64>| Curve {
        name,
        points: lines
            .iter()
            .filter_map(|line| Some((line.iteration as f64, value(line)?)))
            .collect(),
    };
    let losses = [
        curve("mask loss", |line| line.loss_mask),
        curve("dice loss", |line| line.loss_dice),
    ];
    let rates = [curve("learning rate", |line| line.lr)];
    let scores = [
        curve("hIoU", |line| line.scores.and_then(|scores| scores.hiou)),
        curve("mIoU seen", |line| line.scores.and_then(|scores| scores.miou_seen)),
        curve("mIoU unseen", |line| line.scores.and_then(|scores| scores.miou_unseen)),
        curve("pixel accuracy", |line| {
            line.scores.and_then(|scores| scores.pixel_accuracy)
        }),
    ];
    let done = lines.iter().map(|line| line.iteration).max().unwrap_or_default();
    let mut html = String::from(concat!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>ZegCLIP training</title><style>",
        "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}",
        "svg{width:100%;height:auto}pre{background:#f4f4f4;padding:1rem;overflow:auto}</style></head><body>",
    ));
    let state = if done >= config.iterations {
        "finished"
    } else {
        "not finished"
    };
    let _ = write!(
        html,
        "<h1>ZegCLIP training</h1><p>{} setting, {done} of {} iterations ({state}), data set <code>{}</code>.</p>",
        config.setting.name(),
        config.iterations,
        escape(&config.data.dataset),
    );
    for (title, curves) in [
        ("Losses", &losses[..]),
        ("Scores in percent", &scores),
        ("Learning rate", &rates),
    ] {
        if let Some(svg) = plot(title, curves) {
            let _ = write!(html, "<h2>{title}</h2>{svg}");
        }
    }
    let _ = writeln!(
        html,
        "<h2>Configuration</h2><pre>{}</pre></body></html>",
        escape(&config.to_toml()?)
    );
    Ok(html)
}

/// A line plot; `None` without a point.
fn plot(title: &str, curves: &[Curve]) -> Option<String> {
    let curves: Vec<&Curve> = curves.iter().filter(|curve| !curve.points.is_empty()).collect();
    let points = || {
        curves
            .iter()
            .flat_map(|curve| curve.points.iter())
            .filter(|(_, y)| y.is_finite())
    };
    let range = |value: fn(&(f64, f64)) -> f64| {
        points().map(value).fold(None, |range: Option<(f64, f64)>, value| {
            Some(range.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
        })
    };
    let ((left, right), (_, top)) = (range(|point| point.0)?, range(|point| point.1)?);
    let (left, right) = (left.min(right - 1.0), right);
    let top = if top > 0.0 { top } else { 1.0 };
    let x = |value: f64| MARGIN + (value - left) / (right - left) * (WIDTH - 2.0 * MARGIN);
    let y = |value: f64| HEIGHT - 40.0 - value / top * (HEIGHT - 70.0);
    let mut svg =
        format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\" font-size=\"12\">");
    for quarter in 0..=4 {
        let value = top * f64::from(quarter) / 4.0;
        let _ = write!(
            svg,
            "<line x1=\"{MARGIN}\" x2=\"{0:.1}\" y1=\"{1:.1}\" y2=\"{1:.1}\" stroke=\"#ddd\"/><text x=\"{2:.1}\" y=\"{3:.1}\" text-anchor=\"end\">{4}</text>",
            WIDTH - MARGIN,
            y(value),
            MARGIN - 6.0,
            y(value) + 4.0,
            number(value),
        );
    }
    for (at, anchor) in [(left, "start"), (right, "end")] {
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{at}</text>",
            x(at),
            HEIGHT - 22.0
        );
    }
    let _ = write!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">iteration</text>",
        WIDTH / 2.0,
        HEIGHT - 22.0
    );
    for (index, (curve, colour)) in curves.iter().zip(COLOURS).enumerate() {
        let drawn: Vec<String> = curve
            .points
            .iter()
            .filter(|(_, value)| value.is_finite())
            .map(|(iteration, value)| format!("{:.1},{:.1}", x(*iteration), y(value.max(0.0))))
            .collect();
        let shape = match drawn.as_slice() {
            [only] => {
                let (x, y) = only.split_once(',').unwrap_or_default();
                format!("<circle cx=\"{x}\" cy=\"{y}\" r=\"3\" fill=\"{colour}\"/>")
            }
            _ => format!(
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>",
                drawn.join(" ")
            ),
        };
        let place = MARGIN + 150.0 * index as f64;
        let _ = write!(
            svg,
            "{shape}<text x=\"{place:.1}\" y=\"14\" fill=\"{colour}\">{}</text>",
            curve.name
        );
    }
    Some(svg + "</svg>")
}

fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 0.01 {
        format!("{value:.1e}")
    } else {
        format!("{value:.2}")
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EvaluationScores;

    fn line(iteration: u64, mask: f64) -> MetricsLine {
        MetricsLine {
            iteration,
            loss_mask: Some(mask),
            lr: Some(1e-4),
            ..MetricsLine::default()
        }
    }

    #[test]
    fn curves_are_drawn_and_nothing_is_fetched() {
        let mut lines: Vec<_> = (1..=4).map(|i| line(i, 4.0 / i as f64)).collect();
        lines[1].loss_mask = Some(f64::NAN);
        lines[3].scores = Some(EvaluationScores {
            hiou: Some(40.0),
            ..EvaluationScores::default()
        });
        let mut config = TrainConfig::default();
        config.data.dataset = "a<b>=\"c\"".to_owned();
        let html = report(&lines, &config).unwrap();
        assert_eq!(html.matches("<svg").count(), 3);
        assert!(
            html.contains("<polyline") && html.contains("<circle") && html.contains(">hIoU<"),
            "{html}"
        );
        assert!(html.contains("4 of 20000 iterations (not finished)") && html.contains("a&lt;b&gt;=&quot;c&quot;"));
        for outside in ["http", "src=", "NaN", "inf", "<script"] {
            assert!(!html.contains(outside), "{outside}");
        }
    }

    #[test]
    fn a_run_without_lines_has_a_report() {
        let html = report(&[], &TrainConfig::default()).unwrap();
        assert!(!html.contains("<svg") && html.ends_with("</html>\n"));
    }
}
