//! The losses composed from burn's operators, for the reference device and for empty masks on GPUs. A few classes at a time, so
//! that memory does not grow with their number.

use burn::backend::tensor::{Device, FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata, get_or_init_device_settings};
use burn::tensor::{FloatDType, Shape, TensorData};

use super::{LabelMaps, MaskLossResult};
use crate::bilinear::bilinear_matrix;

/// About how many elements of the upsampled masks are in memory at once.
const ELEMENTS: usize = 1 << 25;

pub(super) fn loss_result<B: Backend>(
    masks: FloatTensor<B>,
    labels: &LabelMaps,
    alpha: f64,
    gradients: bool,
) -> MaskLossResult<B> {
    let device = masks.device();
    let [batch, classes, height, width] = masks.shape().dims::<4>();
    let [_, rows, columns] = labels.shape();
    let indices = labels
        .labels()
        .iter()
        .map(|label| i32::from(*label))
        .collect::<Vec<_>>();
    let upsampled = Upsampled::<B> {
        labels: B::int_from_data(TensorData::new(indices, [batch, 1, rows, columns]), &device),
        size: [batch, rows, columns],
        row_weights: bilinear_matrix::<B>(height, rows, &device),
        column_weights: bilinear_matrix::<B>(width, columns, &device),
        alpha,
        gradients,
    };
    let step = (ELEMENTS / (batch * rows * columns).max(1)).clamp(1, classes.max(1));
    let mut losses: Option<FloatTensor<B>> = None;
    let (mut focal, mut dice) = (Vec::new(), Vec::new());
    for first in (0..classes).step_by(step) {
        let last = classes.min(first + step);
        let slices = [(0..batch).into(), (first..last).into()];
        let result = upsampled.loss_result(B::float_slice(masks.clone(), &slices), first);
        losses = Some(match losses {
            Some(losses) => B::float_add(losses, result.losses),
            None => result.losses,
        });
        if let Some([focal_part, dice_part]) = result.gradients {
            focal.push(focal_part);
            dice.push(dice_part);
        }
    }
    MaskLossResult {
        losses: losses.unwrap_or_else(|| B::float_zeros(Shape::new([2]), &device, FloatDType::F32)),
        gradients: gradients.then(|| match focal.is_empty() {
            true => [masks.clone(), masks],
            false => [B::float_cat(focal, 1), B::float_cat(dice, 1)],
        }),
    }
}

/// What all chunks of classes share.
struct Upsampled<B: Backend> {
    /// `[batch, 1, rows, columns]`
    labels: IntTensor<B>,
    /// `[batch, rows, columns]`
    size: [usize; 3],
    /// `[1, 1, rows, height]`
    row_weights: FloatTensor<B>,
    /// `[1, 1, columns, width]`
    column_weights: FloatTensor<B>,
    alpha: f64,
    gradients: bool,
}

impl<B: Backend> Upsampled<B> {
    /// Losses of consecutive classes, the first of which has the label `first`.
    fn loss_result(&self, masks: FloatTensor<B>, first: usize) -> MaskLossResult<B> {
        let [batch, rows, columns] = self.size;
        let classes = masks.shape()[1];
        let pixels = (rows * columns).max(1) as f64;
        let target = self.target(first, classes, &masks.device());
        let right = B::float_swap_dims(self.column_weights.clone(), 2, 3);
        let logits = B::float_matmul(B::float_matmul(self.row_weights.clone(), masks), right);
        let sign = add_scalar::<B>(B::float_mul_scalar(target.clone(), (-2.0).into()), 1.0);
        let signed_logit = B::float_mul(logits, sign.clone());
        let nll = B::float_neg(B::log_sigmoid(B::float_neg(signed_logit.clone())));
        let one_minus_pt = B::sigmoid(signed_logit);
        let weight = add_scalar::<B>(
            B::float_mul_scalar(target.clone(), (2.0 * self.alpha - 1.0).into()),
            1.0 - self.alpha,
        );
        let squared = B::float_mul(weight, B::float_mul(one_minus_pt.clone(), one_minus_pt.clone()));
        let focal = B::float_sum(sum_pixels::<B>(B::float_mul(squared.clone(), nll.clone())));
        let focal = B::float_mul_scalar(focal, (1.0 / pixels).into());
        // Dice: 1 − numerator / denominator where the class is present.
        let probability = B::float_add(target.clone(), B::float_mul(sign.clone(), one_minus_pt.clone()));
        let count = sum_pixels::<B>(target.clone());
        let intersection = sum_pixels::<B>(B::float_mul(probability.clone(), target.clone()));
        let numerator = add_scalar::<B>(B::float_mul_scalar(intersection, 2.0.into()), 1.0);
        let denominator = add_scalar::<B>(B::float_add(sum_pixels::<B>(probability), count.clone()), 1.0);
        let present = B::float_clamp_max(count, 1.0.into());
        let ratio = B::float_div(numerator.clone(), denominator.clone());
        let dice = B::float_sum(B::float_mul(add_scalar::<B>(B::float_neg(ratio), 1.0), present.clone()));
        let losses = [focal, dice].map(|loss| B::float_reshape(loss, Shape::new([1])));
        let losses = B::float_cat(losses.into(), 0);
        let gradients = self.gradients.then(|| {
            let pt = add_scalar::<B>(B::float_neg(one_minus_pt.clone()), 1.0);
            let dfocal = B::float_add(
                B::float_mul(B::float_mul_scalar(pt.clone(), 2.0.into()), nll),
                one_minus_pt.clone(),
            );
            let focal = B::float_mul(B::float_mul(sign, squared), dfocal);
            let focal = B::float_mul_scalar(self.downsample(focal), (1.0 / pixels).into());
            let dsigmoid = B::float_mul(one_minus_pt, pt);
            let d_intersection = B::float_div(B::float_mul_scalar(present.clone(), (-2.0).into()), denominator.clone());
            let d_total = B::float_div(
                B::float_mul(numerator, present),
                B::float_mul(denominator.clone(), denominator),
            );
            let per_class = |values| B::float_reshape(values, Shape::new([batch, classes, 1, 1]));
            let dice_intersection = B::float_mul(
                per_class(d_intersection),
                self.downsample(B::float_mul(dsigmoid.clone(), target)),
            );
            let dice_total = B::float_mul(per_class(d_total), self.downsample(dsigmoid));
            [focal, B::float_add(dice_intersection, dice_total)]
        });
        MaskLossResult { losses, gradients }
    }

    /// One where the pixel has the class, else zero: `[batch, classes, rows, columns]`.
    fn target(&self, first: usize, classes: usize, device: &Device<B>) -> FloatTensor<B> {
        let [batch, rows, columns] = self.size;
        let shape = Shape::new([batch, classes, rows, columns]);
        let list: Vec<i32> = (first..first + classes).map(|class| class as i32).collect();
        let list = B::int_from_data(TensorData::new(list, [1, classes, 1, 1]), device);
        let labels = B::int_expand(self.labels.clone(), shape.clone());
        let dtype = get_or_init_device_settings::<B>(device).bool_dtype;
        let equal = B::int_equal(labels, B::int_expand(list, shape), dtype);
        B::bool_into_float(equal, FloatDType::F32)
    }

    /// The transpose of upsampling.
    fn downsample(&self, values: FloatTensor<B>) -> FloatTensor<B> {
        let down = B::float_swap_dims(self.row_weights.clone(), 2, 3);
        B::float_matmul(B::float_matmul(down, values), self.column_weights.clone())
    }
}

fn add_scalar<B: Backend>(values: FloatTensor<B>, scalar: f64) -> FloatTensor<B> {
    B::float_add_scalar(values, scalar.into())
}

/// Sum over the pixels of each class, `[batch, classes]`; rows first, since a running f32 sum of all pixels loses digits.
fn sum_pixels<B: Backend>(values: FloatTensor<B>) -> FloatTensor<B> {
    let [batch, classes, ..] = values.shape().dims::<4>();
    let of_rows = B::float_sum_dim(values, 3);
    B::float_reshape(B::float_sum_dim(of_rows, 2), Shape::new([batch, classes]))
}
