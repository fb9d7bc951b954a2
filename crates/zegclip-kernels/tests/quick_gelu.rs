//! QuickGELU against its composition.

mod common;

use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor, TensorData};
use common::{assert_close, assert_same_on_threads, random, values};
use zegclip_kernels::quick_gelu;

fn composed<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.clone() * sigmoid(x * 1.702)
}

#[test]
fn equals_its_composition() {
    let device = Device::flex();
    for count in [1, 2, 15, 16, 17, 1000, 40_000] {
        let x = random([count], 1, &device) * 8.0;
        assert_close(&format!("{count} elements"), quick_gelu(x.clone()), composed(x), 1e-6);
    }
    let x = random([4, 7, 9], 2, &device);
    for view in [x.clone().swap_dims(0, 2), x.clone().narrow(1, 2, 3), x.flip([1])] {
        assert_close("view", quick_gelu(view.clone()), composed(view), 1e-6);
    }
}

#[test]
fn the_input_is_left_as_it_was() {
    let x = random([33], 1, &Device::flex());
    let before = values(x.clone());
    quick_gelu(x.clone());
    assert_eq!(values(x), before);
}

#[test]
fn extremes_are_finite() {
    let data = TensorData::new(vec![0.0f32, 1e30, -1e30, 88.0, -88.0, f32::MAX, f32::MIN], [7]);
    let y = values(quick_gelu(Tensor::<1>::from_data(data, &Device::flex())));
    assert_eq!(y[0], 0.0);
    assert_eq!(y[1], 1e30);
    assert!(y.iter().all(|y| y.is_finite()), "{y:?}");
    assert!(y[2].abs() < 1e-6 && y[4].abs() < 1e-30, "{y:?}");
}

#[test]
fn gradients_equal_those_of_its_composition() {
    let device = Device::flex().autodiff();
    for count in [1, 17, 40_000] {
        let x = (random([count], 1, &device) * 8.0).detach().require_grad();
        let factors = random([count], 2, &device);
        let gradient = |y: Tensor<1>| x.grad(&(y * factors.clone()).sum().backward()).expect("a gradient");
        assert_close(
            "gradient",
            gradient(quick_gelu(x.clone())),
            gradient(composed(x.clone())),
            1e-5,
        );
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let run = || values(quick_gelu(random([100_001], 1, &Device::flex())));
    assert_same_on_threads(run);
}
