//! The losses composed from burn's operators: what runs on the reference device, and on GPUs for masks without values. A few
//! classes at a time, so that memory does not grow with their number.

use burn::backend::tensor::{Device, FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata, get_or_init_device_settings};
use burn::tensor::{FloatDType, Shape, TensorData};

use super::{LabelMaps, MaskLossResult};
use crate::bilinear::bilinear_matrix;

/// Elements of the upsampled masks that are held at once, about.
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
    let chunk = Chunk::<B> {
        labels: B::int_from_data(TensorData::new(indices, [batch, 1, rows, columns]), &device),
        size: [batch, rows, columns],
        down: bilinear_matrix::<B>(height, rows, &device),
        right: bilinear_matrix::<B>(width, columns, &device),
        alpha,
        gradients,
    };
    let step = (ELEMENTS / (batch * rows * columns).max(1)).clamp(1, classes.max(1));
    let mut losses: Option<FloatTensor<B>> = None;
    let (mut focal, mut dice) = (Vec::new(), Vec::new());
    for first in (0..classes).step_by(step) {
        let last = classes.min(first + step);
        let slices = [(0..batch).into(), (first..last).into()];
        let result = chunk.loss_result(B::float_slice(masks.clone(), &slices), first);
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

struct Chunk<B: Backend> {
    labels: IntTensor<B>,
    size: [usize; 3],
    down: FloatTensor<B>,
    right: FloatTensor<B>,
    alpha: f64,
    gradients: bool,
}

impl<B: Backend> Chunk<B> {
    /// Of some classes, the first of which has the label `first`.
    fn loss_result(&self, masks: FloatTensor<B>, first: usize) -> MaskLossResult<B> {
        let [batch, rows, columns] = self.size;
        let classes = masks.shape()[1];
        let pixels = (rows * columns).max(1) as f64;
        let own = self.own_pixels(first, classes, &masks.device());
        let right = B::float_swap_dims(self.right.clone(), 2, 3);
        let logits = B::float_matmul(B::float_matmul(self.down.clone(), masks), right);
        let sign = plus::<B>(B::float_mul_scalar(own.clone(), (-2.0).into()), 1.0);
        let against = B::float_mul(logits, sign.clone());
        let surprise = B::float_neg(B::log_sigmoid(B::float_neg(against.clone())));
        let doubt = B::sigmoid(against);
        let weight = plus::<B>(
            B::float_mul_scalar(own.clone(), (2.0 * self.alpha - 1.0).into()),
            1.0 - self.alpha,
        );
        let squared = B::float_mul(weight, B::float_mul(doubt.clone(), doubt.clone()));
        let focal = B::float_sum(over_pixels::<B>(B::float_mul(squared.clone(), surprise.clone())));
        let focal = B::float_mul_scalar(focal, (1.0 / pixels).into());
        // Dice: 1 − numerator / denominator where the class is present.
        let probability = B::float_add(own.clone(), B::float_mul(sign.clone(), doubt.clone()));
        let count = over_pixels::<B>(own.clone());
        let common = over_pixels::<B>(B::float_mul(probability.clone(), own.clone()));
        let numerator = plus::<B>(B::float_mul_scalar(common, 2.0.into()), 1.0);
        let denominator = plus::<B>(B::float_add(over_pixels::<B>(probability), count.clone()), 1.0);
        let present = B::float_clamp_max(count, 1.0.into());
        let ratio = B::float_div(numerator.clone(), denominator.clone());
        let dice = B::float_sum(B::float_mul(plus::<B>(B::float_neg(ratio), 1.0), present.clone()));
        let losses = [focal, dice].map(|loss| B::float_reshape(loss, Shape::new([1])));
        let losses = B::float_cat(losses.into(), 0);
        let gradients = self.gradients.then(|| {
            let trust = plus::<B>(B::float_neg(doubt.clone()), 1.0);
            let steep = B::float_add(
                B::float_mul(B::float_mul_scalar(trust.clone(), 2.0.into()), surprise),
                doubt.clone(),
            );
            let focal = B::float_mul(B::float_mul(sign, squared), steep);
            let focal = B::float_mul_scalar(self.down_sampled(focal), (1.0 / pixels).into());
            let slope = B::float_mul(doubt, trust);
            let of_own = B::float_div(B::float_mul_scalar(present.clone(), (-2.0).into()), denominator.clone());
            let of_all = B::float_div(
                B::float_mul(numerator, present),
                B::float_mul(denominator.clone(), denominator),
            );
            let per_class = |values| B::float_reshape(values, Shape::new([batch, classes, 1, 1]));
            let slope_own = B::float_mul(per_class(of_own), self.down_sampled(B::float_mul(slope.clone(), own)));
            let slope_all = B::float_mul(per_class(of_all), self.down_sampled(slope));
            [focal, B::float_add(slope_own, slope_all)]
        });
        MaskLossResult { losses, gradients }
    }

    /// One where the pixel has the class, else zero: `[batch, classes, rows, columns]`.
    fn own_pixels(&self, first: usize, classes: usize, device: &Device<B>) -> FloatTensor<B> {
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
    fn down_sampled(&self, values: FloatTensor<B>) -> FloatTensor<B> {
        let down = B::float_swap_dims(self.down.clone(), 2, 3);
        B::float_matmul(B::float_matmul(down, values), self.right.clone())
    }
}

fn plus<B: Backend>(values: FloatTensor<B>, scalar: f64) -> FloatTensor<B> {
    B::float_add_scalar(values, scalar.into())
}

/// Sum over the pixels of each class: `[batch, classes]`. Each row by itself: a running f32 sum of all pixels loses digits.
fn over_pixels<B: Backend>(values: FloatTensor<B>) -> FloatTensor<B> {
    let [batch, classes, ..] = values.shape().dims::<4>();
    let of_rows = B::float_sum_dim(values, 3);
    B::float_reshape(B::float_sum_dim(of_rows, 2), Shape::new([batch, classes]))
}
