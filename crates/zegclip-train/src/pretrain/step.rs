//! Forward and backward pass of a batch of pairs, at once or in chunks.

use std::collections::HashMap;

use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use zegclip_model::clip::Clip;

use super::contrastive::contrastive_loss;
use super::patch_text_loss::{BatchNames, patch_text_loss};
use crate::{TrainError, freeze};

/// Pairs of an iteration.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipBatch {
    /// Normalized images: `[batch · 3 · size · size]`.
    pub images: Vec<f32>,
    /// Side of the images in pixels.
    pub size: usize,
    /// Token ids of the captions, unpadded: `[batch]`.
    pub tokens: Vec<Vec<u32>>,
    /// Pairs to exclude, see [`contrastive_loss`]: `[batch · batch]`.
    pub false_negative_mask: Vec<bool>,
    /// Class names in the captions, for the patch-text loss.
    pub names: BatchNames,
}

/// The weighted terms of the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClipLosses {
    /// The contrastive loss of class tokens and captions, see [`contrastive_loss`].
    pub contrastive: f64,
    /// The loss of patches and class names, see [`patch_text_loss`]; `None` if its weight is 0.
    pub patches: Option<f64>,
}

impl ClipLosses {
    /// The sum, which is minimized.
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

/// Weights of the loss, and the size of the chunks in which it is computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClipObjective {
    /// Weight of [`patch_text_loss`], in `[0, 1]`; the contrastive loss has the rest. CLIP has 0.
    pub patch_weight: f64,
    /// Pairs per pass through the encoders, at least 1; from the batch size on, the batch is computed at once.
    pub chunk: usize,
}

/// Forward and backward pass of a model on the autodiff device.
///
/// With chunks smaller than the batch, features are first computed without a graph; the gradients of the loss with respect to
/// them are cached and propagated through the encoders chunk by chunk (Gao et al. 2021). The result is the same up to
/// rounding.
///
/// # Errors
/// [`TrainError::Device`] if the device fails.
pub fn clip_forward_backward(
    model: &Clip,
    batch: &ClipBatch,
    objective: ClipObjective,
    device: &Device,
) -> Result<ClipSums, TrainError> {
    let ClipObjective { patch_weight, chunk } = objective;
    let count = batch.tokens.len();
    // Prompts of names are encoded together with the captions.
    let names: &[Vec<u32>] = if patch_weight > 0.0 { &batch.names.tokens } else { &[] };
    let (texts, indices) = unique(batch.tokens.iter().chain(names));
    let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [count + names.len()]), device);
    let pixels = 3 * batch.size * batch.size;
    let images = |from: usize, to: usize| {
        let part = batch.images.get(from * pixels..to * pixels).unwrap_or_default();
        let data = TensorData::new(part.to_vec(), [to - from, 3, batch.size, batch.size]);
        Tensor::<4>::from_data(data, device)
    };
    let scale = model.logit_scale.val();
    if chunk >= count {
        let image_features = image_features(model, images(0, count), patch_weight);
        let text_features = model.text_encoder.forward(&texts).select(0, indices);
        let parts = loss(image_features, text_features, scale, batch, patch_weight);
        let gradients = GradientsParams::from_grads(parts.sum().backward(), model);
        return Ok(ClipSums {
            losses: parts.read()?,
            gradients,
        });
    }
    let frozen = freeze::for_inference(model);
    let chunks = |length: usize| {
        let chunk = chunk.max(1);
        (0..length)
            .step_by(chunk)
            .map(move |from| (from, (from + chunk).min(length)))
    };
    let chunked_images = chunks(count)
        .map(|(from, to)| image_features(&frozen, images(from, to), patch_weight))
        .collect();
    let text_features = chunks(texts.len())
        .map(|(from, to)| frozen.text_encoder.forward(texts.get(from..to).unwrap_or_default()))
        .collect();
    let leaf = |features: Vec<Tensor<2>>| freeze::tracked(Tensor::cat(features, 0), None);
    let (image_leaf, text_leaf) = (leaf(chunked_images), leaf(text_features));
    let texts_of_batch = text_leaf.clone().select(0, indices);
    let parts = loss(image_leaf.clone(), texts_of_batch, scale, batch, patch_weight);
    let mut cached = parts.sum().backward();
    let mut gradients = GradientsAccumulator::new();
    let missing = || TrainError::Loop("features have no gradient".to_owned());
    let image_gradient = image_leaf.grad(&cached).ok_or_else(missing)?;
    let text_gradient = text_leaf.grad(&cached).ok_or_else(missing)?;
    // The temperature is the only parameter of this graph.
    gradients.accumulate(model, GradientsParams::from_module(&mut cached, model));
    for (from, to) in chunks(count) {
        let features = image_features(model, images(from, to), patch_weight);
        let part = backward_from(model, features, image_gradient.clone().narrow(0, from, to - from));
        gradients.accumulate(model, part);
    }
    for (from, to) in chunks(texts.len()) {
        let features = model.text_encoder.forward(texts.get(from..to).unwrap_or_default());
        let part = backward_from(model, features, text_gradient.clone().narrow(0, from, to - from));
        gradients.accumulate(model, part);
    }
    Ok(ClipSums {
        losses: parts.read()?,
        gradients: gradients.grads(),
    })
}

/// The features of the class token, followed by those of the patches if the loss needs them: `[batch, embed_dim]` or
/// `[batch, (1 + patches) · embed_dim]`.
fn image_features(model: &Clip, images: Tensor<4>, patch_weight: f64) -> Tensor<2> {
    if patch_weight > 0.0 {
        model.image_encoder.forward_tokens(images).flatten(1, 2)
    } else {
        model.image_encoder.forward(images)
    }
}

/// The weighted terms of the loss as tensors: `[1]`.
struct Terms {
    contrastive: Tensor<1>,
    patches: Option<Tensor<1>>,
}

impl Terms {
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

/// The loss of [`image_features`] and of the text features: those of the captions, then those of the names.
fn loss(images: Tensor<2>, texts: Tensor<2>, log_scale: Tensor<1>, batch: &ClipBatch, patch_weight: f64) -> Terms {
    if patch_weight <= 0.0 {
        return Terms {
            contrastive: contrastive_loss(images, texts, log_scale, &batch.false_negative_mask),
            patches: None,
        };
    }
    let (count, width) = (batch.tokens.len(), texts.dims()[1]);
    let tokens = images.dims()[1] / width;
    let images = images.reshape([count, tokens, width]);
    let class = images.clone().narrow(1, 0, 1).squeeze_dim::<2>(1);
    let captions = texts.clone().narrow(0, 0, count);
    let contrastive = contrastive_loss(class, captions, log_scale.clone(), &batch.false_negative_mask);
    let patches = (!batch.names.tokens.is_empty()).then(|| {
        let names = texts.narrow(0, count, batch.names.tokens.len());
        patch_text_loss(images.narrow(1, 1, tokens - 1), names, log_scale, &batch.names.present)
    });
    Terms {
        contrastive: contrastive * (1.0 - patch_weight),
        patches: patches.map(|patches| patches * patch_weight),
    }
}

/// Gradients of the parameters from the gradient of the features.
fn backward_from(model: &Clip, features: Tensor<2>, gradient: Tensor<2>) -> GradientsParams {
    // The derivative of this sum with respect to the features is `gradient`.
    GradientsParams::from_grads((features * gradient).sum().backward(), model)
}

/// The distinct sequences, and the index of each text among them: captions repeat.
fn unique<'a>(tokens: impl Iterator<Item = &'a Vec<u32>>) -> (Vec<Vec<u32>>, Vec<i64>) {
    let mut known: HashMap<&[u32], i64> = HashMap::new();
    let mut texts = Vec::new();
    let indices = tokens.map(|sequence| {
        *known.entry(sequence).or_insert_with(|| {
            texts.push(sequence.clone());
            texts.len() as i64 - 1
        })
    });
    let indices = indices.collect();
    (texts, indices)
}

fn scalar(value: Tensor<1>) -> Result<f64, TrainError> {
    let data = value.inner().try_into_data().map_err(TrainError::device)?;
    Ok(data.iter::<f64>().next().unwrap_or(f64::NAN))
}
