//! Kernels in CubeCL: one source for Vulkan, Metal, DX12, WebGPU and CUDA. They compute in f32, whatever the tensors hold.

// What `#[cube]` writes has needless casts and no docs.
#![allow(missing_docs, unreachable_pub, clippy::pedantic)]

use burn::backend::cubecl::dtype_to_storage_type;
use burn::backend::{DType, Shape};
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::cubecl::{self, calculate_cube_count_elemwise};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

pub(crate) mod attention;
mod bilinear;
mod dropout;
mod layer_norm;
mod linear;
mod mask_decoding;
mod mask_loss;
mod quick_gelu;

pub(crate) use dropout::dropout;
pub(crate) use layer_norm::{layer_norm, layer_norm_gradient};
pub(crate) use linear::finish_linear;
pub(crate) use mask_decoding::decode_masks;
pub(crate) use mask_loss::mask_losses;
pub(crate) use quick_gelu::{quick_gelu, quick_gelu_backward};

/// Units of a cube that reduces together: every API allows as many.
const UNITS: u32 = 256;

/// Sum of a value over all units of a cube of [`UNITS`], known to all of them. Pairs are added in an order that never changes.
#[cube]
fn cube_sum(value: f32, shared: &mut Shared<[f32]>) -> f32 {
    shared[UNIT_POS as usize] = value;
    sync_cube();
    let mut half = UNITS.runtime() / 2;
    while half > 0 {
        if UNIT_POS < half {
            let other = shared[(UNIT_POS + half) as usize];
            shared[UNIT_POS as usize] += other;
        }
        sync_cube();
        half /= 2;
    }
    let sum = shared[0];
    sync_cube();
    sum
}

/// An uninitialised tensor beside another one.
fn empty(like: &CubeTensor, shape: impl Into<Shape>, dtype: DType) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape.into(), dtype)
}

/// Cubes for a unit an element.
fn elementwise(tensor: &CubeTensor) -> (CubeCount, CubeDim) {
    units(tensor, tensor.meta.num_elements())
}

/// Lets `launch` fill a tensor like `x` with a unit for each element: it is given `x` in order, the result, the units and the
/// type of both.
fn map(x: CubeTensor, launch: impl FnOnce(CubeTensor, CubeTensor, (CubeCount, CubeDim), ElemType)) -> CubeTensor {
    let x = into_contiguous(x);
    let output = empty(&x, x.meta.shape().clone(), x.dtype);
    let (units, dtype) = (elementwise(&output), dtype_to_storage_type(x.dtype));
    launch(x, output.clone(), units, dtype);
    output
}

/// Cubes for so many units, where a tensor lies.
fn units(tensor: &CubeTensor, count: usize) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new(&tensor.client, count);
    (calculate_cube_count_elemwise(&tensor.client, count, dim), dim)
}

/// The task of a cube among [`cubes`].
#[cube]
fn cube_index() -> usize {
    (CUBE_POS_Y * CUBE_COUNT_X + CUBE_POS_X) as usize
}

/// Cubes for `count` tasks, each of which finds its own by [`cube_index`]: an API may allow no more than 65,535 along an axis.
fn cubes(count: usize) -> CubeCount {
    const MOST: usize = 1 << 15;
    let columns = count.clamp(1, MOST);
    CubeCount::Static(columns as u32, count.div_ceil(columns) as u32, 1)
}
