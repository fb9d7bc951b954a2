//! Layer norm on GPUs with a cube per row, which is read from memory once and from the cache afterwards.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    reason = "the code that `#[cube]` generates"
)]

use burn::backend::ops::ModuleOps;
use burn::backend::{Cube, DType, TensorMetadata};
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use super::{LayerNormGradients, LayerNormKernel, composed};
use crate::cube::{UNITS, cube_index, cube_sum, cubes, empty};

impl LayerNormKernel for Cube {
    fn norm_forward(x: CubeTensor, gamma: CubeTensor, beta: Option<CubeTensor>, epsilon: f64) -> CubeTensor {
        if x.dtype() != DType::F32 || x.shape().num_elements() == 0 {
            return <Self as ModuleOps<Self>>::layer_norm(x, gamma, beta, epsilon);
        }
        layer_norm(x, gamma, beta, epsilon as f32)
    }

    fn norm_gradients(
        x: CubeTensor,
        gamma: CubeTensor,
        epsilon: f64,
        gradient: CubeTensor,
        parameters: bool,
    ) -> LayerNormGradients<Self> {
        // Gradients of the parameters are sums over rows, for which burn's reductions are fast.
        if parameters || x.dtype() != DType::F32 || x.shape().num_elements() == 0 {
            return composed::gradients::<Self>(x, gamma, epsilon, gradient, parameters);
        }
        LayerNormGradients {
            x: layer_norm_gradient(x, gamma, gradient, epsilon as f32),
            parameters: None,
        }
    }
}

/// Mean of a row, and one over its standard deviation.
#[cube]
fn moments(x: &[f32], start: usize, width: usize, epsilon: f32, shared: &mut Shared<[f32]>) -> (f32, f32) {
    let mut sum = 0.0f32;
    let mut column = UNIT_POS as usize;
    while column < width {
        sum += x[start + column];
        column += UNITS.runtime() as usize;
    }
    let mean = cube_sum(sum, shared) / f32::cast_from(width as u32);
    let mut squares = 0.0f32;
    let mut column = UNIT_POS as usize;
    while column < width {
        let centered = x[start + column] - mean;
        squares += centered * centered;
        column += UNITS.runtime() as usize;
    }
    let variance = cube_sum(squares, shared) / f32::cast_from(width as u32);
    (mean, 1.0f32 / (variance + epsilon).sqrt())
}

#[cube(launch)]
fn forward(x: &[f32], gamma: &[f32], beta: &[f32], output: &mut [f32], epsilon: f32, #[comptime] has_beta: bool) {
    let width = gamma.len();
    let start = cube_index() * width;
    // Uniform over the units of a cube.
    if start >= output.len() {
        terminate!();
    }
    let mut shared = Shared::new_slice(UNITS as usize);
    let (mean, scale) = moments(x, start, width, epsilon, &mut shared);
    let mut column = UNIT_POS as usize;
    while column < width {
        let mut value = (x[start + column] - mean) * scale * gamma[column];
        if has_beta {
            value += beta[column];
        }
        output[start + column] = value;
        column += UNITS.runtime() as usize;
    }
}

#[cube(launch)]
fn backward(x: &[f32], gamma: &[f32], gradient: &[f32], output: &mut [f32], epsilon: f32) {
    let width = gamma.len();
    let start = cube_index() * width;
    if start >= output.len() {
        terminate!();
    }
    let mut shared = Shared::new_slice(UNITS as usize);
    let (mean, scale) = moments(x, start, width, epsilon, &mut shared);
    let mut weighted = 0.0f32;
    let mut along = 0.0f32;
    let mut column = UNIT_POS as usize;
    while column < width {
        let share = gradient[start + column] * gamma[column];
        weighted += share;
        along += share * (x[start + column] - mean) * scale;
        column += UNITS.runtime() as usize;
    }
    let count = f32::cast_from(width as u32);
    let mean_weighted = cube_sum(weighted, &mut shared) / count;
    let mean_along = cube_sum(along, &mut shared) / count;
    let mut column = UNIT_POS as usize;
    while column < width {
        let normalized = (x[start + column] - mean) * scale;
        let share = gradient[start + column] * gamma[column];
        output[start + column] = (share - mean_weighted - normalized * mean_along) * scale;
        column += UNITS.runtime() as usize;
    }
}

/// Layer norm of f32 rows.
fn layer_norm(x: CubeTensor, gamma: CubeTensor, beta: Option<CubeTensor>, epsilon: f32) -> CubeTensor {
    let (x, gamma) = (into_contiguous(x), into_contiguous(gamma));
    let output = empty(&x, x.meta.shape().clone(), DType::F32);
    let rows = x.meta.num_elements() / gamma.meta.num_elements();
    let client = x.client.clone();
    let has_beta = beta.is_some();
    let beta = beta.map_or_else(|| gamma.clone(), into_contiguous);
    forward::launch(
        &client,
        cubes(rows),
        CubeDim::new_1d(UNITS),
        x.into_buffer_arg(),
        gamma.into_buffer_arg(),
        beta.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        epsilon,
        has_beta,
    );
    output
}

/// The gradient with respect to the rows from that of the result.
fn layer_norm_gradient(x: CubeTensor, gamma: CubeTensor, gradient: CubeTensor, epsilon: f32) -> CubeTensor {
    let (x, gamma, gradient) = (into_contiguous(x), into_contiguous(gamma), into_contiguous(gradient));
    let output = empty(&x, x.meta.shape().clone(), DType::F32);
    let rows = x.meta.num_elements() / gamma.meta.num_elements();
    let client = x.client.clone();
    backward::launch(
        &client,
        cubes(rows),
        CubeDim::new_1d(UNITS),
        x.into_buffer_arg(),
        gamma.into_buffer_arg(),
        gradient.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        epsilon,
    );
    output
}
