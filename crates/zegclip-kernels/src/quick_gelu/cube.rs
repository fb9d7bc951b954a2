//! QuickGELU on GPUs in one pass over memory, where a composition takes three and its gradient seven.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    reason = "the code that `#[cube]` generates"
)]

use burn::backend::{Cube, DType, TensorMetadata};
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use super::{QuickGeluKernel, SLOPE, compose, compose_backward};
use crate::cube::map;

impl QuickGeluKernel for Cube {
    fn forward(x: CubeTensor) -> CubeTensor {
        if x.dtype() == DType::F64 || x.shape().num_elements() == 0 {
            return compose::<Self>(x);
        }
        quick_gelu(x, SLOPE as f32)
    }

    fn backward(x: CubeTensor, gradient: CubeTensor) -> CubeTensor {
        if x.dtype() == DType::F64 || x.shape().num_elements() == 0 {
            return compose_backward::<Self>(x, gradient);
        }
        quick_gelu_backward(x, gradient, SLOPE as f32)
    }
}

/// `1 / (1 + exp(−x))`
#[cube]
pub(crate) fn logistic(x: f32) -> f32 {
    1.0f32 / (1.0f32 + (-x).exp())
}

#[cube(launch)]
fn forward<F: Float>(x: &[F], output: &mut [F], slope: f32, #[define(F)] _dtype: ElemType) {
    let index = ABSOLUTE_POS;
    if index >= output.len() {
        terminate!();
    }
    let value = f32::cast_from(x[index]);
    output[index] = F::cast_from(value * logistic(slope * value));
}

#[cube(launch)]
fn backward<F: Float>(x: &[F], gradient: &[F], output: &mut [F], slope: f32, #[define(F)] _dtype: ElemType) {
    let index = ABSOLUTE_POS;
    if index >= output.len() {
        terminate!();
    }
    let scaled = slope * f32::cast_from(x[index]);
    let sigmoid = logistic(scaled);
    let derivative = sigmoid * (1.0f32 + scaled * (1.0f32 - sigmoid));
    output[index] = F::cast_from(f32::cast_from(gradient[index]) * derivative);
}

/// `x · σ(slope · x)`
fn quick_gelu(x: CubeTensor, slope: f32) -> CubeTensor {
    map(x, |x, output, (count, dim), dtype| {
        let client = x.client.clone();
        let (x, output) = (x.into_buffer_arg(), output.into_buffer_arg());
        forward::launch(&client, count, dim, x, output, slope, dtype);
    })
}

/// The gradient of [`quick_gelu`] times that of its result.
fn quick_gelu_backward(x: CubeTensor, gradient: CubeTensor, slope: f32) -> CubeTensor {
    let gradient = into_contiguous(gradient).into_buffer_arg();
    map(x, |x, output, (count, dim), dtype| {
        let client = x.client.clone();
        let (x, output) = (x.into_buffer_arg(), output.into_buffer_arg());
        backward::launch(&client, count, dim, x, gradient, output, slope, dtype);
    })
}
