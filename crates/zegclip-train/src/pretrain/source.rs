//! Sources of images and captions.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zegclip_model::clip::Tokenizer;
use zegclip_model::{ModelOverrides, text_config};
use zegclip_weights::WeightFile;

use super::config::{PretrainConfig, SCENES, StageConfig};
use super::jsonl::Jsonl;
use super::pair::{HeldOut, Pair};
use super::scenes::{self, StageScenes};
use crate::TrainError;
use crate::run::InputFingerprints;

/// Images and captions of a run.
#[derive(Debug)]
pub enum PairSource {
    /// Composed scenes.
    Scenes {
        /// Folder of their pictures; the embedded ones by default.
        pictures: Option<PathBuf>,
        /// Seed of the run.
        seed: u64,
        /// Fraction of the captions that name grounds.
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
    /// Opens the source that a configuration names.
    ///
    /// # Errors
    /// [`TrainError::Scenes`] for pictures or settings without scenes; [`TrainError::Io`], [`TrainError::InvalidPair`],
    /// [`TrainError::NoCaption`], [`TrainError::NoPairs`] and [`TrainError::NoPairNames`] for a pair list.
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
        // Settings of late stages are checked at the start.
        for stage in &config.stages {
            source.stage(stage)?;
        }
        Ok(source)
    }

    /// Prepares the pairs of a stage.
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

    /// The evaluation splits, `count` images each, at the image size of a stage.
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

    /// Adds the fingerprints that a resumed run compares.
    pub(crate) fn add_to(&self, fingerprints: &mut InputFingerprints) {
        match self {
            Self::Scenes { pictures, .. } => {
                let listed = pictures.as_ref().map(|folder| folder.join("pictures.json"));
                let listed = listed.and_then(|list| std::fs::read_to_string(list).ok());
                fingerprints.add_entries("data.pictures", listed.into_iter());
            }
            Self::Files(list) => fingerprints.add_entries("data.source", list.entries()),
        }
    }

    /// The tokens of all possible captions, in rising order.
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
    /// The pair of an iteration and a slot of its batch.
    pub(crate) fn pair(&self, place: [u64; 2], stage: &StageConfig) -> Result<Pair, TrainError> {
        match self {
            Self::Scenes(scenes) => Ok(scenes.pair(place, stage.batch_size as u64)),
            Self::Files(list) => list.pair(place, stage),
        }
    }
}

impl PretrainConfig {
    /// The configuration with [`kept_tokens`](super::PretrainModelConfig::kept_tokens) collected, where they are needed and
    /// absent.
    ///
    /// # Errors
    /// Those of reading the captions, or the header of `model.initial`.
    pub fn with_tokens(mut self, source: &PairSource) -> Result<Self, TrainError> {
        let model = &mut self.model;
        if !model.compact_tokens || model.kept_tokens.is_some() {
            return Ok(self);
        }
        model.kept_tokens = match &model.initial {
            // The rows of its embedding belong to its own list.
            Some(path) => {
                let file = WeightFile::open(path)?;
                text_config(&file, &ModelOverrides::default())?.0.pruned_vocabulary
            }
            None => Some(source.tokens(model.text.context_length)?),
        };
        Ok(self)
    }
}
