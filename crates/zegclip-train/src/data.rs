//! The data of a run: what training may see of it, and the whole class list for the model file.

use std::sync::Arc;

use zegclip_data::datasets::{DatasetSpec, TrainingSet};
use zegclip_data::{TrainingSetting, Vocabulary};

use crate::{TrainConfig, TrainError};

/// A training set under a setting.
#[derive(Debug, Clone)]
pub struct TrainData {
    /// Samples with the labels that the setting allows.
    pub(crate) set: Arc<TrainingSet>,
    /// All classes of the data set, seen and unseen. Only the model file gets it; nothing is trained on it.
    pub(crate) whole: Vocabulary,
}

impl TrainData {
    /// Opens the data set that a configuration names.
    ///
    /// # Errors
    /// [`TrainError::Dataset`] if it is incomplete, [`TrainError::NoSeenClass`].
    pub fn open(config: &TrainConfig) -> Result<Self, TrainError> {
        let spec = DatasetSpec::parse(&config.data.dataset)?;
        let split = config
            .data
            .split
            .clone()
            .unwrap_or_else(|| spec.training_split().to_owned());
        let whole = spec.vocabulary().clone();
        if whole.seen().seen_count() == 0 && config.setting != TrainingSetting::Full {
            return Err(TrainError::NoSeenClass {
                dataset: spec.name().to_owned(),
            });
        }
        let set = spec.open(&split)?.into_training(config.setting)?;
        Ok(Self {
            set: Arc::new(set),
            whole,
        })
    }

    /// The classes that training may name.
    pub fn vocabulary(&self) -> &Vocabulary {
        self.set.vocabulary()
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Positions of the classes whose pixels get pseudo-labels.
    pub(crate) fn pseudo_labelled(&self) -> Vec<u16> {
        match self.set.setting() {
            TrainingSetting::Transductive => self.whole.seen().unseen().map(|class| class.get()).collect(),
            TrainingSetting::Inductive | TrainingSetting::Full => Vec::new(),
        }
    }
}
