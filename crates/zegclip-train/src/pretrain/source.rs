//! Where images and captions come from.

use std::collections::BTreeSet;
use std::path::Path;

use zegclip_data::RgbImage;
use zegclip_model::clip::Tokenizer;

use super::config::{PretrainConfig, StageConfig};
use super::jsonl::Jsonl;
use crate::TrainError;

/// An image and one of its captions.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    /// The image, as large as the stage asks.
    pub(crate) image: RgbImage,
    /// The caption.
    pub(crate) caption: String,
    /// Facts that the caption states, sorted. It is true of every image that has all of them.
    pub(crate) mentions: Vec<u64>,
    /// Facts of the image, sorted.
    pub(crate) contents: Vec<u64>,
}

/// An image of one thing.
#[derive(Debug, Clone)]
pub(crate) struct Classified {
    /// The image.
    pub(crate) image: RgbImage,
    /// Position of the thing's class in the list.
    pub(crate) class: usize,
    /// Classes that are true of the image too, such as its ground; they are left out of the choice.
    pub(crate) also_true: Vec<usize>,
}

/// What a model is measured on.
#[derive(Debug, Clone)]
pub(crate) struct HeldOut {
    /// Name of the split.
    pub(crate) name: String,
    /// Names of the classes, one or more each; empty without classification.
    pub(crate) classes: Vec<Vec<String>>,
    /// Images of one thing each.
    pub(crate) classified: Vec<Classified>,
    /// Images and captions to be found from each other.
    pub(crate) pairs: Vec<Pair>,
}

/// Images and captions of a run.
#[derive(Debug)]
pub struct PairSource {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Jsonl(Jsonl),
}

impl PairSource {
    /// Opens what a configuration names.
    ///
    /// # Errors
    /// [`TrainError::Io`] if it cannot be read, [`TrainError::Pairs`] if it is no list of images and captions.
    pub fn open(config: &PretrainConfig) -> Result<Self, TrainError> {
        let validation = config.data.validation.as_deref();
        let kind = Kind::Jsonl(Jsonl::open(Path::new(&config.data.source), validation, &config.data)?);
        Ok(Self { kind })
    }

    /// The pair of a place in a run: a function of the seed, the iteration and the slot in the batch.
    pub(crate) fn pair(&self, seed: u64, place: [u64; 2], stage: &StageConfig, batch: u64) -> Result<Pair, TrainError> {
        match &self.kind {
            Kind::Jsonl(list) => list.pair(seed, place, stage, batch),
        }
    }

    /// What to measure the model on, at the image size of a stage.
    pub(crate) fn held_out(&self, stage: &StageConfig, count: usize) -> Result<Vec<HeldOut>, TrainError> {
        match &self.kind {
            Kind::Jsonl(list) => list.held_out(stage, count),
        }
    }

    /// The tokens of all captions that there can be, in rising order.
    pub(crate) fn tokens(&self, context_length: usize) -> Vec<u32> {
        let texts = match &self.kind {
            Kind::Jsonl(list) => list.texts(),
        };
        let tokenizer = Tokenizer::clip();
        let mut found: BTreeSet<u32> = BTreeSet::new();
        for sequence in tokenizer.encode_batch(&texts, context_length) {
            found.extend(sequence.ids);
        }
        found.into_iter().collect()
    }
}

/// Whether a caption is true of an image: all that it mentions is there. Both sorted.
pub(crate) fn is_true_of(mentions: &[u64], contents: &[u64]) -> bool {
    mentions.iter().all(|fact| contents.binary_search(fact).is_ok())
}
