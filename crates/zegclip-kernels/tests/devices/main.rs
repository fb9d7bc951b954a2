//! Every operator on other devices against the CPU, results and gradients: on the reference device (feature `ndarray`) and on a
//! Vulkan adapter (feature `wgpu`), for which Mesa's software driver is enough. Without an adapter these tests compare nothing, or
//! fail if `ZEGCLIP_REQUIRE_GPU` is set.
#![allow(clippy::print_stdout, reason = "a test reports that it compared nothing")]

#[path = "../common/mod.rs"]
mod common;

use burn::tensor::{Device, Tensor};
use common::{assert_close, random, values};
use zegclip_kernels::{
    Activation, LabelMaps, MaskLayout, attention, attention_with_dropout, decode_masks, dropout, layer_norm, linear,
    linear_add, mask_losses, quick_gelu, self_attention, with_dropout_seed,
};

/// Heads too wide for the shared memory of a cube, for which attention is composed.
const WIDE: [usize; 4] = [1, 1, 3, 700];

/// The Vulkan adapter, opened once: a process cannot open it twice.
#[cfg(feature = "wgpu")]
fn gpu() -> Option<Device> {
    use std::sync::LazyLock;

    use burn::backend::wgpu::WgpuBackend;

    static GPU: LazyLock<Result<Device, String>> = LazyLock::new(|| {
        let options = Device::wgpu_options().graphics_api(WgpuBackend::Vulkan);
        options.init().map_err(|error| error.to_string())
    });
    match &*GPU {
        Ok(device) => Some(device.clone()),
        Err(error) => {
            assert!(
                !test_support::gpu_required(),
                "ZEGCLIP_REQUIRE_GPU is set, but no Vulkan adapter opens: {error}"
            );
            println!("no Vulkan adapter, nothing is compared: {error}");
            None
        }
    }
}

/// For each operator a test on each kind of device.
macro_rules! on_every_device {
    ($($operator:ident: $check:ident),* $(,)?) => {
        $(mod $operator {
            #[cfg(feature = "wgpu")]
            #[test]
            fn on_a_gpu_equals_the_cpu() {
                if let Some(gpu) = super::gpu() {
                    super::$check(&gpu);
                }
            }

            #[cfg(feature = "ndarray")]
            #[test]
            #[allow(deprecated, reason = "burn 0.23 drops it")]
            fn on_the_reference_device_equals_the_cpu() {
                super::$check(&super::Device::ndarray());
            }
        })*
    };
}

on_every_device! {
    layer_norm: check_layer_norm,
    quick_gelu: check_quick_gelu,
    dropout: check_dropout,
    linear: check_linear,
    attention: check_attention,
    attention_with_dropout: check_attention_with_dropout,
    mask_losses: check_mask_losses,
    mask_decoding: check_mask_decoding,
    self_attention: check_self_attention,
}

/// Applies an operator to random tensors of `shapes` and compares its result and the gradient of each tensor.
fn compare<const D: usize, const N: usize, const E: usize>(
    name: &str,
    other: &Device,
    shapes: [[usize; D]; N],
    operator: impl Fn([Tensor<D>; N]) -> Tensor<E>,
) {
    let run = |device: &Device| {
        let device = device.clone().autodiff();
        let mut seed = 0;
        let inputs = shapes.map(|shape| {
            seed += 1;
            random(shape, seed, &device).require_grad()
        });
        let output = operator(inputs.clone());
        let factors = random(output.dims(), 99, &device);
        let gradients = (output.clone() * factors).sum().backward();
        (output.inner(), inputs.map(|input| input.grad(&gradients)))
    };
    let (output, gradients) = run(other);
    let (expected, expected_gradients) = run(&Device::flex());
    assert_close(name, output, expected, 1e-5);
    for (index, (actual, expected)) in gradients.into_iter().zip(expected_gradients).enumerate() {
        let (Some(actual), Some(expected)) = (actual, expected) else {
            panic!("{name}: input {index} has no gradient");
        };
        assert_close(&format!("{name}, gradient {index}"), actual, expected, 1e-4);
    }
}

fn check_layer_norm(other: &Device) {
    compare(
        "layer norm",
        other,
        [[2, 3, 20], [1, 1, 20], [1, 1, 20]],
        |[x, gamma, beta]| {
            let (gamma, beta) = (gamma.reshape([20]), beta.reshape([20]));
            layer_norm(x, gamma, Some(beta), 1e-5)
        },
    );
    // Rows longer than a cube, and parameters without a gradient.
    compare("layer norm, frozen", other, [[1, 3, 700]], |[x]| {
        let [gamma, beta] = [7, 8].map(|seed| random([700], seed, &x.device()));
        layer_norm(x * 3.0 + 5.0, gamma, Some(beta), 1e-5)
    });
    compare("layer norm, without offset", other, [[70, 1, 3]], |[x]| {
        let gamma = random([3], 7, &x.device());
        layer_norm(x, gamma, None, 1e-5)
    });
}

fn check_quick_gelu(other: &Device) {
    compare("QuickGELU", other, [[2, 3, 20]], |[x]| quick_gelu(x));
}

fn check_dropout(other: &Device) {
    compare("dropout", other, [[2, 300, 20]], |[x]| {
        with_dropout_seed(4, || dropout(x, 0.3))
    });
}

fn check_linear(other: &Device) {
    // Without gradients the activation is fused.
    for activation in [Activation::None, Activation::QuickGelu, Activation::Relu] {
        let run = |device: &Device| {
            let shapes = [[6, 7], [7, 9], [1, 9], [6, 9]];
            let [x, weight, bias, residual] = shapes.map(|shape| random::<2>(shape, shape[0] as u64, device));
            let bias = bias.reshape([9]);
            let sum = linear_add(x.clone(), weight.clone(), Some(bias.clone()), residual.clone());
            let bare = linear_add(x.clone(), weight.clone(), None, residual);
            Tensor::cat(vec![linear(x, weight, Some(bias), activation), sum, bare], 0)
        };
        let name = format!("linear, {activation:?}");
        assert_close(&name, run(other), run(&Device::flex()), 1e-5);
    }
    compare(
        "linear and residual",
        other,
        [[2, 5, 7], [1, 7, 9], [1, 1, 9], [2, 5, 9]],
        |[x, weight, bias, residual]| linear_add(x, weight.squeeze_dim::<2>(0), Some(bias.reshape([9])), residual),
    );
    compare(
        "linear",
        other,
        [[2, 5, 7], [1, 7, 9], [1, 1, 9]],
        |[x, weight, bias]| {
            let (weight, bias) = (weight.squeeze_dim::<2>(0), bias.reshape([9]));
            linear(x, weight, Some(bias), Activation::QuickGelu)
        },
    );
}

fn check_attention(other: &Device) {
    let shapes = [[2, 2, 5, 4], [2, 2, 6, 4], [2, 2, 6, 3], [1, 2, 3, 4], [1, 2, 3, 3]];
    compare("attention", other, shapes, |[q, k, v, extra_k, extra_v]| {
        attention(q, k, v, Some((extra_k, extra_v)), true)
    });
    // One token, several blocks of queries and keys, dimensions that do not fill a vector, extra keys of each image.
    for ([batch, heads, queries, keys, extra], extra_batch, [dim, value_dim], causal) in [
        ([1, 1, 1, 1, 1], 1, [1, 1], false),
        ([2, 3, 37, 70, 10], 1, [16, 16], false),
        ([2, 2, 33, 40, 3], 2, [17, 33], true),
        ([1, 2, 65, 65, 1], 1, [64, 64], false),
    ] {
        let shapes = [
            [batch, heads, queries, dim],
            [batch, heads, keys, dim],
            [batch, heads, keys, value_dim],
            [extra_batch, heads, extra, dim],
            [extra_batch, heads, extra, value_dim],
        ];
        let name = format!("attention, {queries} queries, {keys} + {extra} keys");
        compare(&name, other, shapes, |[q, k, v, extra_k, extra_v]| {
            attention(q * 2.0, k * 2.0, v, Some((extra_k, extra_v)), causal)
        });
    }
    compare("attention, wide", other, [WIDE; 3], |[q, k, v]| {
        attention(q, k, v, None, false)
    });
}

fn check_attention_with_dropout(other: &Device) {
    let shapes = [[2, 3, 37, 16], [2, 3, 70, 16], [2, 3, 70, 16]];
    compare("attention with dropout", other, shapes, |[q, k, v]| {
        with_dropout_seed(5, || attention_with_dropout(q, k, v, 0.3))
    });
    compare("attention with dropout, wide", other, [WIDE; 3], |[q, k, v]| {
        with_dropout_seed(5, || attention_with_dropout(q, k, v, 0.3))
    });
}

fn check_mask_losses(other: &Device) {
    // Small and large images, several stripes of rows, one pixel, fewer pixels than cells.
    for ([height, width], [rows, columns]) in [
        ([4, 5], [9, 11]),
        ([3, 7], [70, 45]),
        ([1, 1], [1, 1]),
        ([8, 9], [5, 4]),
        ([32, 2], [64, 2]),
    ] {
        let name = format!("mask losses, {height}×{width} to {rows}×{columns}");
        compare(&name, other, [[2, 3, height, width]], |[masks]| {
            let labels: Vec<u16> = (0..2 * rows * columns).map(|pixel| (pixel / 7 % 4) as u16).collect();
            mask_losses(masks * 6.0, LabelMaps::new(labels, [2, rows, columns]), 0.25)
        });
    }
}

fn check_mask_decoding(other: &Device) {
    // One window, overlapping windows, outputs smaller and larger than the resized image, and numbers of classes that are and are
    // not multiples of a unit's.
    for (classes, origins, resized, output) in [
        (4, vec![[0, 0]], [32, 32], [32, 32]),
        (7, vec![[0, 0], [0, 21], [0, 26]], [32, 58], [21, 40]),
        (21, vec![[0, 0], [13, 0]], [45, 32], [101, 67]),
    ] {
        let layout = MaskLayout {
            origins,
            window: [32, 32],
            resized,
            output,
            seen_class_bias: (0..classes).map(|class| [0.1, 0.0][class % 2]).collect(),
        };
        let decoded = |device: &Device| {
            let masks = random([layout.origins.len(), classes, 5, 4], 3, device) * 6.0;
            let decoded = decode_masks(masks, layout.clone());
            (decoded.clone().narrow(0, 0, 1), decoded.narrow(0, 1, 1))
        };
        let ((labels, scores), (expected_labels, expected_scores)) = (decoded(other), decoded(&Device::flex()));
        let name = format!("mask decoding, {classes} classes");
        assert_close(&name, scores, expected_scores, 1e-5);
        let labels = values(labels).into_iter().zip(values(expected_labels));
        let different = labels.filter(|(label, expected)| label != expected).count();
        // Either of two classes may win if their scores differ by rounding alone.
        assert!(
            different <= output[0] * output[1] / 1000,
            "{name}: {different} labels differ"
        );
    }
}

fn check_self_attention(other: &Device) {
    // Offsets at which a device can and cannot bind a buffer.
    for (heads, dim) in [(2, 2), (4, 64)] {
        let name = format!("self-attention, {heads} heads of {dim}");
        compare(&name, other, [[2, 35, 3 * heads * dim]], |[qkv]| {
            let [key, value] = [7, 8].map(|seed| random([1, heads, 4, dim], seed, &qkv.device()));
            self_attention(qkv, heads, Some((key, value)), true)
        });
    }
}
