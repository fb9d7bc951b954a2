//! Layer norm against its composition.

mod common;

use burn::tensor::{Device, Tensor};
use common::{assert_close, assert_same_on_threads, random, values};
use zegclip_kernels::layer_norm;

const EPSILON: f64 = 1e-5;
const SIZES: [[usize; 3]; 8] = [
    [1, 1, 1],
    [1, 1, 5],
    [2, 3, 16],
    [2, 7, 33],
    [1, 50, 192],
    [3, 41, 768],
    [1, 1, 20_000],
    [2, 65, 100],
];

fn composed<const D: usize>(x: Tensor<D>, gamma: Tensor<1>, beta: Option<Tensor<1>>) -> Tensor<D> {
    let centered = x.clone() - x.mean_dim(D - 1);
    let variance = centered.clone().powi_scalar(2).mean_dim(D - 1);
    let normalized = centered / (variance + EPSILON).sqrt();
    let scaled = normalized * gamma.unsqueeze();
    match beta {
        Some(beta) => scaled + beta.unsqueeze(),
        None => scaled,
    }
}

#[test]
fn equals_its_composition() {
    let device = Device::flex();
    for size in SIZES {
        let x = random(size, 1, &device) * 3.0 + 2.0;
        let gamma = random([size[2]], 2, &device);
        for beta in [Some(random([size[2]], 3, &device)), None] {
            let name = format!("{size:?}");
            let actual = layer_norm(x.clone(), gamma.clone(), beta.clone(), EPSILON);
            assert_close(&name, actual, composed(x.clone(), gamma.clone(), beta), 1e-5);
        }
    }
    let (gamma, beta) = (random([4], 2, &device), Some(random([4], 3, &device)));
    let view = random([5, 4, 3], 1, &device).swap_dims(1, 2).narrow(0, 1, 3);
    let expected = composed(view.clone(), gamma.clone(), beta.clone());
    assert_close("view", layer_norm(view, gamma, beta, EPSILON), expected, 1e-5);
}

#[test]
fn a_large_mean_costs_no_accuracy() {
    let device = Device::flex();
    let x = random([4, 192], 1, &device);
    let gamma = Tensor::ones([192], &device);
    let near = layer_norm(x.clone(), gamma.clone(), None, EPSILON);
    // Whole numbers plus multiples of 2⁻¹² are exact in f32.
    let x = (x * 4096.0).round() / 4096.0;
    let exact = layer_norm(x.clone(), gamma.clone(), None, EPSILON);
    let far = layer_norm(x + 1024.0, gamma, None, EPSILON);
    assert_close("rounded", exact.clone(), near, 1e-3);
    assert_close("far from zero", far, exact, 2e-4);
}

#[test]
fn equal_values_are_all_mapped_to_the_offset() {
    let device = Device::flex();
    let beta = random([19], 3, &device);
    let x = Tensor::full([3, 19], 7.0, &device);
    let y = layer_norm(x, Tensor::ones([19], &device), Some(beta.clone()), EPSILON);
    assert_close("constant", y, beta.unsqueeze::<2>().expand([3, 19]), 1e-6);
}

#[test]
fn gradients_equal_those_of_its_composition() {
    let device = Device::flex().autodiff();
    for size in SIZES {
        let x = (random(size, 1, &device) * 3.0 + 2.0).detach().require_grad();
        let gamma = random([size[2]], 2, &device).require_grad();
        let factors = random(size, 4, &device);
        for beta in [Some(random([size[2]], 3, &device).require_grad()), None] {
            let gradients = |output: Tensor<3>| (output * factors.clone()).sum().backward();
            let actual = gradients(layer_norm(x.clone(), gamma.clone(), beta.clone(), EPSILON));
            let expected = gradients(composed(x.clone(), gamma.clone(), beta.clone()));
            let name = format!("{size:?}");
            let of_x = |gradients| x.grad(gradients).expect("a gradient of x");
            let of_gamma = |gradients| gamma.grad(gradients).expect("a gradient of gamma");
            assert_close(&name, of_x(&actual), of_x(&expected), 1e-4);
            assert_close(&name, of_gamma(&actual), of_gamma(&expected), 1e-4);
            if let Some(beta) = beta {
                let of_beta = |gradients| beta.grad(gradients).expect("a gradient of beta");
                assert_close(&name, of_beta(&actual), of_beta(&expected), 1e-4);
            }
        }
    }
}

#[test]
fn frozen_parameters_get_no_gradient() {
    let device = Device::flex().autodiff();
    let x = random([4, 33], 1, &device).require_grad();
    let (gamma, beta) = (random([33], 2, &device), random([33], 3, &device));
    let factors = random([4, 33], 4, &device);
    let actual = (layer_norm(x.clone(), gamma.clone(), Some(beta.clone()), EPSILON) * factors.clone())
        .sum()
        .backward();
    let expected = (composed(x.clone(), gamma.clone(), Some(beta.clone())) * factors)
        .sum()
        .backward();
    let of_x = |gradients| x.grad(gradients).expect("a gradient of x");
    assert_close("x", of_x(&actual), of_x(&expected), 1e-4);
    assert!(gamma.grad(&actual).is_none() && beta.grad(&actual).is_none());
}

#[test]
fn a_gradient_that_others_need_is_left_as_it_was() {
    let device = Device::flex().autodiff();
    let x = random([6, 40], 1, &device).require_grad();
    let gamma = random([40], 2, &device);
    let factors = random([6, 40], 4, &device);
    // The sum hands the same gradient to the norm and past it.
    let actual = ((layer_norm(x.clone(), gamma.clone(), None, EPSILON) + x.clone()) * factors.clone())
        .sum()
        .backward();
    let expected = ((composed(x.clone(), gamma, None) + x.clone()) * factors)
        .sum()
        .backward();
    let of_x = |gradients| x.grad(gradients).expect("a gradient of x");
    assert_close("x", of_x(&actual), of_x(&expected), 1e-4);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let run = || {
        let device = Device::flex().autodiff();
        let x = random([3, 333, 192], 1, &device).require_grad();
        let gamma = random([192], 2, &device).require_grad();
        let beta = random([192], 3, &device).require_grad();
        let output = layer_norm(x.clone(), gamma.clone(), Some(beta.clone()), EPSILON);
        let gradients = (output.clone() * random([3, 333, 192], 4, &device)).sum().backward();
        let mut all = values(output.inner());
        all.extend(values(x.grad(&gradients).expect("a gradient of x")));
        all.extend(values(gamma.grad(&gradients).expect("a gradient of gamma")));
        all.extend(values(beta.grad(&gradients).expect("a gradient of beta")));
        all
    };
    assert_same_on_threads(run);
}
