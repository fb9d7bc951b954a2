//! `report.html`: the course of a run in one file that needs nothing else.

use zegclip_data::Vocabulary;
use zegclip_data::evaluation::ShownExample;

use crate::report_page::{Page, Plot, Row, curve, write_page};
use crate::{Configuration, MetricsLine, RunDirectory, TrainConfig, TrainError};

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
    write_page(run, &report(&run.metrics()?, config, examples)?)
}

fn report(lines: &[MetricsLine], config: &TrainConfig, examples: &[ExampleMasks]) -> Result<String, TrainError> {
    let loss = lines.iter().rev().find(|line| line.loss_mask.is_some());
    let scores = lines.iter().rev().find_map(|line| line.scores);
    let page = Page {
        title: "ZegCLIP training",
        about: format!("{} setting, data set {}", config.setting.name(), config.data.dataset),
        iterations: config.iterations,
        lines,
        rows: vec![
            Row::new("mask loss", loss.and_then(|line| line.loss_mask), 4),
            Row::new("dice loss", loss.and_then(|line| line.loss_dice), 4),
            Row::new("seconds an iteration", loss.and_then(|line| line.seconds), 3),
            Row::new("images a second", loss.and_then(|line| line.images_per_second), 2),
            Row::new("hIoU", scores.and_then(|scores| scores.hiou), 1),
            Row::new("mIoU seen", scores.and_then(|scores| scores.miou_seen), 1),
            Row::new("mIoU unseen", scores.and_then(|scores| scores.miou_unseen), 1),
            Row::new("pixel accuracy", scores.and_then(|scores| scores.pixel_accuracy), 1),
        ],
        plots: vec![
            Plot {
                title: "Mask loss",
                unit: "loss",
                curves: vec![curve("mask loss", lines, |line| line.loss_mask)],
            },
            Plot {
                title: "Dice loss",
                unit: "loss",
                curves: vec![curve("dice loss", lines, |line| line.loss_dice)],
            },
            Plot {
                title: "Scores",
                unit: "percent",
                curves: vec![
                    curve("hIoU", lines, |line| line.scores?.hiou),
                    curve("mIoU seen", lines, |line| line.scores?.miou_seen),
                    curve("mIoU unseen", lines, |line| line.scores?.miou_unseen),
                    curve("pixel accuracy", lines, |line| line.scores?.pixel_accuracy),
                ],
            },
            Plot::learning_rate(lines),
        ],
        examples,
        config: config.to_toml()?,
    };
    page.html()
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
