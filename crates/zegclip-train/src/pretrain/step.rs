//! One forward and backward pass over a batch of pairs, whole or in chunks.

use std::collections::HashMap;

use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use zegclip_model::clip::Clip;

use super::contrastive::contrastive_loss;
use super::naming::{BatchNames, patch_naming_loss};
use crate::{TrainError, freeze};

/// Pairs of an iteration.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipBatch {
    /// Normalised images, `[batch, 3, size, size]`.
    pub images: Vec<f32>,
    /// Side of the images in pixels.
    pub size: usize,
    /// Token ids of the captions, unpadded: `[batch]`.
    pub tokens: Vec<Vec<u32>>,
    /// Pairs that are no examples, see [`contrastive_loss`]: `[batch, batch]`.
    pub left_out: Vec<bool>,
    /// Names that the captions have; needed where patches have a share of the loss.
    pub names: BatchNames,
}

/// The parts of a loss, each with its share in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClipLosses {
    /// That of class tokens and captions, see [`contrastive_loss`].
    pub contrastive: f64,
    /// That of patches and names, see [`patch_naming_loss`]; `None` if it has no share.
    pub patches: Option<f64>,
}

impl ClipLosses {
    /// What is minimised.
    pub fn total(self) -> f64 {
        self.contrastive + self.patches.unwrap_or_default()
    }
}

/// Losses and gradients of a batch.
#[derive(Debug)]
pub struct ClipSums {
    /// The losses.
    pub losses: ClipLosses,
    /// Gradients of their sum.
    pub gradients: GradientsParams,
}

/// Features, loss and gradients of a model on the autodiff device.
///
/// `patches` is the share of [`patch_naming_loss`] in the loss, in `[0, 1]`; the rest is the contrastive loss. CLIP has 0.
///
/// With `chunk` below the batch, the features are first computed without a graph; the loss's gradients with respect to them
/// are cached, and go back through the encoders chunk by chunk (Gao et al. 2021). The result is the same up to rounding.
///
/// # Errors
/// [`TrainError::Device`] if the device fails.
pub fn clip_forward_backward(
    model: &Clip,
    batch: &ClipBatch,
    chunk: usize,
    patches: f64,
    device: &Device,
) -> Result<ClipSums, TrainError> {
    let count = batch.tokens.len();
    // Prompts of names go through the text encoder beside the captions.
    let names: &[Vec<u32>] = if patches > 0.0 { &batch.names.tokens } else { &[] };
    let (texts, place) = unique(batch.tokens.iter().chain(names));
    let place = Tensor::<1, Int>::from_data(TensorData::new(place, [count + names.len()]), device);
    let pixels = 3 * batch.size * batch.size;
    let images = |from: usize, to: usize| {
        let part = batch.images.get(from * pixels..to * pixels).unwrap_or_default();
        let data = TensorData::new(part.to_vec(), [to - from, 3, batch.size, batch.size]);
        Tensor::<4>::from_data(data, device)
    };
    let scale = model.logit_scale.val();
    if chunk >= count {
        let image_features = image_features(model, images(0, count), patches);
        let text_features = model.text_encoder.forward(&texts).select(0, place);
        let parts = loss(image_features, text_features, scale, batch, patches);
        let gradients = GradientsParams::from_grads(parts.sum().backward(), model);
        return Ok(ClipSums {
            losses: parts.read()?,
            gradients,
        });
    }
    let plain = freeze::plain(model);
    let chunks = |length: usize| {
        let chunk = chunk.max(1);
        (0..length)
            .step_by(chunk)
            .map(move |from| (from, (from + chunk).min(length)))
    };
    let chunked_images = chunks(count)
        .map(|(from, to)| image_features(&plain, images(from, to), patches))
        .collect();
    let text_features = chunks(texts.len())
        .map(|(from, to)| plain.text_encoder.forward(texts.get(from..to).unwrap_or_default()))
        .collect();
    let leaf = |features: Vec<Tensor<2>>| freeze::tracked(Tensor::cat(features, 0), None);
    let (image_leaf, text_leaf) = (leaf(chunked_images), leaf(text_features));
    let texts_of_batch = text_leaf.clone().select(0, place);
    let parts = loss(image_leaf.clone(), texts_of_batch, scale, batch, patches);
    let mut cached = parts.sum().backward();
    let mut gradients = GradientsAccumulator::new();
    let missing = || TrainError::device("features got no gradient");
    let image_gradient = image_leaf.grad(&cached).ok_or_else(missing)?;
    let text_gradient = text_leaf.grad(&cached).ok_or_else(missing)?;
    // Of the parameters, only the temperature is part of this graph.
    gradients.accumulate(model, GradientsParams::from_module(&mut cached, model));
    for (from, to) in chunks(count) {
        let features = image_features(model, images(from, to), patches);
        let part = back(model, features, image_gradient.clone().narrow(0, from, to - from));
        gradients.accumulate(model, part);
    }
    for (from, to) in chunks(texts.len()) {
        let features = model.text_encoder.forward(texts.get(from..to).unwrap_or_default());
        let part = back(model, features, text_gradient.clone().narrow(0, from, to - from));
        gradients.accumulate(model, part);
    }
    Ok(ClipSums {
        losses: parts.read()?,
        gradients: gradients.grads(),
    })
}

/// The feature of the class token, and after it those of the patches if the loss has a share of them:
/// `[batch, embed_dim]` or `[batch, (1 + patches) · embed_dim]`.
fn image_features(model: &Clip, images: Tensor<4>, patches: f64) -> Tensor<2> {
    if patches > 0.0 {
        model.image_encoder.forward_tokens(images).flatten(1, 2)
    } else {
        model.image_encoder.forward(images)
    }
}

/// Losses as tensors, each with its share: `[1]`.
struct Parts {
    contrastive: Tensor<1>,
    patches: Option<Tensor<1>>,
}

impl Parts {
    fn sum(&self) -> Tensor<1> {
        match self.patches.clone() {
            Some(patches) => self.contrastive.clone() + patches,
            None => self.contrastive.clone(),
        }
    }

    fn read(self) -> Result<ClipLosses, TrainError> {
        Ok(ClipLosses {
            contrastive: scalar(self.contrastive)?,
            patches: self.patches.map(scalar).transpose()?,
        })
    }
}

/// The loss of what [`image_features`] gave, and of the captions' features and after them the names'.
fn loss(images: Tensor<2>, texts: Tensor<2>, log_scale: Tensor<1>, batch: &ClipBatch, patches: f64) -> Parts {
    if patches <= 0.0 {
        return Parts {
            contrastive: contrastive_loss(images, texts, log_scale, &batch.left_out),
            patches: None,
        };
    }
    let (count, width) = (batch.tokens.len(), texts.dims()[1]);
    let tokens = images.dims()[1] / width;
    let images = images.reshape([count, tokens, width]);
    let class = images.clone().narrow(1, 0, 1).squeeze_dim::<2>(1);
    let captions = texts.clone().narrow(0, 0, count);
    let contrastive = contrastive_loss(class, captions, log_scale.clone(), &batch.left_out);
    let naming = (!batch.names.tokens.is_empty()).then(|| {
        let names = texts.narrow(0, count, batch.names.tokens.len());
        patch_naming_loss(images.narrow(1, 1, tokens - 1), names, log_scale, &batch.names.present)
    });
    Parts {
        contrastive: contrastive * (1.0 - patches),
        patches: naming.map(|naming| naming * patches),
    }
}

/// Gradients of the parameters from that of the features.
fn back(model: &Clip, features: Tensor<2>, gradient: Tensor<2>) -> GradientsParams {
    // The derivative of this sum with respect to the features is `gradient`.
    GradientsParams::from_grads((features * gradient).sum().backward(), model)
}

/// Each sequence once, and which of them each text is. Captions of a small world repeat.
fn unique<'a>(tokens: impl Iterator<Item = &'a Vec<u32>>) -> (Vec<Vec<u32>>, Vec<i64>) {
    let mut known: HashMap<&[u32], i64> = HashMap::new();
    let mut texts = Vec::new();
    let place = tokens.map(|sequence| {
        *known.entry(sequence).or_insert_with(|| {
            texts.push(sequence.clone());
            texts.len() as i64 - 1
        })
    });
    let place = place.collect();
    (texts, place)
}

fn scalar(value: Tensor<1>) -> Result<f64, TrainError> {
    let data = value.inner().try_into_data().map_err(TrainError::device)?;
    Ok(data.iter::<f64>().next().unwrap_or(f64::NAN))
}
