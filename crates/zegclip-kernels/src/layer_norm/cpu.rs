//! Layer normalization of rows and its gradients on the CPU.

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::cpu::{InstructionSet, filled_in_chunks};

/// About how many floats a task has, in complete rows.
const CHUNK: usize = 1 << 14;
/// Independent partial sums, so that an addition does not wait for the one before.
const CHAINS: usize = 4;

/// Rows per task: a function of the number of columns alone, so that sums over rows do not depend on threads.
fn rows_per_task(columns: usize) -> usize {
    (CHUNK / columns).max(1)
}

/// `(x − mean) / sqrt(variance + epsilon) · gamma + beta` of each row of `gamma.len()` floats, with the population
/// variance.
pub(crate) fn layer_norm(
    instructions: InstructionSet,
    x: &[f32],
    gamma: &[f32],
    beta: Option<&[f32]>,
    epsilon: f32,
) -> Vec<f32> {
    let columns = gamma.len();
    assert!(
        columns > 0 && x.len().is_multiple_of(columns),
        "rows of {columns} floats"
    );
    assert!(
        beta.is_none_or(|beta| beta.len() == columns),
        "an offset for each column"
    );
    let chunk = rows_per_task(columns) * columns;
    let write = |index: usize, out: &mut [MaybeUninit<f32>]| {
        let x = &x[index * chunk..][..out.len()];
        instructions.run(Forward {
            x,
            gamma,
            beta,
            epsilon,
            out,
        });
    };
    // SAFETY: a task writes each row of its part.
    unsafe { filled_in_chunks(x.len(), chunk, write) }
}

/// Gradients of `gamma` and `beta`.
#[derive(Debug)]
pub(crate) struct ParameterGradients {
    pub(crate) gamma: Vec<f32>,
    pub(crate) beta: Vec<f32>,
}

/// Replaces the gradient of the result by that of `x`.
pub(crate) fn layer_norm_x_gradient(
    instructions: InstructionSet,
    x: &[f32],
    gamma: &[f32],
    epsilon: f32,
    gradient: &mut [f32],
) {
    assert_eq!(x.len(), gradient.len(), "a gradient for each element");
    let chunk = rows_per_task(gamma.len()) * gamma.len();
    x.par_chunks(chunk)
        .zip(gradient.par_chunks_mut(chunk))
        .for_each(|(x, gradient)| {
            instructions.run(Backward {
                x,
                gamma,
                epsilon,
                gradient,
                parameters: None,
            });
        });
}

/// Replaces the gradient of the result by that of `x`, and returns those of `gamma` and `beta`.
pub(crate) fn layer_norm_gradients(
    instructions: InstructionSet,
    x: &[f32],
    gamma: &[f32],
    epsilon: f32,
    gradient: &mut [f32],
) -> ParameterGradients {
    assert_eq!(x.len(), gradient.len(), "a gradient for each element");
    let columns = gamma.len();
    let chunk = rows_per_task(columns) * columns;
    let partial: Vec<Vec<f32>> = x
        .par_chunks(chunk)
        .zip(gradient.par_chunks_mut(chunk))
        .map(|(x, gradient)| {
            let mut sums = vec![0.0; 2 * columns];
            let (gamma_sums, beta_sums) = sums.split_at_mut(columns);
            instructions.run(Backward {
                x,
                gamma,
                epsilon,
                gradient,
                parameters: Some((gamma_sums, beta_sums)),
            });
            sums
        })
        .collect();
    let mut total = vec![0.0; 2 * columns];
    for sums in &partial {
        for (total, sum) in total.iter_mut().zip(sums) {
            *total += sum;
        }
    }
    let beta = total.split_off(columns);
    ParameterGradients { gamma: total, beta }
}

struct Forward<'a> {
    x: &'a [f32],
    gamma: &'a [f32],
    beta: Option<&'a [f32]>,
    epsilon: f32,
    out: &'a mut [MaybeUninit<f32>],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let columns = self.gamma.len();
        let rows = self.x.chunks_exact(columns).zip(self.out.chunks_exact_mut(columns));
        let (gamma, gamma_rest) = S::as_simd_f32s(self.gamma);
        for (row, out) in rows {
            let Moments { mean, scale } = moments(simd, row, self.epsilon);
            let (x, rest) = S::as_simd_f32s(row);
            let (out, out_rest) = S::as_uninit_mut_simd_f32s(out);
            let (means, scales) = (simd.splat_f32s(mean), simd.splat_f32s(scale));
            let normalized = |x| simd.mul_f32s(simd.sub_f32s(x, means), scales);
            let rests = rest.iter().zip(gamma_rest).map(|(x, gamma)| (x - mean) * scale * gamma);
            match self.beta {
                None => {
                    for ((x, gamma), out) in x.iter().zip(gamma).zip(out) {
                        out.write(simd.mul_f32s(normalized(*x), *gamma));
                    }
                    for (out, value) in out_rest.iter_mut().zip(rests) {
                        out.write(value);
                    }
                }
                Some(beta) => {
                    let (beta, beta_rest) = S::as_simd_f32s(beta);
                    for (((x, gamma), beta), out) in x.iter().zip(gamma).zip(beta).zip(out) {
                        out.write(simd.mul_add_e_f32s(normalized(*x), *gamma, *beta));
                    }
                    for ((out, value), beta) in out_rest.iter_mut().zip(rests).zip(beta_rest) {
                        out.write(value + beta);
                    }
                }
            }
        }
    }
}

struct Backward<'a> {
    x: &'a [f32],
    gamma: &'a [f32],
    epsilon: f32,
    gradient: &'a mut [f32],
    /// Sums to which the gradients of gamma and beta are added.
    parameters: Option<(&'a mut [f32], &'a mut [f32])>,
}

impl WithSimd for Backward<'_> {
    type Output = ();

    /// With x̂ the normalized row and h = gradient · gamma: `scale · (h − mean(h) − x̂ · mean(h x̂))`.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            gamma,
            epsilon,
            mut parameters,
            ..
        } = self;
        let columns = gamma.len();
        let rows = self.x.chunks_exact(columns);
        for (row, gradient) in rows.zip(self.gradient.chunks_exact_mut(columns)) {
            let Moments { mean, scale } = moments(simd, row, epsilon);
            if let Some((gamma_sums, beta_sums)) = &mut parameters {
                add_parameter_gradients(simd, row, gradient, [mean, scale], gamma_sums, beta_sums);
            }
            x_gradient(simd, row, gamma, gradient, [mean, scale]);
        }
    }
}

#[inline(always)]
fn add_parameter_gradients<S: Simd>(
    simd: S,
    row: &[f32],
    gradient: &[f32],
    [mean, scale]: [f32; 2],
    gamma_sums: &mut [f32],
    beta_sums: &mut [f32],
) {
    let (means, scales) = (simd.splat_f32s(mean), simd.splat_f32s(scale));
    let (x, x_rest) = S::as_simd_f32s(row);
    let (g, g_rest) = S::as_simd_f32s(gradient);
    let (gammas, gammas_rest) = S::as_mut_simd_f32s(gamma_sums);
    let (betas, betas_rest) = S::as_mut_simd_f32s(beta_sums);
    for (((x, g), gamma), beta) in x.iter().zip(g).zip(gammas).zip(betas) {
        let normalized = simd.mul_f32s(simd.sub_f32s(*x, means), scales);
        *gamma = simd.mul_add_e_f32s(*g, normalized, *gamma);
        *beta = simd.add_f32s(*beta, *g);
    }
    for (((x, g), gamma), beta) in x_rest.iter().zip(g_rest).zip(gammas_rest).zip(betas_rest) {
        *gamma += g * (x - mean) * scale;
        *beta += g;
    }
}

#[inline(always)]
fn x_gradient<S: Simd>(simd: S, row: &[f32], gamma: &[f32], gradient: &mut [f32], [mean, scale]: [f32; 2]) {
    let (means, scales) = (simd.splat_f32s(mean), simd.splat_f32s(scale));
    let (x, x_rest) = S::as_simd_f32s(row);
    let (gamma, gamma_rest) = S::as_simd_f32s(gamma);
    let (g, g_rest) = S::as_mut_simd_f32s(gradient);
    let mut sums = [[simd.splat_f32s(0.0); 2]; CHAINS];
    for (index, ((x, gamma), g)) in x.iter().zip(gamma).zip(g.iter()).enumerate() {
        let [plain, along] = &mut sums[index % CHAINS];
        let weighted = simd.mul_f32s(*g, *gamma);
        *plain = simd.add_f32s(*plain, weighted);
        *along = simd.mul_add_e_f32s(weighted, simd.mul_f32s(simd.sub_f32s(*x, means), scales), *along);
    }
    let mut plain = simd.reduce_sum_f32s(add_up(simd, sums.map(|[plain, _]| plain)));
    let mut along = simd.reduce_sum_f32s(add_up(simd, sums.map(|[_, along]| along)));
    for ((x, gamma), g) in x_rest.iter().zip(gamma_rest).zip(g_rest.iter()) {
        plain += g * gamma;
        along += g * gamma * (x - mean) * scale;
    }
    let count = row.len() as f32;
    let (plain, along) = (plain / count, along / count);
    let (plains, alongs) = (simd.splat_f32s(plain), simd.splat_f32s(along));
    for ((x, gamma), g) in x.iter().zip(gamma).zip(g) {
        let normalized = simd.mul_f32s(simd.sub_f32s(*x, means), scales);
        let centered = simd.sub_f32s(simd.mul_f32s(*g, *gamma), plains);
        let rest = simd.mul_f32s(normalized, alongs);
        *g = simd.mul_f32s(scales, simd.sub_f32s(centered, rest));
    }
    for ((x, gamma), g) in x_rest.iter().zip(gamma_rest).zip(g_rest) {
        *g = scale * (*g * gamma - plain - (x - mean) * scale * along);
    }
}

/// Mean of a row, and one over its standard deviation.
struct Moments {
    mean: f32,
    scale: f32,
}

/// In two passes over the row, which is in the L1 cache: the variance is not a difference of large sums.
#[inline(always)]
fn moments<S: Simd>(simd: S, row: &[f32], epsilon: f32) -> Moments {
    let (vectors, rest) = S::as_simd_f32s(row);
    let count = row.len() as f32;
    let mut sums = [simd.splat_f32s(0.0); CHAINS];
    for (index, x) in vectors.iter().enumerate() {
        sums[index % CHAINS] = simd.add_f32s(sums[index % CHAINS], *x);
    }
    let sum = simd.reduce_sum_f32s(add_up(simd, sums)) + rest.iter().sum::<f32>();
    let mean = sum / count;
    let means = simd.splat_f32s(mean);
    let mut squares = [simd.splat_f32s(0.0); CHAINS];
    for (index, x) in vectors.iter().enumerate() {
        let deviation = simd.sub_f32s(*x, means);
        squares[index % CHAINS] = simd.mul_add_e_f32s(deviation, deviation, squares[index % CHAINS]);
    }
    let squares = simd.reduce_sum_f32s(add_up(simd, squares));
    let squares = squares + rest.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>();
    Moments {
        mean,
        scale: 1.0 / (squares / count + epsilon).sqrt(),
    }
}

#[inline(always)]
fn add_up<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; CHAINS]) -> S::f32s {
    simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d))
}

#[cfg(test)]
mod tests;
