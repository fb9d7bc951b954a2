//! Dropout: how often, what of the gradient, and that nothing but seed and position decides.

mod common;

use burn::tensor::{Device, FloatDType, Tensor};
use common::{assert_close, assert_same_on_threads, random, values};
use zegclip_kernels::{dropout, with_dropout_seed};

fn ones(count: usize) -> Tensor<1> {
    Tensor::ones([count], &Device::flex())
}

/// Of ones, by a seed.
fn dropped(count: usize, seed: u64, probability: f64) -> Vec<f32> {
    values(with_dropout_seed(seed, || dropout(ones(count), probability)))
}

#[test]
fn drops_as_often_as_asked_and_makes_up_for_it() {
    const COUNT: usize = 200_000;
    for probability in [0.0, 0.1, 0.5, 0.9] {
        let values = dropped(COUNT, 7, probability);
        let zeros = values.iter().filter(|value| **value == 0.0).count() as f64;
        let deviation = (COUNT as f64 * probability * (1.0 - probability)).sqrt();
        assert!(
            (zeros - COUNT as f64 * probability).abs() <= 5.0 * deviation,
            "{zeros} of {COUNT} dropped with probability {probability}"
        );
        let kept = (1.0 / (1.0 - probability)) as f32;
        assert!(values.iter().all(|value| *value == 0.0 || *value == kept));
    }
}

/// Neither neighbors nor values at the same place of two calls or two seeds say anything about each other.
#[test]
fn masks_are_independent() {
    const COUNT: usize = 1 << 18;
    let signs = |values: Vec<f32>| -> Vec<f64> { values.iter().map(|v| if *v == 0.0 { -1.0 } else { 1.0 }).collect() };
    let correlation = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / a.len() as f64;
    // Means of as many independent signs are within this in all but one of two million cases.
    let limit = 5.0 / (COUNT as f64 / 2.0).sqrt();
    let [first, next_call] = with_dropout_seed(1, || [dropout(ones(COUNT), 0.5), dropout(ones(COUNT), 0.5)])
        .map(|dropped| signs(values(dropped)));
    for distance in [1, 2, 3, 4, 8, 64, 128, 1000, COUNT / 2] {
        let both = correlation(&first[distance..], &first[..COUNT - distance]);
        assert!(both.abs() < limit, "distance {distance}: {both}");
    }
    for (name, other) in [("next call", next_call), ("next seed", signs(dropped(COUNT, 2, 0.5)))] {
        let both = correlation(&first, &other);
        assert!(both.abs() < limit, "{name}: {both}");
    }
}

#[test]
fn a_seed_decides_on_any_number_of_threads() {
    let run = || {
        values(with_dropout_seed(3, || {
            dropout(random([100_001], 1, &Device::flex()), 0.3)
        }))
    };
    assert_same_on_threads(run);
}

#[test]
fn views_shared_tensors_and_half_precision_drop_the_same() {
    let device = Device::flex();
    let x = random([5, 7, 9], 2, &device);
    let plain = |x: Tensor<3>| with_dropout_seed(5, || dropout(x, 0.4));
    let expected = plain(x.clone().swap_dims(0, 2).mul_scalar(1.0));
    assert_close("view", plain(x.clone().swap_dims(0, 2)), expected, 0.0);
    // The tensor is used again, so that it must not be changed.
    let before = values(x.clone());
    let expected = plain(x.clone().mul_scalar(1.0));
    assert_close("shared", plain(x.clone()), expected.clone(), 0.0);
    assert_eq!(values(x.clone()), before);
    let half = plain(x.cast(FloatDType::F16)).cast(FloatDType::F32);
    assert_close("f16", half, expected, 1e-3);
}

#[test]
fn gradients_are_dropped_like_values() {
    let device = Device::flex().autodiff();
    for count in [1, 17, 40_000] {
        let x = random([count], 1, &device).require_grad();
        let factors = random([count], 2, &device);
        let drop = |x: Tensor<1>| with_dropout_seed(11, || dropout(x, 0.25));
        let gradients = (drop(x.clone()) * factors.clone()).sum().backward();
        let expected = drop(factors.inner());
        assert_close("gradient", x.grad(&gradients).expect("a gradient"), expected, 1e-6);
    }
}

#[test]
fn work_within_work_leaves_the_outer_masks_alone() {
    let draw = || values(dropout(ones(1000), 0.5));
    let undisturbed = with_dropout_seed(1, || [draw(), draw()]);
    let disturbed = with_dropout_seed(1, || {
        let first = draw();
        let inner = with_dropout_seed(2, draw);
        assert_ne!(inner, undisturbed[1]);
        [first, draw()]
    });
    assert_eq!(disturbed, undisturbed);
}

#[test]
fn nothing_would_be_left() {
    let dropped = std::panic::catch_unwind(|| dropout(ones(3), 1.0));
    let panic = dropped.expect_err("a documented panic");
    let message = panic.downcast_ref::<String>().expect("a message");
    assert!(message.contains("dropout with probability 1"), "{message}");
}
