//! Scores and example masks of a model in training.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use zegclip::evaluation::Evaluation;
use zegclip::{OpenDevice, SegmentOptions, Segmenter, evaluate};
use zegclip_data::datasets::{Dataset, DatasetSpec};
use zegclip_data::evaluation::ShownExample;
use zegclip_data::metrics::Scores;
use zegclip_data::{TrainingSetting, Vocabulary};
use zegclip_train::{EvaluationScores, ExampleMasks, Snapshot, TrainConfig};

use crate::failure::Failure;

/// Photos of a split in the report.
const EXAMPLES: usize = 3;

/// The data set of a run as whoever judges the model may see it, unseen classes included. Nothing of it goes into training.
pub(crate) struct Validation<'a> {
    scored: Option<Dataset>,
    /// What photos these are, and a few of them.
    shown: Vec<(String, Dataset)>,
    vocabulary: Vocabulary,
    device: &'a OpenDevice,
    stop: &'a AtomicBool,
    decoding: SegmentOptions,
}

impl<'a> Validation<'a> {
    pub(crate) fn new(config: &TrainConfig, device: &'a OpenDevice, stop: &'a AtomicBool) -> Result<Self, Failure> {
        let spec = DatasetSpec::parse(&config.data.dataset).map_err(Failure::failed)?;
        let training = config.data.split.as_deref().unwrap_or_else(|| spec.training_split());
        let wanted = config.run.evaluation_split.as_deref();
        let split = wanted.unwrap_or_else(|| spec.validation_split());
        let opened = spec.open(split).and_then(|dataset| {
            if dataset.has_images() {
                return Ok(dataset);
            }
            dataset.image(0).map(|_| dataset)
        });
        let evaluated = match opened {
            Ok(dataset) => Some(dataset),
            // Only a run that is to be scored needs the split.
            Err(_) if config.run.evaluation_interval == 0 && wanted.is_none() => None,
            Err(error) => return Err(Failure::failed(error)),
        };
        let mut shown = vec![(format!("Training photos ({training})"), some_of(&spec.open(training)?))];
        if let Some(dataset) = evaluated.as_ref().filter(|_| split != training) {
            shown.push((format!("Other photos ({split})"), some_of(dataset)));
        }
        Ok(Self {
            scored: evaluated.filter(|_| config.run.evaluation_interval > 0),
            shown,
            vocabulary: spec.vocabulary().clone(),
            device,
            stop,
            decoding: SegmentOptions {
                keep_seen_scores: Some(config.setting != TrainingSetting::Inductive),
                ..SegmentOptions::default()
            },
        })
    }

    /// Scores on the whole split; `None` if there is none to score, or if it was interrupted.
    pub(crate) fn scores(&self, snapshot: &Snapshot<'_>) -> Result<Option<EvaluationScores>, Failure> {
        let Some(dataset) = &self.scored else {
            return Ok(None);
        };
        let segmenter = self.segmenter(snapshot)?;
        let identity = BTreeMap::new();
        let evaluation = Evaluation::new(&self.vocabulary, dataset.len(), &identity, self.stop);
        let state = evaluate(&segmenter, dataset, &evaluation, &self.decoding, |_| Ok(()))?;
        if state.done() < dataset.len() as u64 {
            return Ok(None);
        }
        let scores = Scores::of(state.confusion());
        let percent = |value: Option<f64>| value.map(|value| 100.0 * value);
        Ok(Some(EvaluationScores {
            pixel_accuracy: percent(scores.pixel_accuracy),
            miou: percent(scores.miou),
            miou_seen: percent(scores.miou_seen),
            miou_unseen: percent(scores.miou_unseen),
            hiou: percent(scores.hiou),
        }))
    }

    /// A few photos of each split with their masks.
    pub(crate) fn examples(&self, snapshot: &Snapshot<'_>) -> Result<Vec<ExampleMasks>, Failure> {
        let segmenter = self.segmenter(snapshot)?;
        let masks = |(title, dataset): &(String, Dataset)| {
            let images = dataset.samples().iter().enumerate().map(|(index, sample)| {
                let (photo, labels) = dataset.load(index)?;
                let prediction = segmenter
                    .segment_with(&photo, &self.vocabulary, &self.decoding)?
                    .labels
                    .0;
                let shown = ShownExample::scored(sample.id(), &photo, &labels, &prediction, &self.vocabulary);
                shown.map_err(Failure::failed)
            });
            Ok(ExampleMasks {
                title: title.clone(),
                vocabulary: self.vocabulary.clone(),
                images: images.collect::<Result<_, Failure>>()?,
            })
        };
        self.shown.iter().map(masks).collect()
    }

    fn segmenter(&self, snapshot: &Snapshot<'_>) -> Result<Segmenter, Failure> {
        let features = snapshot.text_features(&self.vocabulary).map_err(Failure::failed)?;
        Ok(Segmenter::with_text_features(
            snapshot.model().clone(),
            snapshot.config().clone(),
            self.device.clone(),
            &self.vocabulary,
            features,
        ))
    }
}

/// The same few samples each time, from all over the list.
fn some_of(dataset: &Dataset) -> Dataset {
    let every = dataset.len().div_ceil(EXAMPLES).max(1);
    dataset.shard(0, every).first(EXAMPLES)
}
