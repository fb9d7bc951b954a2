//! ZegCLIP as a task of burn-train.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Device;
use burn::train::{InferenceStep, TrainOutput, TrainStep};
use zegclip::{ModelInMemory, Segmenter};
use zegclip_data::metrics::Confusion;
use zegclip_data::{Batch, Vocabulary};
use zegclip_kernels::on_worker;
use zegclip_model::clip::ImageEncoder;
use zegclip_model::decoder::Decoder;
use zegclip_model::prompt::Prompts;
use zegclip_model::relation::RelationDescriptor;
use zegclip_model::{ZegClip, device};

use crate::data::RunClasses;
use crate::gradients::clip_gradients;
use crate::model_setup::ModelSetup;
use crate::replica::Replica;
use crate::report::write_report;
use crate::seed::RngKey;
use crate::shards::{DeviceShard, compute};
use crate::step::{Losses, Objective};
use crate::training::{FailureSlot, Iteration, Scored, Task};
use crate::validation::{ImageScores, LabeledImage, ValidationData};
use crate::{RunDirectory, TrainConfig, TrainError, freeze};

/// The trained parts of ZegCLIP: prompts, relation descriptor and decoder, and optionally CLIP's image encoder. Only these are
/// part of burn's records; the frozen encoder, the text features and the objective are not.
///
/// A [`step`](TrainStep::step) divides the loss by M of the complete batch, for any number of micro-batches and devices.
#[derive(Module, Debug)]
pub struct SegmentationTask {
    image_encoder: Option<ImageEncoder>,
    prompts: Option<Prompts>,
    relation_descriptor: RelationDescriptor,
    decoder: Decoder,
    #[module(skip)]
    fixed: Fixed,
    #[module(skip)]
    segmenter: SegmenterCell,
}

/// Parts of the task that training does not change.
#[derive(Clone)]
struct Fixed(Arc<FixedParts>);

struct FixedParts {
    /// `None` where it is trained.
    image_encoder: Option<ImageEncoder>,
    setup: ModelSetup,
    objective: Objective,
    config: TrainConfig,
    all_classes: Vocabulary,
    validation: ValidationData,
    device: Device,
    replicas: Mutex<Vec<Replica>>,
    failures: Arc<FailureSlot>,
}

/// A short form: burn prints skipped fields of a module.
impl std::fmt::Debug for Fixed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("frozen encoder, text features, objective")
    }
}

/// The engine that scores this model, built at its first use; not shared with copies.
#[derive(Default)]
struct SegmenterCell(OnceLock<Segmenter>);

impl Clone for SegmenterCell {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl std::fmt::Debug for SegmenterCell {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("segmenter")
    }
}

impl SegmentationTask {
    /// The task of a run on its first device. `model` has its trained and frozen parts on their devices.
    pub(crate) fn new(
        config: &TrainConfig,
        classes: &RunClasses,
        validation: ValidationData,
        setup: ModelSetup,
        model: ZegClip,
        device: &Device,
    ) -> Self {
        let (trained, frozen) = if config.model.train_image_encoder {
            (Some(model.image_encoder), None)
        } else {
            (None, Some(model.image_encoder))
        };
        let fixed = FixedParts {
            image_encoder: frozen,
            setup,
            objective: Objective {
                loss: config.loss.clone(),
                unseen: classes.pseudo_labeled(),
                label_stride: config.label_stride,
            },
            config: config.clone(),
            all_classes: classes.all.clone(),
            validation,
            device: device.clone().without_autodiff(),
            replicas: Mutex::new(Vec::new()),
            failures: Arc::default(),
        };
        Self {
            image_encoder: trained,
            prompts: model.prompts,
            relation_descriptor: model.relation_descriptor,
            decoder: model.decoder,
            fixed: Fixed(Arc::new(fixed)),
            segmenter: SegmenterCell::default(),
        }
    }

    /// The complete model, with trained and frozen parts.
    pub fn model(&self) -> ZegClip {
        let encoder = self.image_encoder.as_ref().or(self.fixed.0.image_encoder.as_ref());
        ZegClip {
            // Exactly one of them is present.
            image_encoder: encoder.cloned().unwrap_or_else(|| {
                let config = &self.fixed.0.setup.config;
                ImageEncoder::new(&config.vision, config.embed_dim, &self.fixed.0.device)
            }),
            prompts: self.prompts.clone(),
            relation_descriptor: self.relation_descriptor.clone(),
            decoder: self.decoder.clone(),
        }
    }

    /// The first device.
    pub(crate) fn device(&self) -> &Device {
        &self.fixed.0.device
    }

    pub(crate) fn setup(&self) -> &ModelSetup {
        &self.fixed.0.setup
    }

    /// Adds a device that computes an equal part of every batch.
    pub(crate) fn add_device(&self, device: &Device) -> Result<(), TrainError> {
        let replica = Replica::new(&self.model(), &self.fixed.0.setup.text_features, device)?;
        self.replicas().push(replica);
        Ok(())
    }

    /// Writes a self-contained model file, which inference loads.
    ///
    /// # Errors
    /// [`TrainError::Weights`] if it cannot be written.
    pub fn write_model(&self, path: &std::path::Path) -> Result<(), TrainError> {
        let model = freeze::for_inference(&self.model());
        self.fixed.0.setup.write(&model, &self.fixed.0.all_classes, path)
    }

    fn replicas(&self) -> std::sync::MutexGuard<'_, Vec<Replica>> {
        self.fixed.0.replicas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn losses_and_gradients(&self, batch: &Batch) -> Result<(Losses, GradientsParams), TrainError> {
        let fixed = &self.fixed.0;
        let model = self.model();
        let replicas = self.replicas();
        let first = DeviceShard {
            device: &fixed.device,
            model: &model,
            text_features: &fixed.setup.text_features,
        };
        let further = replicas.iter().map(|replica| DeviceShard {
            device: &replica.device,
            model: &replica.model,
            text_features: &replica.text_features,
        });
        let shards: Vec<DeviceShard<'_>> = std::iter::once(first).chain(further).collect();
        let key = RngKey {
            seed: fixed.config.seed,
            iteration: batch.iteration,
        };
        let sums = compute(&shards, batch, fixed.config.accumulation, key, &fixed.objective)?;
        Ok(sums.finish(&model))
    }

    /// The gradients of an update, clipped by their common norm if the configuration says so.
    fn clipped(&self, gradients: GradientsParams) -> Result<GradientsParams, TrainError> {
        clip_gradients(self, gradients, self.fixed.0.config.optimizer.clip_norm)
    }

    fn score(&self, item: &LabeledImage) -> Result<Confusion, TrainError> {
        let validation = &self.fixed.0.validation;
        let prediction = self
            .segmenter()?
            .segment_with(&item.image, &validation.vocabulary, &validation.decoding)?;
        let mut counts = Confusion::new(&validation.vocabulary);
        counts.add(&item.labels, prediction.labels())?;
        Ok(counts)
    }

    fn segmenter(&self) -> Result<&Segmenter, TrainError> {
        if let Some(segmenter) = self.segmenter.0.get() {
            return Ok(segmenter);
        }
        let fixed = &self.fixed.0;
        let vocabulary = &fixed.validation.vocabulary;
        let features = fixed.setup.text_features_of(vocabulary)?;
        let device = device::describe(&fixed.device);
        let model = freeze::for_inference(&self.model());
        let segmenter = Segmenter::from_model(ModelInMemory {
            model,
            config: fixed.setup.config.clone(),
            device,
            classes: vocabulary,
            text_features: features,
        })?;
        Ok(self.segmenter.0.get_or_init(|| segmenter))
    }
}

impl TrainStep for SegmentationTask {
    type Input = Batch;
    type Output = Iteration;

    fn step(&self, batch: Batch) -> TrainOutput<Iteration> {
        let (losses, grads) = self.losses_and_gradients(&batch).unwrap_or_else(|error| {
            self.fixed.0.failures.report(error);
            let none = Losses {
                mask: f64::NAN,
                dice: None,
            };
            (none, GradientsParams::new())
        });
        let mut item = Iteration {
            images: batch.ids.len(),
            samples: batch.ids,
            ..Iteration::default()
        };
        item.losses.push(("loss_mask", losses.mask));
        item.losses.extend(losses.dice.map(|dice| ("loss_dice", dice)));
        TrainOutput { grads, item }
    }

    fn optimize(self, optimizer: &mut ModuleOptimizer, rate: ModuleLearningRate, gradients: GradientsParams) -> Self {
        let gradients = match self.clipped(gradients) {
            Ok(gradients) => gradients,
            Err(error) => {
                self.fixed.0.failures.report(error);
                return self;
            }
        };
        let updated = on_worker(|| optimizer.step(rate, self, gradients));
        let model = updated.model();
        let refreshed = updated
            .replicas()
            .iter_mut()
            .try_for_each(|replica| replica.update(&model));
        if let Err(error) = refreshed {
            updated.fixed.0.failures.report(error);
        }
        updated
    }
}

impl InferenceStep for SegmentationTask {
    type Input = LabeledImage;
    type Output = Scored<ImageScores>;

    fn step(&self, item: LabeledImage) -> Scored<ImageScores> {
        let counts = self.score(&item).unwrap_or_else(|error| {
            self.fixed.0.failures.report(error);
            Confusion::new(&self.fixed.0.validation.vocabulary)
        });
        Scored(ImageScores(Arc::new(counts)))
    }
}

impl Task for SegmentationTask {
    fn failures(&self) -> &Arc<FailureSlot> {
        &self.fixed.0.failures
    }

    fn report(&self, run: &RunDirectory) -> Result<(), TrainError> {
        let fixed = &self.fixed.0;
        let examples = self
            .segmenter()
            .and_then(|segmenter| fixed.validation.examples(segmenter))
            .unwrap_or_else(|error| {
                tracing::warn!("the report has no masks: {error}");
                Vec::new()
            });
        write_report(run, &fixed.config, &examples)
    }
}
