//! Dropout in one pass over memory: random numbers are a hash of each value's position.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

use super::map;
use crate::cpu::{Lots, MULTIPLIERS};

/// [`Lots`] in a kernel.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct CubeLots {
    first_seed: u32,
    second_seed: u32,
    threshold: u32,
    scale: f32,
}

#[cube]
impl CubeLots {
    /// Factor of the value at a position.
    pub(super) fn factor(&self, position: u32) -> f32 {
        let mut factor = self.scale;
        if mix(mix(position ^ self.first_seed) ^ self.second_seed) < self.threshold {
            factor = 0.0f32;
        }
        factor
    }
}

/// Lots for a kernel.
pub(super) fn launched(lots: Lots) -> CubeLotsLaunch {
    let Lots {
        seed: [first, second],
        threshold,
        scale,
    } = lots;
    CubeLotsLaunch::new(first, second, threshold, scale)
}

/// As on the processor.
#[cube]
fn mix(bits: u32) -> u32 {
    let [first, second] = comptime!(MULTIPLIERS);
    let bits = (bits ^ (bits >> 16u32)) * first;
    let bits = (bits ^ (bits >> 15u32)) * second;
    bits ^ (bits >> 16u32)
}

#[cube(launch)]
fn forward<F: Float>(x: &[F], output: &mut [F], lots: &CubeLots, #[define(F)] _dtype: ElemType) {
    let index = ABSOLUTE_POS;
    if index >= output.len() {
        terminate!();
    }
    let factor = lots.factor(index as u32);
    output[index] = F::cast_from(f32::cast_from(x[index]) * factor);
}

/// Drops what `lots` say.
pub(crate) fn dropout(x: CubeTensor, lots: Lots) -> CubeTensor {
    map(x, |x, output, (count, dim), dtype| {
        let client = x.client.clone();
        let (x, output) = (x.into_buffer_arg(), output.into_buffer_arg());
        forward::launch(&client, count, dim, x, output, launched(lots), dtype);
    })
}
