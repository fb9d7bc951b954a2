//! Focal and dice loss of masks that are upsampled to the size of their label maps.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{FloatDType, Shape, Tensor};

use crate::cpu::InstructionSet;
use crate::flex;

mod composed;
mod cpu;
#[cfg(feature = "cube")]
mod cube;

/// Label maps of a batch; labels from the number of classes on mean *no class*.
#[derive(Debug, Clone)]
pub struct LabelMaps {
    labels: Arc<[u16]>,
    shape: [usize; 3],
}

impl LabelMaps {
    /// Label maps of `shape` `[batch, rows, columns]`, in row-major order.
    ///
    /// # Panics
    /// If the number of labels differs from that of the shape.
    pub fn new(labels: impl Into<Arc<[u16]>>, shape: [usize; 3]) -> Self {
        let labels = labels.into();
        assert_eq!(labels.len(), shape.iter().product::<usize>(), "labels of {shape:?}");
        Self { labels, shape }
    }

    /// The labels, row by row.
    pub fn labels(&self) -> &[u16] {
        &self.labels
    }

    /// `[batch, rows, columns]`
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }
}

/// Focal loss with γ = 2 (its mean over pixels, summed over images and classes) and dice loss (summed over the images and
/// classes that are present) of masks before σ, upsampled bilinearly to the labels' size. Differentiable in the masks.
///
/// `alpha` is the weight of positives in the focal loss; negatives have `1 − alpha`. A pixel without a class is a negative of
/// every class.
///
/// # Shapes
/// - `masks`: `[batch, classes, height, width]`
/// - output: focal and dice loss `[2]`, in f32; on the CPU NaN if a mask is not finite
///
/// # Panics
/// If the numbers of label maps and images differ.
pub fn mask_losses(masks: Tensor<4>, labels: LabelMaps, alpha: f64) -> Tensor<1> {
    assert_eq!(masks.dims()[0], labels.shape[0], "a label map for each image");
    let masks = masks.cast(FloatDType::F32).into_dispatch();
    Tensor::from_dispatch(<Dispatch as MaskLossOperator>::losses(masks, labels, alpha))
}

/// [`mask_losses()`] by backend.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), NdArray: cfg(feature = "ndarray"), Autodiff)]
pub trait MaskLossOperator: Backend {
    /// [`mask_losses()`]
    fn losses(masks: FloatTensor<Self>, labels: LabelMaps, alpha: f64) -> FloatTensor<Self>;
}

/// Losses and their gradients.
#[derive(Debug)]
pub struct MaskLossResult<B: Backend> {
    /// Focal and dice loss: `[2]`.
    pub losses: FloatTensor<B>,
    /// Their gradients with respect to the masks, each shaped like them, if they were requested.
    pub gradients: Option<[FloatTensor<B>; 2]>,
}

/// The losses on a backend without autodiff. The default composes burn's operators, a few classes at a time.
pub trait MaskLossKernel: Backend {
    /// Losses, and gradients if `gradients`.
    fn loss_result(masks: FloatTensor<Self>, labels: &LabelMaps, alpha: f64, gradients: bool) -> MaskLossResult<Self> {
        composed::loss_result::<Self>(masks, labels, alpha, gradients)
    }
}

impl MaskLossKernel for Flex {
    fn loss_result(masks: FlexTensor, labels: &LabelMaps, alpha: f64, gradients: bool) -> MaskLossResult<Self> {
        let masks = flex::contiguous(masks);
        let shape = masks.shape().dims::<4>();
        let [_, rows, columns] = labels.shape;
        let input = cpu::MaskLossInput {
            masks: flex::floats(&masks),
            shape,
            labels: &labels.labels,
            size: [rows, columns],
            alpha: alpha as f32,
        };
        let result = cpu::mask_losses(InstructionSet::best(), input, gradients);
        MaskLossResult {
            losses: flex::tensor(result.sums.map(|sum| sum as f32).to_vec(), [2]),
            gradients: result
                .gradients
                .map(|gradients| gradients.map(|gradient| flex::tensor(gradient, shape))),
        }
    }
}

/// Without autodiff.
impl<B: MaskLossKernel> MaskLossOperator for B {
    fn losses(masks: FloatTensor<Self>, labels: LabelMaps, alpha: f64) -> FloatTensor<Self> {
        Self::loss_result(masks, &labels, alpha, false).losses
    }
}

impl<B: MaskLossKernel, C: CheckpointStrategy> MaskLossOperator for Autodiff<B, C> {
    fn losses(masks: FloatTensor<Self>, labels: LabelMaps, alpha: f64) -> FloatTensor<Self> {
        match MaskLossBackward.prepare::<C>([masks.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let result = B::loss_result(masks.into_primitive(), &labels, alpha, true);
                let Some(gradients) = result.gradients else {
                    unreachable!("gradients were requested");
                };
                prep.finish(gradients, result.losses)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::loss_result(masks.into_primitive(), &labels, alpha, false).losses)
            }
        }
    }
}

#[derive(Debug)]
struct MaskLossBackward;

impl<B: MaskLossKernel> Backward<B, 1> for MaskLossBackward {
    /// Gradients of both losses, known since the forward pass.
    type State = [FloatTensor<B>; 2];

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let [focal, dice] = ops.state;
        unary::<B, _>(ops.parents, ops.node, grads, |gradient| {
            let factor = |index: usize| {
                let slices = [(index..index + 1).into()];
                B::float_reshape(B::float_slice(gradient.clone(), &slices), Shape::new([1, 1, 1, 1]))
            };
            B::float_add(B::float_mul(focal, factor(0)), B::float_mul(dice, factor(1)))
        });
    }
}
