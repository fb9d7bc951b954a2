//! Functions of single elements, on all threads.

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::buffer::filled_in_chunks;
use super::exponential::{self, quick_gelu_derivative};
use super::instruction_set::InstructionSet;
use super::lots::Lots;

/// Floats a task.
const CHUNK: usize = 1 << 14;

/// `x · σ(1.702 x)` of each `x`.
pub(crate) fn quick_gelu(instructions: InstructionSet, x: &[f32]) -> Vec<f32> {
    struct Task<'a>(&'a [f32], &'a mut [MaybeUninit<f32>]);
    impl WithSimd for Task<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let (x, x_rest) = S::as_simd_f32s(self.0);
            let (out, out_rest) = S::as_uninit_mut_simd_f32s(self.1);
            for (x, out) in x.iter().zip(out) {
                out.write(exponential::quick_gelu(simd, *x));
            }
            if !x_rest.is_empty() {
                let values = [exponential::quick_gelu(simd, simd.partial_load_f32s(x_rest))];
                for (value, out) in bytemuck::cast_slice(&values).iter().zip(out_rest) {
                    out.write(*value);
                }
            }
        }
    }
    let write = |index: usize, out: &mut [MaybeUninit<f32>]| {
        instructions.run(Task(&x[index * CHUNK..][..out.len()], out));
    };
    // SAFETY: a task writes each element of its part.
    unsafe { filled_in_chunks(x.len(), CHUNK, write) }
}

/// Replaces each `x` by `x · σ(1.702 x)`.
pub(crate) fn quick_gelu_in_place(instructions: InstructionSet, x: &mut [f32]) {
    struct Task<'a>(&'a mut [f32]);
    impl WithSimd for Task<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let (vectors, rest) = S::as_mut_simd_f32s(self.0);
            for x in vectors {
                *x = exponential::quick_gelu(simd, *x);
            }
            if !rest.is_empty() {
                let value = exponential::quick_gelu(simd, simd.partial_load_f32s(rest));
                simd.partial_store_f32s(rest, value);
            }
        }
    }
    in_chunks(x.len(), x.par_chunks_mut(CHUNK), |chunk| instructions.run(Task(chunk)));
}

/// Multiplies each gradient by the derivative of `x · σ(1.702 x)` at its `x`.
pub(crate) fn quick_gelu_backward_in_place(instructions: InstructionSet, x: &[f32], gradient: &mut [f32]) {
    struct Task<'a>(&'a [f32], &'a mut [f32]);
    impl WithSimd for Task<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let (x, x_rest) = S::as_simd_f32s(self.0);
            let (gradient, rest) = S::as_mut_simd_f32s(self.1);
            for (x, gradient) in x.iter().zip(gradient) {
                *gradient = simd.mul_f32s(*gradient, quick_gelu_derivative(simd, *x));
            }
            if !rest.is_empty() {
                let slope = quick_gelu_derivative(simd, simd.partial_load_f32s(x_rest));
                let value = simd.mul_f32s(simd.partial_load_f32s(rest), slope);
                simd.partial_store_f32s(rest, value);
            }
        }
    }
    assert_eq!(x.len(), gradient.len(), "a gradient for each element");
    let chunks = x.par_chunks(CHUNK).zip(gradient.par_chunks_mut(CHUNK));
    in_chunks(x.len(), chunks, |(x, gradient)| instructions.run(Task(x, gradient)));
}

/// Values that dropout goes over, and the position of the first.
struct DropoutTask<'a>(&'a mut [f32], usize, Lots);

impl WithSimd for DropoutTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self(values, first, lots) = self;
        lots.apply(values, first as u32, 1);
    }
}

/// Each `x` times the factor that `lots` give its position.
pub(crate) fn dropout(instructions: InstructionSet, x: &[f32], lots: Lots) -> Vec<f32> {
    let write = |index: usize, out: &mut [MaybeUninit<f32>]| {
        let first = index * CHUNK;
        let values = out.write_copy_of_slice(&x[first..][..out.len()]);
        instructions.run(DropoutTask(values, first, lots));
    };
    // SAFETY: a task writes each element of its part.
    unsafe { filled_in_chunks(x.len(), CHUNK, write) }
}

/// Multiplies each `x` by the factor that `lots` give its position.
pub(crate) fn dropout_in_place(instructions: InstructionSet, x: &mut [f32], lots: Lots) {
    in_chunks(x.len(), x.par_chunks_mut(CHUNK).enumerate(), |(index, values)| {
        instructions.run(DropoutTask(values, index * CHUNK, lots));
    });
}

/// Runs `task` on every chunk; a single one stays on this thread.
fn in_chunks<I: IndexedParallelIterator>(len: usize, chunks: I, task: impl Fn(I::Item) + Sync + Send) {
    // A part may not be shorter than all chunks together when other threads do not pay.
    let shortest = if len <= CHUNK { usize::MAX } else { 1 };
    chunks.with_min_len(shortest).for_each(task);
}
