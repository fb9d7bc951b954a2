//! Dropout on the CPU, on all threads.

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::DropoutMask;
use crate::cpu::{CHUNK, InstructionSet, filled_in_chunks, in_chunks};

/// Consecutive values, the first at position `first`.
struct Task<'a> {
    values: &'a mut [f32],
    first: usize,
    mask: DropoutMask,
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        self.mask.apply(self.values, self.first as u32, 1);
    }
}

/// Each `x` times the factor of its position.
pub(crate) fn dropout(instructions: InstructionSet, x: &[f32], mask: DropoutMask) -> Vec<f32> {
    let write = |index: usize, out: &mut [MaybeUninit<f32>]| {
        let first = index * CHUNK;
        let values = out.write_copy_of_slice(&x[first..][..out.len()]);
        instructions.run(Task { values, first, mask });
    };
    // SAFETY: a task writes each element of its part.
    unsafe { filled_in_chunks(x.len(), CHUNK, write) }
}

/// Multiplies each `x` by the factor of its position.
pub(crate) fn dropout_in_place(instructions: InstructionSet, x: &mut [f32], mask: DropoutMask) {
    in_chunks(x.len(), x.par_chunks_mut(CHUNK).enumerate(), |(index, values)| {
        let first = index * CHUNK;
        instructions.run(Task { values, first, mask });
    });
}
