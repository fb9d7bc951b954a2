//! Dropout in one pass over memory: random numbers are a hash of each value's position.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    reason = "the code that `#[cube]` generates"
)]

use burn::backend::{Cube, DType, TensorMetadata};
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

use super::mask::{DropoutMask, MULTIPLIERS};
use super::{DropoutKernel, compose};
use crate::cube::map;

impl DropoutKernel for Cube {
    fn masked(x: CubeTensor, mask: DropoutMask) -> CubeTensor {
        if x.dtype() == DType::F64 || x.shape().num_elements() == 0 {
            return compose::<Self>(x, mask);
        }
        dropout(x, mask)
    }
}

/// [`DropoutMask`] in a kernel.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(crate) struct CubeDropoutMask {
    first_seed: u32,
    second_seed: u32,
    threshold: u32,
    scale: f32,
}

#[cube]
impl CubeDropoutMask {
    /// Factor of the value at a position.
    pub(crate) fn factor(&self, position: u32) -> f32 {
        let mut factor = self.scale;
        if mix(mix(position ^ self.first_seed) ^ self.second_seed) < self.threshold {
            factor = 0.0f32;
        }
        factor
    }
}

/// A mask as the argument of a kernel.
pub(crate) fn launch_arg(mask: DropoutMask) -> CubeDropoutMaskLaunch {
    let DropoutMask {
        seed: [first, second],
        threshold,
        scale,
    } = mask;
    CubeDropoutMaskLaunch::new(first, second, threshold, scale)
}

/// The hash of [`DropoutMask`].
#[cube]
fn mix(bits: u32) -> u32 {
    let [first, second] = comptime!(MULTIPLIERS);
    let bits = (bits ^ (bits >> 16u32)) * first;
    let bits = (bits ^ (bits >> 15u32)) * second;
    bits ^ (bits >> 16u32)
}

#[cube(launch)]
fn forward<F: Float>(x: &[F], output: &mut [F], mask: &CubeDropoutMask, #[define(F)] _dtype: ElemType) {
    let index = ABSOLUTE_POS;
    if index >= output.len() {
        terminate!();
    }
    let factor = mask.factor(index as u32);
    output[index] = F::cast_from(f32::cast_from(x[index]) * factor);
}

/// Each value times its factor.
///
/// # Shapes
/// Any, also that of the result.
fn dropout(x: CubeTensor, mask: DropoutMask) -> CubeTensor {
    map(x, |x, output, (count, dim), dtype| {
        let client = x.client.clone();
        let (x, output) = (x.into_buffer_arg(), output.into_buffer_arg());
        forward::launch(&client, count, dim, x, output, launch_arg(mask), dtype);
    })
}
