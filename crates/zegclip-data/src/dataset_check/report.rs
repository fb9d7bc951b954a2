//! The result of a check, as data and as a table of text.

use std::collections::HashMap;

use super::{Note, SampleFinding};

/// Findings of one kind that are shown; the others are counted.
const SHOWN: usize = 10;

/// How often a class occurs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ClassCount {
    /// Its name.
    pub name: String,
    /// Whether it is seen.
    pub seen: bool,
    /// Pixels in all label files.
    pub pixels: u64,
    /// Images that have such a pixel.
    pub images: u64,
}

/// The result of [`check`](super::check()).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CheckReport {
    /// The data set.
    pub dataset: String,
    /// The split.
    pub split: String,
    /// Samples, complete or not.
    pub samples: usize,
    /// Whether there are images at all.
    pub has_images: bool,
    /// What is wrong, in the order of the samples.
    pub findings: Vec<SampleFinding>,
    /// What is not wrong but worth knowing.
    #[serde(default)]
    pub notes: Vec<Note>,
    /// Each class in order.
    pub classes: Vec<ClassCount>,
    /// Pixels without a class.
    pub ignored_pixels: u64,
    /// Pixels of unseen classes.
    pub unseen_pixels: u64,
    /// What training of the setting does with them, where one was given.
    pub unseen_in_training: Option<String>,
}

impl CheckReport {
    /// Whether the data set can be used.
    pub fn is_ok(&self) -> bool {
        !self.findings.iter().any(|found| found.finding.is_error())
    }
}

impl std::fmt::Display for CheckReport {
    /// The report as a table of text: findings, then classes with pixels and images.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.has_images {
            "images with labels"
        } else {
            "label files, no images"
        };
        let kind = if self.samples == 1 {
            kind.replacen("images", "image", 1).replace("files", "file")
        } else {
            kind.to_owned()
        };
        writeln!(
            formatter,
            "{}, split {}: {} {kind}",
            self.dataset, self.split, self.samples
        )?;
        let mut shown = HashMap::new();
        for found in &self.findings {
            let level = if found.finding.is_error() { "error" } else { "note" };
            let count: &mut usize = shown.entry(found.finding.kind()).or_default();
            *count += 1;
            if *count <= SHOWN {
                writeln!(formatter, "  {level}: `{}`: {}", found.id, found.finding)?;
            }
        }
        let hidden: usize = shown.values().map(|count| count.saturating_sub(SHOWN)).sum();
        if hidden > 0 {
            writeln!(formatter, "  … and {hidden} more of these kinds; `--json` lists all")?;
        }
        for note in &self.notes {
            writeln!(formatter, "  note: {note}")?;
        }
        let labeled: u64 = self.classes.iter().map(|class| class.pixels).sum();
        let share = |pixels: u64| 100.0 * pixels as f64 / labeled.max(1) as f64;
        let width = self
            .classes
            .iter()
            .map(|class| class.name.chars().count())
            .max()
            .unwrap_or_default()
            .max(5);
        writeln!(
            formatter,
            "{:width$}  {:>14}  {:>7}  {:>8}",
            "class", "pixels", "share", "images"
        )?;
        for class in &self.classes {
            let ClassCount {
                name,
                seen,
                pixels,
                images,
            } = class;
            let unseen = if *seen { "" } else { "  unseen" };
            writeln!(
                formatter,
                "{name:width$}  {pixels:>14}  {:>6.2}%  {images:>8}{unseen}",
                share(*pixels)
            )?;
        }
        writeln!(formatter, "ignored: {} pixels", self.ignored_pixels)?;
        if self.classes.iter().any(|class| !class.seen) {
            write!(
                formatter,
                "of unseen classes: {} pixels ({:.2}%)",
                self.unseen_pixels,
                share(self.unseen_pixels)
            )?;
            match &self.unseen_in_training {
                Some(what) => writeln!(formatter, "; in training {what}")?,
                None => writeln!(formatter)?,
            }
        }
        let errors = self.findings.iter().filter(|found| found.finding.is_error()).count();
        match errors {
            0 => writeln!(formatter, "no problems found"),
            1 => writeln!(formatter, "1 problem found"),
            errors => writeln!(formatter, "{errors} problems found"),
        }
    }
}
