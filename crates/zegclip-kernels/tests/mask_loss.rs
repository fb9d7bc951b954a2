//! Losses of masks signed_logit their composition.

mod common;

use burn::tensor::activation::{log_sigmoid, sigmoid};
use burn::tensor::{Device, Int, Tensor, TensorData};
use common::{assert_close, assert_same_on_threads, random, values};
use zegclip_kernels::{LabelMaps, bilinear_weights, mask_losses};

const ALPHA: f64 = 0.25;
/// Batch, classes, height and width of the masks, rows and columns of the images.
const SIZES: [[usize; 6]; 6] = [
    [1, 1, 1, 1, 1, 1],
    [2, 3, 4, 4, 64, 64],
    [1, 5, 3, 7, 17, 45],
    [3, 2, 8, 5, 8, 5],
    [1, 2, 9, 8, 4, 5],
    [2, 20, 4, 6, 33, 50],
];

/// Labels in blocks, some of no class, so that some classes are absent.
fn labels([batch, classes, _, _, rows, columns]: [usize; 6]) -> LabelMaps {
    let label = |pixel: usize| {
        let (image, row, column) = (pixel / (rows * columns), pixel / columns % rows, pixel % columns);
        let label = (image + 2 * (row / 3) + column / 4) % (classes + 1);
        if label == 1 { u16::MAX } else { label as u16 }
    };
    let labels: Vec<u16> = (0..batch * rows * columns).map(label).collect();
    LabelMaps::new(labels, [batch, rows, columns])
}

fn matrix(input: usize, output: usize, device: &Device) -> Tensor<4> {
    let weights = bilinear_weights(input, output);
    Tensor::from_data(TensorData::new(weights, [1, 1, output, input]), device)
}

/// Focal and dice loss by the formulas.
fn composed(masks: Tensor<4>, labels: &LabelMaps) -> Tensor<1> {
    let [batch, classes, height, width] = masks.dims();
    let [_, rows, columns] = labels.shape();
    let device = masks.device();
    let shape = [batch, classes, rows, columns];
    let plain = device.clone().without_autodiff();
    let indices: Vec<i32> = labels.labels().iter().map(|label| i32::from(*label)).collect();
    let indices = Tensor::<4, Int>::from_data(TensorData::new(indices, [batch, 1, rows, columns]), &plain);
    let list = Tensor::<1, Int>::arange(0..classes as i64, &plain).reshape([1, classes, 1, 1]);
    let target = indices.expand(shape).equal(list.expand(shape)).float();
    let logits = matrix(height, rows, &plain)
        .matmul(masks)
        .matmul(matrix(width, columns, &plain).transpose());
    let signed_logit = logits.clone() * (target.clone() * -2.0 + 1.0);
    let one_minus_pt = sigmoid(signed_logit.clone());
    let nll = log_sigmoid(signed_logit.neg()).neg();
    let weight = target.clone() * (2.0 * ALPHA - 1.0) + (1.0 - ALPHA);
    let focal = (weight * one_minus_pt.clone() * one_minus_pt * nll).sum() / (rows * columns) as f64;
    let over_pixels = |tensor: Tensor<4>| tensor.sum_dim(3).sum_dim(2);
    let probability = sigmoid(logits);
    let intersection = over_pixels(probability.clone() * target.clone());
    let count = over_pixels(target);
    let ratio = (intersection * 2.0 + 1.0) / (over_pixels(probability) + count.clone() + 1.0);
    let dice = ((ratio.neg() + 1.0) * count.clamp_max(1.0)).sum();
    Tensor::cat(vec![focal, dice], 0)
}

#[test]
fn losses_and_gradients_equal_those_of_their_composition() {
    let device = Device::flex().autodiff();
    for size in SIZES {
        let labels = labels(size);
        let [batch, classes, height, width, ..] = size;
        for scale in [1.0, 8.0] {
            let masks = (random([batch, classes, height, width], 1, &device) * scale)
                .detach()
                .require_grad();
            let name = format!("{size:?}, masks up to {scale}");
            let (actual, expected) = (
                mask_losses(masks.clone(), labels.clone(), ALPHA),
                composed(masks.clone(), &labels),
            );
            assert_close(&name, actual.clone().inner(), expected.clone().inner(), 1e-5);
            let plain = mask_losses(masks.clone().inner(), labels.clone(), ALPHA);
            assert_close(&name, plain, expected.clone().inner(), 1e-5);
            for factors in [[1.0f32, 0.0], [0.0, 1.0], [100.0, -0.5]] {
                let factors = Tensor::<1>::from_data(TensorData::from(factors), &device);
                let gradient = |losses: Tensor<1>| {
                    let gradients = (losses * factors.clone()).sum().backward();
                    masks.grad(&gradients).expect("a gradient of the masks")
                };
                let actual = gradient(mask_losses(masks.clone(), labels.clone(), ALPHA));
                assert_close(&name, actual, gradient(composed(masks.clone(), &labels)), 1e-4);
            }
        }
    }
}

#[test]
fn far_logits_have_finite_losses_and_gradients() {
    let device = Device::flex().autodiff();
    let masks =
        Tensor::<4>::from_data(TensorData::from([[[[-300.0f32, 300.0]], [[90.0, -90.0]]]]), &device).require_grad();
    let labels = LabelMaps::new(vec![0, 1], [1, 1, 2]);
    let losses = mask_losses(masks.clone(), labels, ALPHA);
    let gradients = losses.clone().sum().backward();
    let gradient = values(masks.grad(&gradients).expect("a gradient"));
    assert!(gradient.iter().all(|value| value.is_finite()), "{gradient:?}");
    // Both positives cost their distance: 300 and 90, a quarter of it on half of the pixels; the negatives 300 and 90 too.
    let losses = values(losses.inner());
    assert!((losses[0] - 195.0).abs() < 1e-3, "{losses:?}");
    assert!((losses[1] - 2.0 * (1.0 - 1.0 / 3.0)).abs() < 1e-6, "{losses:?}");
}

#[test]
fn masks_that_are_not_finite_have_a_nan_loss() {
    let device = Device::flex();
    for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let masks = Tensor::<4>::from_data(TensorData::from([[[[0.0f32, broken]], [[1.0, -1.0]]]]), &device);
        let losses = values(mask_losses(masks, LabelMaps::new(vec![0, 1], [1, 1, 2]), ALPHA));
        assert!(losses.iter().all(|loss| loss.is_nan()), "{broken}: {losses:?}");
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let run = || {
        let device = Device::flex().autodiff();
        let size = [2, 9, 8, 8, 64, 60];
        let masks = random([2, 9, 8, 8], 1, &device).require_grad();
        let losses = mask_losses(masks.clone(), labels(size), ALPHA);
        let gradients = losses.clone().sum().backward();
        let mut all = values(losses.inner());
        all.extend(values(masks.grad(&gradients).expect("a gradient of the masks")));
        all
    };
    assert_same_on_threads(run);
}
