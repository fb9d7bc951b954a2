//! Dropout in one pass over memory: random numbers are a hash of each value's position.

use burn::backend::cubecl::dtype_to_storage_type;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use super::{elementwise, empty};
use crate::dropout::{Lots, MULTIPLIERS};

/// As on the processor.
#[cube]
fn mix(bits: u32) -> u32 {
    let [first, second] = comptime!(MULTIPLIERS);
    let bits = (bits ^ (bits >> 16u32)) * first;
    let bits = (bits ^ (bits >> 15u32)) * second;
    bits ^ (bits >> 16u32)
}

#[cube(launch)]
fn forward<F: Float>(
    x: &[F],
    output: &mut [F],
    first_seed: u32,
    second_seed: u32,
    threshold: u32,
    scale: f32,
    #[define(F)] _dtype: ElemType,
) {
    let index = ABSOLUTE_POS;
    if index >= output.len() {
        terminate!();
    }
    let lot = mix(mix(index as u32 ^ first_seed) ^ second_seed);
    let mut value = 0.0f32;
    if lot >= threshold {
        value = f32::cast_from(x[index]) * scale;
    }
    output[index] = F::cast_from(value);
}

/// Drops what `lots` say.
pub(crate) fn dropout(x: CubeTensor, lots: Lots) -> CubeTensor {
    let x = into_contiguous(x);
    let output = empty(&x, x.meta.shape().clone(), x.dtype);
    let (count, dim) = elementwise(&output);
    let (client, dtype) = (x.client.clone(), dtype_to_storage_type(x.dtype));
    forward::launch(
        &client,
        count,
        dim,
        x.into_buffer_arg(),
        output.clone().into_buffer_arg(),
        lots.seed[0],
        lots.seed[1],
        lots.threshold,
        lots.scale,
        dtype,
    );
    output
}
