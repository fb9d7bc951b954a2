//! Forward and backward pass of a micro-batch.

use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};
use zegclip_model::ZegClip;
use zegclip_model::loss::{LossConfig, MaskTargets};

use crate::TrainError;
use crate::gradients::scale_gradients;
use crate::pseudo_labels::pseudo_label;

/// The training objective.
#[derive(Debug, Clone, Default)]
pub struct Objective {
    /// The loss.
    pub loss: LossConfig,
    /// Indices of the unseen classes whose pixels get pseudo-labels; empty unless training is transductive.
    pub unseen: Vec<u16>,
    /// Step between the rows and columns of labels that the loss uses, see
    /// [`TrainConfig::label_stride`](crate::TrainConfig::label_stride); 0 is 1.
    pub label_stride: usize,
}

/// Sums over micro-batches; the losses of the batch are these sums over the normalizer.
#[derive(Debug, Default)]
pub struct Sums {
    /// Weighted focal loss, or the only loss.
    pub mask: f64,
    /// Weighted dice loss of NEL.
    pub dice: Option<f64>,
    /// M, or the number of labeled pixels for cross-entropy.
    pub normalizer: usize,
    /// Gradients of the sum of both.
    pub gradients: GradientsParams,
}

/// Losses of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Losses {
    /// Weighted focal loss, or the only loss.
    pub mask: f64,
    /// Weighted dice loss of NEL.
    pub dice: Option<f64>,
}

impl Losses {
    /// The sum, which is minimized.
    pub fn total(&self) -> f64 {
        self.mask + self.dice.unwrap_or_default()
    }
}

/// Forward pass, pseudo-labels, loss and backward pass of a micro-batch.
///
/// # Shapes
/// - `text_features`: `[classes, embed_dim]`, without autodiff
/// - `images`: `[batch, 3, rows, columns]`, normalized, without autodiff
/// - `labels`: `[batch · rows · columns]`, encoded as by [`zegclip_data::TrainingLabels::as_raw`]
///
/// # Errors
/// [`TrainError::Device`] if the device fails.
pub fn forward_backward(
    model: &ZegClip,
    text_features: &Tensor<2>,
    images: Tensor<4>,
    labels: &[u16],
    objective: &Objective,
) -> Result<Sums, TrainError> {
    let [_, _, rows, columns] = images.dims();
    let masks = model.forward(images, text_features.clone());
    backward(model, masks, labels, [rows, columns], objective)
}

/// Pseudo-labels, loss and backward pass; without random numbers.
///
/// # Shapes
/// - `masks`: `[batch, classes, height, width]`, before σ
/// - `labels`: `[batch · size[0] · size[1]]`
pub(crate) fn backward(
    model: &ZegClip,
    masks: Tensor<4>,
    labels: &[u16],
    size: [usize; 2],
    objective: &Objective,
) -> Result<Sums, TrainError> {
    let [batch, classes, ..] = masks.dims();
    let (mut labels, size) = strided(labels, size, objective.label_stride);
    pseudo_label(&mut labels, masks.clone(), &objective.unseen, size)?;
    let targets = MaskTargets::from_labels(&labels, [batch, size[0], size[1]], classes, &masks.device());
    let terms = objective.loss.forward(masks, &targets);
    let gradients = GradientsParams::from_grads(terms.total().backward(), model);
    Ok(Sums {
        mask: scalar(terms.mask)?,
        dice: terms.dice.map(scalar).transpose()?,
        normalizer: terms.normalizer,
        gradients,
    })
}

impl Sums {
    /// Adds the sums of another micro-batch of the same `module`.
    pub fn add<M: Module>(&mut self, module: &M, other: Self) {
        self.mask += other.mask;
        self.dice = match (self.dice, other.dice) {
            (None, None) => None,
            (first, second) => Some(first.unwrap_or_default() + second.unwrap_or_default()),
        };
        self.normalizer += other.normalizer;
        let mut accumulator = GradientsAccumulator::new();
        accumulator.accumulate(module, std::mem::take(&mut self.gradients));
        accumulator.accumulate(module, other.gradients);
        self.gradients = accumulator.grads();
    }

    /// Moves the gradients to another device.
    pub(crate) fn moved_to<M: Module>(self, device: &Device, module: &M) -> Self {
        Self {
            gradients: self.gradients.to_device(device, module),
            ..self
        }
    }

    /// Losses and gradients of the batch.
    pub fn finish<M: Module>(self, module: &M) -> (Losses, GradientsParams) {
        let normalizer = self.normalizer.max(1) as f64;
        let losses = Losses {
            mask: self.mask / normalizer,
            dice: self.dice.map(|dice| dice / normalizer),
        };
        (losses, scale_gradients(module, self.gradients, 1.0 / normalizer))
    }
}

/// The middle one of every `stride` rows and columns of labels `[batch, size[0], size[1]]`, and the new size.
fn strided(labels: &[u16], [rows, columns]: [usize; 2], stride: usize) -> (Vec<u16>, [usize; 2]) {
    if stride <= 1 || rows < stride || columns < stride {
        return (labels.to_vec(), [rows, columns]);
    }
    let size = [rows / stride, columns / stride];
    let kept = labels.chunks_exact(rows * columns).flat_map(|image| {
        let rows = image
            .chunks_exact(columns)
            .skip(stride / 2)
            .step_by(stride)
            .take(size[0]);
        rows.flat_map(|row| row.iter().skip(stride / 2).step_by(stride).take(size[1]).copied())
    });
    (kept.collect(), size)
}

fn scalar(value: Tensor<1>) -> Result<f64, TrainError> {
    let data = value.inner().try_into_data().map_err(TrainError::device)?;
    Ok(data.iter::<f64>().next().unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strided_labels_are_the_middle_ones() {
        let labels: Vec<u16> = (0..2 * 4 * 6).collect();
        assert_eq!(strided(&labels, [4, 6], 1), (labels.clone(), [4, 6]));
        let (kept, size) = strided(&labels, [4, 6], 2);
        assert_eq!(size, [2, 3]);
        assert_eq!(kept, [7, 9, 11, 19, 21, 23, 31, 33, 35, 43, 45, 47]);
        let (kept, size) = strided(&labels, [4, 6], 4);
        assert_eq!((kept, size), (vec![14, 38], [1, 1]));
    }
}
