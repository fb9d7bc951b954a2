//! QuickGELU and its derivative on the CPU, on all threads.

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::cpu::{CHUNK, InstructionSet, filled_in_chunks, in_chunks, sigmoid};

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
                out.write(quick_gelu_simd(simd, *x));
            }
            if !x_rest.is_empty() {
                let values = [quick_gelu_simd(simd, simd.partial_load_f32s(x_rest))];
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
                *x = quick_gelu_simd(simd, *x);
            }
            if !rest.is_empty() {
                let value = quick_gelu_simd(simd, simd.partial_load_f32s(rest));
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

/// Slope of CLIP's approximation of GELU.
pub(crate) const QUICK_GELU_SLOPE: f32 = 1.702;

/// `x · σ(1.702 x)`.
#[inline(always)]
pub(crate) fn quick_gelu_simd<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    simd.mul_f32s(x, sigmoid(simd, x, QUICK_GELU_SLOPE))
}

/// Derivative of [`quick_gelu_simd`]: `σ + 1.702 x σ (1 − σ)` where σ = σ(1.702 x).
#[inline(always)]
pub(crate) fn quick_gelu_derivative<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let s = sigmoid(simd, x, QUICK_GELU_SLOPE);
    let rest = simd.sub_f32s(simd.splat_f32s(1.0), s);
    let scaled = simd.mul_f32s(simd.mul_f32s(x, simd.splat_f32s(QUICK_GELU_SLOPE)), rest);
    simd.mul_f32s(s, simd.add_f32s(simd.splat_f32s(1.0), scaled))
}

#[cfg(test)]
mod tests;
