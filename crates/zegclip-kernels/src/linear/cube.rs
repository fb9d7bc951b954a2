//! The epilogue of a linear layer on GPUs, in one pass over the product: a composition takes one pass for the bias, one for the
//! residual and three for QuickGELU.

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

use super::{Activation, LinearKernel, compose};
use crate::cube::map;
use crate::quick_gelu::SLOPE;
use crate::quick_gelu::cube::logistic;

impl LinearKernel for Cube {
    fn linear_forward(
        x: CubeTensor,
        weight: CubeTensor,
        bias: Option<CubeTensor>,
        residual: Option<CubeTensor>,
        activation: Activation,
    ) -> CubeTensor {
        let empty = x.shape().num_elements() == 0;
        let mixed = [&bias, &residual]
            .into_iter()
            .flatten()
            .any(|added| added.dtype() != x.dtype());
        if empty || mixed || x.dtype() == DType::F64 {
            return compose::<Self>(x, weight, bias, residual, activation);
        }
        let product = <Self as ModuleOps<Self>>::linear(x, weight, None);
        if bias.is_none() && residual.is_none() && activation == Activation::None {
            return product;
        }
        epilogue(product, bias, residual, activation, SLOPE as f32)
    }
}

#[cube(launch)]
fn add_and_activate<F: Float>(
    product: &[F],
    bias: &[F],
    residual: &[F],
    output: &mut [F],
    columns: usize,
    slope: f32,
    #[comptime] has_bias: bool,
    #[comptime] has_residual: bool,
    #[comptime] activation: Activation,
    #[define(F)] _dtype: ElemType,
) {
    let index = ABSOLUTE_POS;
    if index >= output.len() {
        terminate!();
    }
    let mut value = f32::cast_from(product[index]);
    if has_bias {
        value += f32::cast_from(bias[index % columns]);
    }
    if has_residual {
        value += f32::cast_from(residual[index]);
    }
    if comptime!(activation == Activation::QuickGelu) {
        value *= logistic(slope * value);
    }
    if comptime!(activation == Activation::Relu) {
        value = value.max(0.0f32);
    }
    output[index] = F::cast_from(value);
}

/// `activation(product + bias + residual)` of a product `[…, columns]`, which is not empty; all of one type, not f64.
fn epilogue(
    product: CubeTensor,
    bias: Option<CubeTensor>,
    residual: Option<CubeTensor>,
    activation: Activation,
    slope: f32,
) -> CubeTensor {
    let product = into_contiguous(product);
    let shape = product.meta.shape();
    let columns = shape[shape.num_dims() - 1];
    let (has_bias, has_residual) = (bias.is_some(), residual.is_some());
    // The product as a placeholder: every binding of a kernel needs a buffer.
    let [bias, residual] = [bias, residual].map(|added| added.map_or_else(|| product.clone(), into_contiguous));
    map(product, |product, output, (count, dim), dtype| {
        let client = product.client.clone();
        add_and_activate::launch(
            &client,
            count,
            dim,
            product.into_buffer_arg(),
            bias.into_buffer_arg(),
            residual.into_buffer_arg(),
            output.into_buffer_arg(),
            columns,
            slope,
            has_bias,
            has_residual,
            activation,
            dtype,
        );
    })
}
