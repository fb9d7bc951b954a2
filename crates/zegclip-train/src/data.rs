//! The data of a run: the training set under its setting, and the complete class list for the model file.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use burn::data::dataloader::DataLoader;
use zegclip_data::dataset_check::{Note, survey};
use zegclip_data::datasets::TrainingSet;
use zegclip_data::{Batch, Loader, LoaderSettings, TrainingSetting, Vocabulary};

use crate::run::InputFingerprints;
use crate::training::{FailureSlot, ordered_loader};
use crate::validation::ValidationData;
use crate::{TrainConfig, TrainError};

/// The classes of a run, which its folder records, so that its checkpoints are exported without the data set.
#[derive(Debug, Clone)]
pub(crate) struct RunClasses {
    /// Seen and unseen.
    pub(crate) all: Vocabulary,
    setting: TrainingSetting,
}

impl RunClasses {
    pub(crate) fn new(all: Vocabulary, setting: TrainingSetting) -> Self {
        Self { all, setting }
    }

    /// Those that training may know by name.
    pub(crate) fn known(&self) -> Vocabulary {
        match self.setting {
            TrainingSetting::Inductive => self.all.seen_only(),
            TrainingSetting::Transductive | TrainingSetting::Full => self.all.clone(),
        }
    }

    /// Indices of those whose pixels get pseudo-labels.
    pub(crate) fn pseudo_labeled(&self) -> Vec<u16> {
        match self.setting {
            TrainingSetting::Transductive => self.all.seen().unseen().map(|class| class.get()).collect(),
            TrainingSetting::Inductive | TrainingSetting::Full => Vec::new(),
        }
    }
}

/// The data of a training run.
#[derive(Debug, Clone)]
pub struct TrainData {
    /// Samples with the labels that the setting allows.
    pub(crate) set: Arc<TrainingSet>,
    /// All classes of the data set, seen and unseen, for the model file only.
    pub(crate) classes: RunClasses,
    /// The data of evaluations.
    pub(crate) validation: ValidationData,
    notes: Vec<Note>,
}

impl TrainData {
    /// Opens the data set that a configuration names. What its label files suggest is logged once, see [`notes`](Self::notes).
    ///
    /// # Errors
    /// [`TrainError::Dataset`] if it is incomplete; [`TrainError::NoSeenClass`] outside of full supervision.
    pub fn open(config: &TrainConfig) -> Result<Self, TrainError> {
        let spec = zegclip_scenes::dataset_spec(&config.data.dataset)?;
        let split = config
            .data
            .split
            .clone()
            .unwrap_or_else(|| spec.training_split().to_owned());
        let all_classes = spec.vocabulary().clone();
        if all_classes.seen().seen_count() == 0 && config.setting != TrainingSetting::Full {
            return Err(TrainError::NoSeenClass {
                dataset: spec.name().to_owned(),
            });
        }
        let dataset = spec.open(&split)?;
        let notes = survey(&dataset, config.setting != TrainingSetting::Inductive);
        let set = dataset.into_training(config.setting)?;
        let validation = ValidationData::open(config, &spec)?;
        for note in &notes {
            tracing::info!("{}, split `{split}`: {note}", set.name());
        }
        Ok(Self {
            set: Arc::new(set),
            classes: RunClasses::new(all_classes, config.setting),
            validation,
            notes,
        })
    }

    /// What is worth knowing of the training split: classes without a pixel, values that are ignored although nothing says so.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The classes that training may know by name.
    pub fn vocabulary(&self) -> &Vocabulary {
        self.set.vocabulary()
    }

    /// The batches of a range of iterations in order, prepared in advance by threads. An item is a batch.
    pub(crate) fn loader(
        &self,
        config: &TrainConfig,
        iterations: Range<u64>,
        failures: Arc<FailureSlot>,
    ) -> Arc<dyn DataLoader<Batch>> {
        let (set, pipeline) = (self.set.clone(), config.data.pipeline.clone());
        let settings = LoaderSettings {
            batch_size: config.batch_size,
            threads: config.data.threads,
            batches_ahead: config.data.batches_ahead,
            seed: config.seed,
            ..LoaderSettings::default()
        };
        let range = iterations.start as usize..iterations.end as usize;
        ordered_loader(range, failures, move |range| {
            let settings = LoaderSettings {
                start_iteration: range.start as u64,
                end_iteration: range.end as u64,
                ..settings.clone()
            };
            let batches = Loader::start(set.clone(), pipeline.clone(), &settings)?;
            Ok(Box::new(batches.map(|batch| Ok(batch?))))
        })
    }

    /// Adds the fingerprints that a resumed run compares: names and sizes of the files, and the class list.
    pub(crate) fn add_to(&self, fingerprints: &mut InputFingerprints) {
        let size = |path: Option<&Path>| {
            path.and_then(|path| std::fs::metadata(path).ok())
                .map(|file| file.len())
        };
        let samples = self.set.samples().iter().map(|sample| {
            let sizes = (size(sample.image_path()), size(sample.label_path()));
            format!("{} {sizes:?}", sample.id())
        });
        fingerprints.add_entries("data.dataset", samples);
        fingerprints.add_entries("classes", std::iter::once(self.classes.all.to_toml()));
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }
}
