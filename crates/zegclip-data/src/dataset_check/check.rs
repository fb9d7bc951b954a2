//! Reading every file, several at a time.

use std::collections::HashMap;
use std::path::Path;

use rayon::prelude::*;

use super::note::{PixelCounts, notes};
use super::{CheckReport, ClassCount, Finding, Note, SampleFinding};
use crate::datasets::{Dataset, PairProblem, Sample};
use crate::{ClassIndex, DecodedLabels, LabelMap, TrainingSetting};

/// Options of a check.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckOptions {
    /// What the data set is meant for. Unseen classes in labels are a [`Finding`] where they were to be removed before
    /// (`labels_are_cleaned`), else a number in the [`CheckReport`]: a [`TrainingSet`](crate::datasets::TrainingSet)
    /// removes them.
    pub setting: Option<TrainingSetting>,
    /// The label files are said to hold seen classes only.
    pub labels_are_cleaned: bool,
}

/// Reads every file of a data set, several at a time. `progress` is called once a sample, from any thread.
///
/// The report is the same however many threads there are.
pub fn check(dataset: &Dataset, options: CheckOptions, progress: impl Fn() + Sync) -> CheckReport {
    let mut missing = HashMap::<&str, Vec<Finding>>::new();
    for problem in dataset.problems().iter().filter(|problem| !is_of_list(problem)) {
        missing.entry(problem.id()).or_default().push(Finding::of_pair(problem));
    }
    let read = |(index, sample): (usize, &Sample)| {
        let missing = missing.get(sample.id()).cloned().unwrap_or_default();
        let checked = Checked {
            findings: missing,
            ..Checked::default()
        }
        .read(dataset, index, sample, options);
        progress();
        checked
    };
    // Collected in order of the samples: what is counted is small.
    let checked: Vec<Checked> = dataset.samples().par_iter().enumerate().map(read).collect();

    let vocabulary = dataset.vocabulary();
    let names = vocabulary.names().map(str::to_owned);
    let count = |(name, seen)| ClassCount {
        name,
        seen,
        pixels: 0,
        images: 0,
    };
    let mut report = CheckReport {
        dataset: dataset.name().to_owned(),
        split: dataset.split().to_owned(),
        samples: dataset.len(),
        has_images: dataset.has_images(),
        findings: Vec::new(),
        notes: Vec::new(),
        classes: names.zip(vocabulary.seen().flags()).map(count).collect(),
        ignored_pixels: 0,
        unseen_pixels: 0,
        unseen_in_training: None,
    };
    let mut counts = PixelCounts::default();
    // Samples that are listed twice are read once, and so named before the others.
    let pairs = dataset.problems().iter().filter(|problem| is_of_list(problem));
    report.findings.extend(pairs.map(|problem| SampleFinding {
        id: problem.id().to_owned(),
        finding: Finding::of_pair(problem),
    }));
    for (checked, sample) in checked.into_iter().zip(dataset.samples()) {
        let id = sample.id();
        report
            .findings
            .extend(checked.findings.into_iter().map(|finding| SampleFinding {
                id: id.to_owned(),
                finding,
            }));
        report.ignored_pixels += checked.ignored;
        counts.assumed_ignored += checked.assumed_ignored;
        counts.all += checked.all;
        for (class, pixels) in checked.classes {
            if let Some(count) = report.classes.get_mut(class.index()) {
                count.pixels += pixels;
                count.images += 1;
            }
        }
    }
    counts.classes = report.classes.iter().map(|class| class.pixels).collect();
    report.notes = notes(vocabulary, &counts, |_| true);
    if !report.has_images && !dataset.is_empty() {
        let expected = dataset.images_expected().to_owned();
        report.notes.push(Note::NoImages { expected });
    }
    report.unseen_pixels = report
        .classes
        .iter()
        .filter(|class| !class.seen)
        .map(|class| class.pixels)
        .sum();
    report.unseen_in_training = options.setting.map(|setting| {
        match setting {
            TrainingSetting::Inductive => "ignored",
            TrainingSetting::Transductive => "known to be unseen, but not which; pseudo-labeled",
            TrainingSetting::Full => "used, as those of all classes",
        }
        .to_owned()
    });
    report
}

/// Whether a problem is one of a list, whose line may have no sample.
fn is_of_list(problem: &PairProblem) -> bool {
    matches!(problem, PairProblem::ListedTwice { .. } | PairProblem::ListLine { .. })
}

/// What one sample adds to the report.
#[derive(Default)]
struct Checked {
    findings: Vec<Finding>,
    classes: Vec<(ClassIndex, u64)>,
    ignored: u64,
    assumed_ignored: u64,
    all: u64,
}

impl Checked {
    fn read(mut self, dataset: &Dataset, index: usize, sample: &Sample, options: CheckOptions) -> Self {
        let has_image = sample.image_path().is_some() || sample.is_computed();
        let image = has_image.then(|| dataset.image(index));
        let image_size = match image {
            Some(Ok(image)) => Some(image.dimensions()),
            Some(Err(error)) => {
                self.findings.push(Finding::UnreadableImage {
                    problem: error.to_string(),
                });
                None
            }
            None => None,
        };
        let path = match sample.label_path() {
            Some(path) => path,
            None if sample.is_computed() => Path::new(""),
            None => return self,
        };
        match dataset.decode(index) {
            Ok(decoded) => self.count(dataset, path, &decoded, image_size, options),
            Err(error) => self.findings.push(Finding::UnreadableLabels {
                problem: error.to_string(),
            }),
        }
        self
    }

    fn count(
        &mut self,
        dataset: &Dataset,
        path: &Path,
        decoded: &DecodedLabels,
        image_size: Option<(u32, u32)>,
        options: CheckOptions,
    ) {
        let (labels, vocabulary) = (&decoded.labels, dataset.vocabulary());
        if let Some(image) = image_size.filter(|&size| size != labels.dimensions()) {
            self.findings.push(Finding::SizeMismatch {
                image,
                labels: labels.dimensions(),
            });
        }
        self.all = labels.as_raw().len() as u64;
        let assumed = vocabulary.encoding().assumed_ignored_value();
        let assumed = decoded.ignored.iter().filter(|count| Some(count.value) == assumed);
        self.assumed_ignored = assumed.map(|count| count.pixels).sum();
        match decoded.unknown.as_slice() {
            [] => {}
            [unknown] => self.findings.push(Finding::UnknownValue {
                path: path.to_owned(),
                value: unknown.value,
                pixels: unknown.pixels,
            }),
            [first, .., last] => self.findings.push(Finding::UnknownValues {
                path: path.to_owned(),
                values: decoded.unknown.len(),
                lowest: first.value,
                highest: last.value,
                pixels: decoded.unknown_pixels(),
                all_pixels: self.all,
                interpolated: decoded.interpolated,
            }),
        }
        let counts = labels.histogram(vocabulary.len());
        let classes = (0..).filter_map(ClassIndex::new).zip(counts);
        self.classes = classes.filter(|&(_, pixels)| pixels > 0).collect();
        self.ignored = labels
            .as_raw()
            .iter()
            .filter(|&&label| label == LabelMap::IGNORE)
            .count() as u64;
        if self.classes.is_empty() {
            self.findings.push(Finding::NothingLabeled);
        }
        if options.labels_are_cleaned {
            let unseen = self
                .classes
                .iter()
                .filter(|(class, _)| !vocabulary.seen().is_seen(*class));
            let name = |class| {
                vocabulary
                    .class(class)
                    .map_or_else(String::new, |class| class.name().to_owned())
            };
            let findings = unseen.map(|&(class, pixels)| Finding::UnseenClass {
                class: name(class),
                pixels,
            });
            self.findings.extend(findings.collect::<Vec<_>>());
        }
    }
}
