//! What the kernels in CubeCL share: one source for Vulkan, Metal, DX12, WebGPU and CUDA. They compute in f32 for tensors of any type.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    reason = "the code that `#[cube]` generates"
)]

use burn::backend::cubecl::dtype_to_storage_type;
use burn::backend::{DType, Shape};
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::cubecl::{self, calculate_cube_count_elemwise};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

pub(crate) mod bilinear;

/// Units of a cube that reduces together; every API supports as many.
pub(crate) const UNITS: u32 = 256;

/// Sum of a value over all units of a cube of [`UNITS`], returned to each of them. The order of additions is fixed.
#[cube]
pub(crate) fn cube_sum(value: f32, shared: &mut Shared<[f32]>) -> f32 {
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

/// An uninitialized tensor on the device of another one.
pub(crate) fn empty(like: &CubeTensor, shape: impl Into<Shape>, dtype: DType) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape.into(), dtype)
}

/// Cubes for a unit per element.
pub(crate) fn elementwise(tensor: &CubeTensor) -> (CubeCount, CubeDim) {
    units(tensor, tensor.meta.num_elements())
}

/// Launches an elementwise kernel: `launch` receives contiguous `x`, the output, the units (one per element) and the type of both.
pub(crate) fn map(
    x: CubeTensor,
    launch: impl FnOnce(CubeTensor, CubeTensor, (CubeCount, CubeDim), ElemType),
) -> CubeTensor {
    let x = into_contiguous(x);
    let output = empty(&x, x.meta.shape().clone(), x.dtype);
    let (units, dtype) = (elementwise(&output), dtype_to_storage_type(x.dtype));
    launch(x, output.clone(), units, dtype);
    output
}

/// Cubes for `count` units, on the device of a tensor.
pub(crate) fn units(tensor: &CubeTensor, count: usize) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new(&tensor.client, count);
    (calculate_cube_count_elemwise(&tensor.client, count, dim), dim)
}

/// Index of a cube's task among [`cubes`].
#[cube]
pub(crate) fn cube_index() -> usize {
    (CUBE_POS_Y * CUBE_COUNT_X + CUBE_POS_X) as usize
}

/// Cubes for `count` tasks, which [`cube_index`] numbers; APIs may limit an axis to 65,535.
pub(crate) fn cubes(count: usize) -> CubeCount {
    const MAX_COLUMNS: usize = 1 << 15;
    let columns = count.clamp(1, MAX_COLUMNS);
    CubeCount::Static(columns as u32, count.div_ceil(columns) as u32, 1)
}
