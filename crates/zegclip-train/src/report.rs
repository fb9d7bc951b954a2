//! `report.html`: the course of a run in one file that needs nothing else.

use std::fmt::Write as _;

use zegclip_data::evaluation::{EXAMPLE_STYLE, ShownExample};
use zegclip_data::{Vocabulary, write_atomically};

use crate::line_plot::{Curve, line_plot};
use crate::{Configuration, MetricsLine, RunDirectory, TrainConfig, TrainError};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#222;\
    background:#fff}svg{width:100%;height:auto}pre{background:#f4f4f4;padding:1rem;overflow:auto}\
    table{border-collapse:collapse}td,th{padding:.1em .8em .1em 0;text-align:right}\
    .wide{width:min(104rem,94vw);margin-left:50%;transform:translateX(-50%)}\
    .wide .row{flex-wrap:nowrap}.wide figure{flex:0 1 auto}";

/// Photos with their labels and what the model makes of them.
#[derive(Debug)]
pub struct ExampleMasks {
    /// What photos these are, such as `training photos`.
    pub title: String,
    /// Their classes.
    pub vocabulary: Vocabulary,
    /// The photos.
    pub images: Vec<ShownExample>,
}

/// Writes the report of a run, finished or not, from its metrics.
///
/// # Errors
/// [`TrainError::Io`], [`TrainError::Data`].
pub fn write_report(run: &RunDirectory, config: &TrainConfig, examples: &[ExampleMasks]) -> Result<(), TrainError> {
    let html = report(&run.metrics()?, config, examples)?;
    Ok(write_atomically(&run.report_path(), |file| {
        file.write_all(html.as_bytes())
    })?)
}

fn report(lines: &[MetricsLine], config: &TrainConfig, examples: &[ExampleMasks]) -> Result<String, TrainError> {
    let curve = |name, value: fn(&MetricsLine) -> Option<f64>| Curve {
        name,
        points: lines
            .iter()
            .filter_map(|line| Some((line.iteration as f64, value(line)?)))
            .collect(),
    };
    let mask = [curve("mask loss", |line| line.loss_mask)];
    let dice = [curve("dice loss", |line| line.loss_dice)];
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
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>ZegCLIP training</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}{EXAMPLE_STYLE}</style></head><body>"
    );
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
    html.push_str(&last_line(lines));
    for (title, unit, curves) in [
        ("Mask loss", "loss", &mask[..]),
        ("Dice loss", "loss", &dice),
        ("Scores", "percent", &scores),
        ("Learning rate", "rate", &rates),
    ] {
        if let Some(svg) = line_plot(title, unit, curves, done, unit == "loss") {
            let _ = write!(html, "<h2>{title}</h2>{svg}");
        }
    }
    for ExampleMasks {
        title,
        vocabulary,
        images,
    } in examples.iter().filter(|examples| !examples.images.is_empty())
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
        escape(&config.to_toml()?)
    );
    Ok(html)
}

/// The newest numbers as a table.
fn last_line(lines: &[MetricsLine]) -> String {
    let loss = lines.iter().rev().find(|line| line.loss_mask.is_some());
    let scores = lines.iter().rev().find_map(|line| line.scores);
    let mut rows: Vec<(&str, String)> = Vec::new();
    let mut row = |name, value: Option<f64>, digits: usize| {
        rows.extend(value.map(|value| (name, format!("{value:.digits$}"))));
    };
    row("mask loss", loss.and_then(|line| line.loss_mask), 4);
    row("dice loss", loss.and_then(|line| line.loss_dice), 4);
    row("seconds an iteration", loss.and_then(|line| line.seconds), 3);
    row("images a second", loss.and_then(|line| line.images_per_second), 2);
    row("hIoU", scores.and_then(|scores| scores.hiou), 1);
    row("mIoU seen", scores.and_then(|scores| scores.miou_seen), 1);
    row("mIoU unseen", scores.and_then(|scores| scores.miou_unseen), 1);
    row("pixel accuracy", scores.and_then(|scores| scores.pixel_accuracy), 1);
    if rows.is_empty() {
        return String::new();
    }
    let rows: String = rows
        .into_iter()
        .map(|(name, value)| format!("<tr><td>{name}</td><td>{value}</td></tr>"))
        .collect();
    format!("<table>{rows}</table>")
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
    use zegclip_data::{ClassIndex, LabelMap, RgbImage};

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
        let html = report(&lines, &config, &[]).unwrap();
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
    fn masks_lie_inside_the_page() {
        let vocabulary = Vocabulary::from_names("cow, <grass>").unwrap();
        let labels = LabelMap::filled(8, 6, ClassIndex::new(0));
        let prediction = LabelMap::from_fn(8, 6, |x, _| ClassIndex::new(u16::from(x > 3)));
        let photo = RgbImage::new(8, 6);
        let image = ShownExample::scored("farm", &photo, &labels, &prediction, &vocabulary).unwrap();
        let examples = ExampleMasks {
            title: "training photos".to_owned(),
            vocabulary,
            images: vec![image],
        };
        let html = report(&[], &TrainConfig::default(), &[examples]).unwrap();
        assert_eq!(html.matches("src=\"data:image/jpeg;base64,").count(), 4);
        assert!(
            html.contains("farm <span>mIoU 25.0") && html.contains("&lt;grass&gt;") && html.contains("training photos"),
            "{html}"
        );
    }

    #[test]
    fn a_run_without_lines_has_a_report() {
        let html = report(&[], &TrainConfig::default(), &[]).unwrap();
        assert!(!html.contains("<svg") && html.ends_with("</html>\n"));
    }
}
