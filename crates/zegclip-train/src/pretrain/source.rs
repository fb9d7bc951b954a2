//! Where images and captions come from.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zegclip_data::RgbImage;
use zegclip_model::clip::Tokenizer;

use super::config::{PretrainConfig, StageConfig};
use super::jsonl::Jsonl;
use super::scenes::{self, StageScenes};
use crate::TrainError;
use crate::training::Fingerprints;

/// The value of `data.source` that stands for composed scenes.
pub(crate) const SCENES: &str = "scenes";

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
    /// Names of what can be seen.
    pub(crate) names: Vec<Name>,
}

/// A name in an image's captions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// The same for all names of the same thing.
    pub(crate) id: u64,
    /// What it is called here.
    pub(crate) text: String,
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
pub struct HeldOut {
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
pub enum PairSource {
    /// Scenes, of the embedded pictures or those of a folder.
    Scenes {
        /// The folder.
        pictures: Option<PathBuf>,
        /// Seed of the run.
        seed: u64,
        /// Share of the captions that name grounds.
        ground_captions: f64,
    },
    /// Images in files.
    Files(Arc<Jsonl>),
}

/// Images and captions of a stage.
#[derive(Debug)]
pub(crate) enum StagePairs {
    Scenes(Box<StageScenes>),
    Files(Arc<Jsonl>),
}

impl PairSource {
    /// Opens what a configuration names.
    ///
    /// # Errors
    /// [`TrainError::Scenes`] for pictures or settings that give no scenes, [`TrainError::Io`] and [`TrainError::Pairs`] for
    /// a file that is no list of images and captions.
    pub fn open(config: &PretrainConfig) -> Result<Self, TrainError> {
        let data = &config.data;
        if data.source != SCENES {
            let list = Jsonl::open(Path::new(&data.source), config)?;
            return Ok(Self::Files(Arc::new(list)));
        }
        let source = Self::Scenes {
            pictures: data.pictures.clone(),
            seed: config.seed,
            ground_captions: data.ground_captions,
        };
        // Mistakes are told now and not after an hour.
        for stage in &config.stages {
            source.stage(stage)?;
        }
        Ok(source)
    }

    /// Makes the pairs of a stage ready.
    pub(crate) fn stage(&self, stage: &StageConfig) -> Result<StagePairs, TrainError> {
        Ok(match self {
            Self::Scenes {
                pictures,
                seed,
                ground_captions,
            } => {
                let scenes = StageScenes::open(pictures.as_deref(), stage, *seed, *ground_captions)?;
                StagePairs::Scenes(Box::new(scenes))
            }
            Self::Files(list) => StagePairs::Files(list.clone()),
        })
    }

    /// What to measure the model on, at the image size of a stage.
    pub(crate) fn held_out(&self, stage: &StageConfig, count: usize) -> Result<Vec<HeldOut>, TrainError> {
        match self {
            Self::Scenes { pictures, .. } => scenes::held_out(pictures.as_deref(), stage, count),
            Self::Files(list) => list.held_out(stage, count),
        }
    }

    /// Names of the splits of [`held_out`](Self::held_out).
    pub(crate) fn held_out_names(&self) -> Vec<String> {
        match self {
            Self::Scenes { .. } => scenes::held_out_names(),
            Self::Files(list) => list.held_out_names(),
        }
    }

    /// What a resumed run compares.
    pub(crate) fn add_to(&self, fingerprints: &mut Fingerprints) {
        match self {
            Self::Scenes { pictures, .. } => {
                let listed = pictures.as_ref().map(|folder| folder.join("pictures.json"));
                let listed = listed.and_then(|list| std::fs::read_to_string(list).ok());
                fingerprints.add_parts("data.pictures", listed.into_iter());
            }
            Self::Files(list) => fingerprints.add_parts("data.source", list.entries()),
        }
    }

    /// The tokens of all captions that there can be, in rising order.
    pub(crate) fn tokens(&self, context_length: usize) -> Result<Vec<u32>, TrainError> {
        let texts = match self {
            Self::Scenes { pictures, .. } => scenes::texts(pictures.as_deref())?,
            Self::Files(list) => list.texts(),
        };
        let tokenizer = Tokenizer::clip();
        let mut found: BTreeSet<u32> = BTreeSet::new();
        for sequence in tokenizer.encode_batch(&texts, context_length) {
            found.extend(sequence.ids);
        }
        Ok(found.into_iter().collect())
    }
}

impl StagePairs {
    /// The pair of a place in a run: a function of the seed, the iteration and the slot in the batch.
    pub(crate) fn pair(&self, place: [u64; 2], stage: &StageConfig) -> Result<Pair, TrainError> {
        match self {
            Self::Scenes(scenes) => Ok(scenes.pair(place, stage.batch_size as u64)),
            Self::Files(list) => list.pair(place, stage),
        }
    }
}

/// Whether a caption is true of an image: all that it mentions is there. Both sorted.
pub(crate) fn is_true_of(mentions: &[u64], contents: &[u64]) -> bool {
    mentions.iter().all(|fact| contents.binary_search(fact).is_ok())
}
