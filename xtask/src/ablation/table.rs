//! The results as Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::configuration::Configuration;
use super::results::{Results, Score};

/// Scores in the order of the columns.
const SCORES: [(&str, Score); 4] = [
    ("pAcc", |scores| scores.pixel_accuracy),
    ("mIoU(S)", |scores| scores.miou_seen),
    ("mIoU(U)", |scores| scores.miou_unseen),
    ("hIoU", |scores| scores.hiou),
];

/// A score over the seeds that are done, in percent.
#[derive(Debug)]
pub(super) struct Samples(pub(super) Vec<f64>);

impl Samples {
    pub(super) fn mean(&self) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.iter().sum::<f64>() / self.0.len() as f64)
    }

    /// Standard deviation of the sample.
    pub(super) fn spread(&self) -> Option<f64> {
        let mean = self.mean()?;
        let squares: f64 = self.0.iter().map(|value| (value - mean).powi(2)).sum();
        (self.0.len() > 1).then(|| (squares / (self.0.len() - 1) as f64).sqrt())
    }

    fn text(&self) -> String {
        match (self.mean(), self.spread()) {
            (Some(mean), Some(spread)) => format!("{mean:.1} ± {spread:.1}"),
            (Some(mean), None) => format!("{mean:.1}"),
            (None, _) => "–".to_owned(),
        }
    }
}

pub(super) fn markdown(configuration: &Configuration, results: &Results) -> String {
    let mut text = String::from("# The paper's claims on composed scenes\n\n");
    let seeds = configuration.seeds.len();
    let _ = writeln!(
        text,
        "Written by `cargo xtask ablation` from `ablation.toml`: every row is trained over {seeds} seeds with\n\
         `{}` and scored on {} scenes of each split; mean ± standard deviation over the seeds, in percent. A dash is a row\n\
         that is not done, a number without deviation one seed. Beside it the numbers that the paper gives for PASCAL VOC 2012 and COCO-Stuff 164k, which have other\n\
         images, classes and a CLIP of another size: the order of rows is what can be compared.\n",
        configuration.preset.display(),
        configuration.images,
    );
    if let Some(note) = &configuration.note {
        let _ = writeln!(text, "{}\n", note.trim());
    }
    text.push_str("![hIoU of every row](ablation.svg)\n");
    for group in &configuration.groups {
        let _ = write!(text, "\n## {}\n\n{}\n", group.title, group.claim.trim());
        let mut columns = vec!["row".to_owned()];
        for split in &configuration.splits {
            let split = split.replace('_', " ");
            columns.extend(SCORES.iter().map(|(name, _)| format!("{split}: {name}")));
        }
        let sets: BTreeMap<&String, ()> = group
            .rows
            .iter()
            .flat_map(|row| row.paper.keys())
            .map(|key| (key, ()))
            .collect();
        columns.extend(sets.keys().map(|set| format!("paper, {set}: S / U / hIoU")));
        let _ = write!(
            text,
            "\n| {} |\n|---|{}\n",
            columns.join(" | "),
            "--:|".repeat(columns.len() - 1)
        );
        for row in &group.rows {
            let mut cells = vec![row.name.clone()];
            for split in &configuration.splits {
                for (_, score) in SCORES {
                    cells.push(results.samples(configuration, row, split, score).text());
                }
            }
            for set in sets.keys() {
                cells.push(row.paper.get(*set).map_or("–".to_owned(), |[_, seen, unseen, hiou]| {
                    format!("{seen:.1} / {unseen:.1} / {hiou:.1}")
                }));
            }
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        if let Some(finding) = &group.finding {
            let _ = write!(text, "\n{}\n", finding.trim());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_spreads() {
        assert_eq!(Samples(vec![1.0, 2.0, 3.0]).text(), "2.0 ± 1.0");
        assert_eq!(Samples(vec![41.26]).text(), "41.3");
        assert_eq!(Samples(Vec::new()).text(), "–");
    }
}
