//! `report.html`: the course of a training run.

use zegclip_report::{Curve, ExampleGroup, LinePlot, Number, RunPage, VerticalScale};

use crate::{Configuration, MetricsLine, RunDirectory, TrainConfig, TrainError};

/// Writes the report of a run, finished or not, from its metrics.
///
/// # Errors
/// [`TrainError::Io`] and [`TrainError::Data`] if the metrics cannot be read or the report cannot be written.
pub fn write_report(run: &RunDirectory, config: &TrainConfig, examples: &[ExampleGroup]) -> Result<(), TrainError> {
    write_page(run, &report(&run.metrics()?, config, examples)?)
}

fn report(lines: &[MetricsLine], config: &TrainConfig, examples: &[ExampleGroup]) -> Result<String, TrainError> {
    let loss = lines.iter().rev().find(|line| line.loss_mask.is_some());
    let scores = lines.iter().rev().find_map(|line| line.scores);
    let page = RunPage {
        title: "ZegCLIP training".to_owned(),
        description: format!("{} setting, data set {}", config.setting.name(), config.data.dataset),
        iterations_done: iterations_done(lines),
        iterations: config.iterations,
        numbers: vec![
            number("mask loss", loss.and_then(|line| line.loss_mask), 4),
            number("dice loss", loss.and_then(|line| line.loss_dice), 4),
            number("seconds per iteration", loss.and_then(|line| line.seconds), 3),
            number("images per second", loss.and_then(|line| line.images_per_second), 2),
            number("hIoU", scores.and_then(|scores| scores.hiou), 1),
            number("mIoU seen", scores.and_then(|scores| scores.miou_seen), 1),
            number("mIoU unseen", scores.and_then(|scores| scores.miou_unseen), 1),
            number("pixel accuracy", scores.and_then(|scores| scores.pixel_accuracy), 1),
        ],
        plots: vec![
            loss_plot("Mask loss", vec![curve("mask loss", lines, |line| line.loss_mask)]),
            loss_plot("Dice loss", vec![curve("dice loss", lines, |line| line.loss_dice)]),
            plot(
                "Scores",
                "percent",
                vec![
                    curve("hIoU", lines, |line| line.scores?.hiou),
                    curve("mIoU seen", lines, |line| line.scores?.miou_seen),
                    curve("mIoU unseen", lines, |line| line.scores?.miou_unseen),
                    curve("pixel accuracy", lines, |line| line.scores?.pixel_accuracy),
                ],
            ),
            learning_rate_plot(lines),
        ],
        examples,
        config: config.to_toml()?,
    };
    Ok(page.html())
}

/// Writes a page as the report of its run.
pub(crate) fn write_page(run: &RunDirectory, html: &str) -> Result<(), TrainError> {
    crate::run::write_file(&run.report_path(), html.as_bytes())
}

/// The largest iteration with metrics.
pub(crate) fn iterations_done(lines: &[MetricsLine]) -> u64 {
    lines.iter().map(|line| line.iteration).max().unwrap_or_default()
}

pub(crate) fn number(name: impl Into<String>, value: Option<f64>, digits: usize) -> Number {
    Number {
        name: name.into(),
        value,
        digits,
    }
}

/// A value over the iterations, without the lines that lack it.
pub(crate) fn curve(
    name: impl Into<String>,
    lines: &[MetricsLine],
    value: impl Fn(&MetricsLine) -> Option<f64>,
) -> Curve {
    Curve {
        name: name.into(),
        points: (lines.iter())
            .filter_map(|line| Some((line.iteration as f64, value(line)?)))
            .collect(),
    }
}

pub(crate) fn plot(title: &str, unit: &str, curves: Vec<Curve>) -> LinePlot {
    LinePlot {
        title: title.to_owned(),
        unit: unit.to_owned(),
        scale: VerticalScale::FromZero,
        curves,
    }
}

/// Losses often span orders of magnitude.
pub(crate) fn loss_plot(title: &str, curves: Vec<Curve>) -> LinePlot {
    LinePlot {
        scale: VerticalScale::Automatic,
        ..plot(title, "loss", curves)
    }
}

pub(crate) fn learning_rate_plot(lines: &[MetricsLine]) -> LinePlot {
    plot(
        "Learning rate",
        "rate",
        vec![curve("learning rate", lines, |line| line.lr)],
    )
}

/// The body of a page up to the configuration and its defaults, a line for each element.
#[cfg(test)]
pub(crate) fn readable(html: &str) -> String {
    let body = html.split("<body>").nth(1).unwrap_or_default();
    body.split("<pre>").next().unwrap_or_default().replace("><", ">\n<")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EvaluationScores;
    use zegclip_data::{ClassIndex, LabelMap, RgbImage, Vocabulary};
    use zegclip_report::{Example, ExampleFigure};

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
            html.contains("<polyline") && html.contains("<circle") && html.contains("hIoU</span>"),
            "{html}"
        );
        assert!(html.contains("4 of 20000 iterations (not finished)") && html.contains("a&lt;b&gt;=&quot;c&quot;"));
        for outside in ["://", "src=", "NaN", "inf", "<script"] {
            assert!(!html.contains(outside), "{outside}");
        }
        insta::assert_snapshot!(readable(&html));
    }

    #[test]
    fn example_images_are_inside_the_page() {
        let hostile = "<script>alert(1)</script> & \"x\"";
        let vocabulary = Vocabulary::from_names(&format!("cow, {hostile}")).unwrap();
        let labels = LabelMap::filled(8, 6, ClassIndex::new(0));
        let prediction = LabelMap::from_fn(8, 6, |x, _| ClassIndex::new(u16::from(x > 3)));
        let figure = ExampleFigure::new(&Example {
            name: "farm",
            image: Some(&RgbImage::new(8, 6)),
            labels: &labels,
            prediction: &prediction,
            vocabulary: &vocabulary,
        });
        let examples = ExampleGroup {
            title: "training images".to_owned(),
            examples: vec![figure.unwrap()],
        };
        let html = report(&[], &TrainConfig::default(), &[examples]).unwrap();
        assert_eq!(html.matches("src=\"data:image/jpeg;base64,").count(), 4);
        for expected in [
            "farm <span>mIoU 25.0",
            "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;x&quot;",
            "training images",
        ] {
            assert!(html.contains(expected), "{expected}: {html}");
        }
        assert!(!html.contains("<script"));
    }

    #[test]
    fn a_run_without_metrics_has_a_report() {
        let html = report(&[], &TrainConfig::default(), &[]).unwrap();
        assert!(!html.contains("<svg") && html.ends_with("</html>\n"));
    }
}
