//! Linear layers against burn's.

mod common;

use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Tensor};
use common::{assert_close, assert_same_on_threads, random, values};
use zegclip_kernels::{Activation, linear, linear_add};

const SIZES: [[usize; 3]; 7] = [
    [1, 1, 1],
    [1, 512, 2048],
    [3, 7, 5],
    [20, 130, 49],
    [171, 512, 100],
    [65, 400, 97],
    [130, 768, 96],
];
const ACTIVATIONS: [Activation; 3] = [Activation::None, Activation::QuickGelu, Activation::Relu];

fn composed(x: Tensor<3>, weight: Tensor<2>, bias: Option<Tensor<1>>, activation: Activation) -> Tensor<3> {
    let product = x.matmul(weight.unsqueeze());
    let output = match bias {
        Some(bias) => product + bias.unsqueeze(),
        None => product,
    };
    match activation {
        Activation::None => output,
        Activation::QuickGelu => output.clone() * sigmoid(output * 1.702),
        Activation::Relu => relu(output),
    }
}

#[test]
fn equals_its_composition() {
    let device = Device::flex();
    for [rows, input, output] in SIZES {
        let x = random([2, rows, input], 1, &device);
        let weight = random([input, output], 2, &device) / (input as f64).sqrt();
        let transposed = random([output, input], 2, &device).transpose() / (input as f64).sqrt();
        for weight in [weight, transposed] {
            for bias in [Some(random([output], 3, &device)), None] {
                for activation in ACTIVATIONS {
                    let name = format!("{rows} × {input} × {output}, {activation:?}");
                    let expected = composed(x.clone(), weight.clone(), bias.clone(), activation);
                    let actual = linear(x.clone(), weight.clone(), bias.clone(), activation);
                    assert_close(&name, actual, expected, 1e-5);
                }
            }
        }
    }
}

#[test]
fn strided_and_matrix_inputs_are_taken() {
    let device = Device::flex();
    let weight = random([6, 9], 2, &device);
    let x = random([4, 6, 5], 1, &device).swap_dims(1, 2);
    let expected = composed(x.clone(), weight.clone(), None, Activation::None);
    assert_close(
        "swapped",
        linear(x.clone(), weight.clone(), None, Activation::None),
        expected.clone(),
        1e-5,
    );
    let matrix = x.narrow(0, 2, 1).squeeze_dim::<2>(0);
    let expected = expected.narrow(0, 2, 1).squeeze_dim::<2>(0);
    assert_close("matrix", linear(matrix, weight, None, Activation::None), expected, 1e-5);
}

#[test]
fn gradients_equal_those_of_its_composition() {
    let device = Device::flex().autodiff();
    for [rows, input, output] in SIZES {
        for activation in ACTIVATIONS {
            let x = random([2, rows, input], 1, &device).require_grad();
            let weight = (random([input, output], 2, &device) / (input as f64).sqrt())
                .detach()
                .require_grad();
            let bias = random([output], 3, &device).require_grad();
            let factors = random([2, rows, output], 4, &device);
            let gradients = |output: Tensor<3>| (output * factors.clone()).sum().backward();
            let expected = gradients(composed(x.clone(), weight.clone(), Some(bias.clone()), activation));
            let actual = gradients(linear(x.clone(), weight.clone(), Some(bias.clone()), activation));
            let name = format!("{rows} × {input} × {output}, {activation:?}");
            let of_x = |gradients| x.grad(gradients).expect("a gradient of x");
            let of_weight = |gradients| weight.grad(gradients).expect("a gradient of the weight");
            let of_bias = |gradients| bias.grad(gradients).expect("a gradient of the bias");
            assert_close(&name, of_x(&actual), of_x(&expected), 1e-4);
            assert_close(&name, of_weight(&actual), of_weight(&expected), 1e-4);
            assert_close(&name, of_bias(&actual), of_bias(&expected), 1e-4);
        }
    }
}

#[test]
fn a_frozen_weight_gets_no_gradient() {
    let device = Device::flex().autodiff();
    let x = random([2, 5, 12], 1, &device).require_grad();
    let weight = random([12, 7], 2, &device);
    let bias = random([7], 3, &device);
    let factors = random([2, 5, 7], 4, &device);
    let actual = linear(x.clone(), weight.clone(), Some(bias.clone()), Activation::QuickGelu);
    let actual = (actual * factors.clone()).sum().backward();
    let expected = composed(x.clone(), weight.clone(), Some(bias), Activation::QuickGelu);
    let expected = (expected * factors).sum().backward();
    let of_x = |gradients| x.grad(gradients).expect("a gradient of x");
    assert_close("x", of_x(&actual), of_x(&expected), 1e-4);
    assert!(weight.grad(&actual).is_none());
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let run = || {
        let device = Device::flex().autodiff();
        let x = random([2, 300, 400], 1, &device).require_grad();
        let weight = random([400, 500], 2, &device).require_grad();
        let bias = random([500], 3, &device).require_grad();
        let output = linear(x.clone(), weight.clone(), Some(bias.clone()), Activation::QuickGelu);
        let gradients = (output.clone() * random([2, 300, 500], 4, &device)).sum().backward();
        let mut all = values(output.inner());
        all.extend(values(x.grad(&gradients).expect("a gradient of x")));
        all.extend(values(weight.grad(&gradients).expect("a gradient of the weight")));
        all.extend(values(bias.grad(&gradients).expect("a gradient of the bias")));
        all
    };
    assert_same_on_threads(run);
}

#[test]
fn a_residual_is_added() {
    let device = Device::flex().autodiff();
    for [rows, input, output] in SIZES {
        let name = format!("{rows} × {input} × {output}");
        let x = random([2, rows, input], 1, &device).require_grad();
        let weight = (random([input, output], 2, &device) / (input as f64).sqrt())
            .detach()
            .require_grad();
        let residual = random([2, rows, output], 5, &device).require_grad();
        let factors = random([2, rows, output], 4, &device);
        for bias in [Some(random([output], 3, &device).require_grad()), None] {
            let expected = residual.clone() + composed(x.clone(), weight.clone(), bias.clone(), Activation::None);
            let actual = linear_add(x.clone(), weight.clone(), bias.clone(), residual.clone());
            assert_close(&name, actual.clone().inner(), expected.clone().inner(), 1e-5);
            let expected = (expected * factors.clone()).sum().backward();
            let actual = (actual * factors.clone()).sum().backward();
            let of_x = |gradients| x.grad(gradients).expect("a gradient of x");
            let of_weight = |gradients| weight.grad(gradients).expect("a gradient of the weight");
            let of_residual = |gradients| residual.grad(gradients).expect("a gradient of the residual");
            assert_close(&name, of_x(&actual), of_x(&expected), 1e-4);
            assert_close(&name, of_weight(&actual), of_weight(&expected), 1e-4);
            assert_close(&name, of_residual(&actual), of_residual(&expected), 1e-4);
            if let Some(bias) = bias {
                let of_bias = |gradients| bias.grad(gradients).expect("a gradient of the bias");
                assert_close(&name, of_bias(&actual), of_bias(&expected), 1e-4);
            }
        }
    }
}
