//! `report.html` of pre-training.

use std::collections::BTreeSet;

use zegclip_report::{Curve, RunPage};

use super::PretrainConfig;
use crate::report::{curve, iterations_done, learning_rate_plot, loss_plot, number, plot, write_page};
use crate::{ClipScores, Configuration, MetricsLine, RunDirectory, TrainError};

/// Writes the report of a run, finished or not, from its metrics.
pub(super) fn write_report(run: &RunDirectory, config: &PretrainConfig) -> Result<(), TrainError> {
    write_page(run, &report(&run.metrics()?, config)?)
}

fn report(lines: &[MetricsLine], config: &PretrainConfig) -> Result<String, TrainError> {
    let newest = lines.iter().rev().find(|line| line.loss_contrastive.is_some());
    let splits: BTreeSet<&String> = lines.iter().flat_map(|line| line.clip_scores.keys()).collect();
    let mut numbers = vec![
        number("contrastive loss", newest.and_then(|line| line.loss_contrastive), 4),
        number("loss of patches", newest.and_then(|line| line.loss_patches), 4),
        number("similarity scale", newest.and_then(|line| line.logit_scale), 1),
        number("seconds per iteration", newest.and_then(|line| line.seconds), 3),
        number("images per second", newest.and_then(|line| line.images_per_second), 1),
    ];
    for split in &splits {
        let scores = lines.iter().rev().find_map(|line| line.clip_scores.get(*split));
        let mut row = |name: &str, value: fn(&ClipScores) -> Option<f64>| {
            numbers.push(number(format!("{}, {name}", spaced(split)), scores.and_then(value), 1));
        };
        row("top-1", |scores| scores.top1);
        row("top-5", |scores| scores.top5);
        row("R@1 of captions", |scores| Some(scores.image_to_text_r1));
        row("R@1 of images", |scores| Some(scores.text_to_image_r1));
        row("R@5 of captions", |scores| Some(scores.image_to_text_r5));
        row("R@5 of images", |scores| Some(scores.text_to_image_r5));
    }
    // One curve per split.
    let by_split = |value: fn(&ClipScores) -> Option<f64>| -> Vec<Curve> {
        let of_split = |split: &&String| {
            let split = *split;
            curve(spaced(split), lines, move |line| value(line.clip_scores.get(split)?))
        };
        splits.iter().map(of_split).collect()
    };
    let losses = vec![
        curve("contrastive loss", lines, |line| line.loss_contrastive),
        curve("loss of patches", lines, |line| line.loss_patches),
    ];
    let scale = vec![curve("inverse temperature", lines, |line| line.logit_scale)];
    let page = RunPage {
        title: "CLIP pre-training".to_owned(),
        description: format!("Images and captions of {}", config.data.source),
        iterations_done: iterations_done(lines),
        iterations: config.iterations(),
        numbers,
        plots: vec![
            loss_plot("Losses", losses),
            plot(
                "Zero-shot classification, top-1",
                "percent",
                by_split(|scores| scores.top1),
            ),
            plot(
                "Captions retrieved for images, R@1",
                "percent",
                by_split(|scores| Some(scores.image_to_text_r1)),
            ),
            plot(
                "Images retrieved for captions, R@1",
                "percent",
                by_split(|scores| Some(scores.text_to_image_r1)),
            ),
            plot("Similarity scale", "scale", scale),
            learning_rate_plot(lines),
        ],
        examples: &[],
        config: config.to_toml()?,
    };
    Ok(page.html())
}

/// The name of a split as words.
fn spaced(split: &str) -> String {
    split.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::readable;

    #[test]
    fn losses_and_both_splits_are_drawn() {
        let loss = |iteration| MetricsLine {
            iteration,
            loss_contrastive: Some(1.0 / iteration as f64),
            logit_scale: Some(14.0),
            ..MetricsLine::default()
        };
        let scores = |top1| ClipScores {
            top1: Some(top1),
            image_to_text_r1: 40.0,
            ..ClipScores::default()
        };
        let scored = MetricsLine {
            iteration: 3,
            clip_scores: [("known_artists", 31.5), ("unknown_<artist>", 12.0)]
                .map(|(split, top1)| (split.to_owned(), scores(top1)))
                .into(),
            ..MetricsLine::default()
        };
        let lines = [loss(1), loss(2), loss(3), scored];
        let html = report(&lines, &PretrainConfig::default()).unwrap();
        // Without a loss of patches or a learning rate, neither is drawn.
        assert_eq!(html.matches("<svg").count(), 5, "{html}");
        assert!(!html.contains("loss of patches") && !html.contains("Learning rate"));
        for expected in [
            "<tr><td>known artists, top-1</td><td class=\"number\">31.5</td></tr>",
            "unknown &lt;artist&gt;, R@1 of captions</td><td class=\"number\">40.0",
            "</i>known artists</span>",
            "3 of ",
        ] {
            assert!(html.contains(expected), "{expected}: {html}");
        }
        insta::assert_snapshot!(readable(&html));
    }

    #[test]
    fn a_run_without_metrics_has_a_report() {
        let html = report(&[], &PretrainConfig::default()).unwrap();
        assert!(!html.contains("<svg") && html.ends_with("</html>\n"));
    }
}
