//! Softmax attention without the matrix of scores in memory: a block of scores at a time, with a running maximum and sum.
//!
//! Queries are in vector lanes, a panel at a time, and keys are the rows: scores are `[keys, queries]`, so that maxima,
//! exponentials and sums are plain vector operations.

use pulp::Simd;
use rayon::prelude::*;

use super::{AttentionMask, Head, SERIAL_WORK, first_weight};
use crate::cpu::tile::{self, TileShape, TileTask, multiply_add};
use crate::cpu::{InstructionSet, OutputCells, Scratch, exp2, filled_by, interleave, pad};

/// Keys of a block, in groups of interleaved rows: scores and a panel of queries fit into the L1 cache.
const KEY_GROUPS: usize = 16;
/// Starts every running maximum; below every score.
const LOWEST: f32 = -1e29;
/// Score of a hidden key; below [`LOWEST`], so that its weight is exactly 0.
const HIDDEN: f32 = -1e30;

/// Result of [`attention`].
#[derive(Debug)]
pub(crate) struct Attended {
    /// `[batch, queries, heads, value_dim]`: heads of a token are contiguous, so that merging them copies nothing.
    pub(crate) output: Vec<f32>,
    /// Log-sum-exp of the scores: `[batch, heads, queries]`.
    pub(crate) log_sum: Vec<f32>,
}

/// `softmax(scale · query · keyᵀ) · value` of every head; `heads` of a batch follow each other. All have the same shapes.
///
/// With `causal`, query `i` of `q` attends to the own keys up to `i + keys − q` and to all extra ones. The output of a query
/// without any visible key is zero.
pub(crate) fn attention(
    instructions: InstructionSet,
    heads: &[Head<'_>],
    heads_per_image: usize,
    scale: f32,
    mask: AttentionMask,
) -> Attended {
    let Some(first) = heads.first() else {
        return Attended {
            output: Vec::new(),
            log_sum: Vec::new(),
        };
    };
    let (queries, value_dim) = (first.query.rows, first.value.columns);
    let shape = TileShape::of(instructions);
    let panels = queries.div_ceil(shape.columns);
    let work = heads.len() * queries * first.keys() * (first.query.columns + value_dim);
    let run_head = |index: usize, output: &OutputCells<'_>, log_sum: &OutputCells<'_>| {
        let head = &heads[index];
        let keys = head.interleaved_keys(shape.rows);
        let values = head.interleaved_value_columns(shape.rows);
        let run_panel = |panel: usize| {
            let first_query = panel * shape.columns;
            let task = Panel {
                head,
                keys: &keys,
                values: &values,
                scale,
                mask,
                queries: first_query..queries.min(first_query + shape.columns),
                output,
                first_output: (index / heads_per_image * queries * heads_per_image + index % heads_per_image)
                    * value_dim,
                output_stride: heads_per_image * value_dim,
                log_sum,
                first_log_sum: index * queries,
                first_weight: first_weight(index, head),
            };
            tile::run(instructions, task);
        };
        if work < SERIAL_WORK {
            (0..panels).for_each(run_panel);
        } else {
            (0..panels).into_par_iter().with_max_len(1).for_each(run_panel);
        }
    };
    let mut log_sum = Vec::new();
    let fill = |output: &OutputCells<'_>| {
        let fill = |log_sum: &OutputCells<'_>| {
            if work < SERIAL_WORK {
                (0..heads.len()).for_each(|head| run_head(head, output, log_sum));
            } else {
                (0..heads.len())
                    .into_par_iter()
                    .with_max_len(1)
                    .for_each(|head| run_head(head, output, log_sum));
            }
        };
        // SAFETY: the panels of all heads cover all queries.
        log_sum = unsafe { filled_by(heads.len() * queries, fill) };
    };
    // SAFETY: the panels of all heads cover all queries, and each writes all of its value columns.
    let output = unsafe { filled_by(heads.len() * queries * value_dim, fill) };
    Attended { output, log_sum }
}

/// Queries of a head, at most as many as a tile has columns.
struct Panel<'a> {
    head: &'a Head<'a>,
    /// `[key groups, head_dim, ROWS]`
    keys: &'a [f32],
    /// `[value column groups, keys, ROWS]`
    values: &'a [f32],
    scale: f32,
    mask: AttentionMask,
    queries: std::ops::Range<usize>,
    output: &'a OutputCells<'a>,
    first_output: usize,
    output_stride: usize,
    log_sum: &'a OutputCells<'a>,
    first_log_sum: usize,
    first_weight: u32,
}

impl TileTask for Panel<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize, const VECTORS: usize>(self, simd: S) {
        // A narrower tile for the last queries.
        let count = self.queries.len();
        if count <= S::F32_LANES {
            self.attend::<S, ROWS, 1>(simd);
        } else if VECTORS > 2 && count <= 2 * S::F32_LANES {
            self.attend::<S, ROWS, 2>(simd);
        } else {
            self.attend::<S, ROWS, VECTORS>(simd);
        }
    }
}

impl Panel<'_> {
    #[inline(always)]
    fn attend<S: Simd, const ROWS: usize, const VECTORS: usize>(self, simd: S) {
        let Head { query, value, .. } = *self.head;
        let width = VECTORS * S::F32_LANES;
        let keys = self.head.keys();
        let block = KEY_GROUPS * ROWS;
        let value_groups = value.columns.div_ceil(ROWS);
        let key_groups = self.keys.as_chunks::<ROWS>().0;
        let value_columns = self.values.as_chunks::<ROWS>().0;

        let mut queries = Scratch::new(query.columns * width);
        let rows = query.rows(self.queries.start, self.queries.len());
        interleave(rows, [0, 0], query.columns, width, &mut queries);
        pad(rows.rows, query.columns, width, &mut queries);
        let queries = S::as_mut_simd_f32s(&mut queries).0;
        let factor = simd.splat_f32s(self.scale * std::f32::consts::LOG2_E);
        for vector in queries.iter_mut() {
            *vector = simd.mul_f32s(*vector, factor);
        }
        let queries: &[[S::f32s; VECTORS]] = queries.as_chunks().0;

        let mut weights = Scratch::new(block * width);
        let weights = S::as_mut_simd_f32s(&mut weights).0.as_chunks_mut::<VECTORS>().0;
        let mut sums = Scratch::new(value_groups * ROWS * width);
        sums.fill(0.0);
        let sums = S::as_mut_simd_f32s(&mut sums).0.as_chunks_mut::<VECTORS>().0;
        let zero = simd.splat_f32s(0.0);
        let mut maximum = [simd.splat_f32s(LOWEST); VECTORS];
        let mut total = [zero; VECTORS];

        for first in (0..keys).step_by(block) {
            let count = block.min(keys - first);
            // Scores, and their maxima.
            let mut block_maximum = maximum;
            for group in 0..count.div_ceil(ROWS) {
                let left = &key_groups[(first / ROWS + group) * query.columns..][..query.columns];
                let tile = multiply_add(simd, left, queries);
                let out = &mut weights[group * ROWS..][..ROWS];
                let valid = ROWS.min(count - group * ROWS);
                out.copy_from_slice(&tile);
                if valid == ROWS {
                    for row in &tile {
                        for vector in 0..VECTORS {
                            block_maximum[vector] = simd.max_f32s(block_maximum[vector], row[vector]);
                        }
                    }
                } else {
                    for row in out.iter().take(valid) {
                        for vector in 0..VECTORS {
                            block_maximum[vector] = simd.max_f32s(block_maximum[vector], row[vector]);
                        }
                    }
                }
            }
            if self.mask.causal && self.hides(first + count) {
                let scores: &mut [f32] = bytemuck::cast_slice_mut(weights.as_flattened_mut());
                self.hide(first, count, width, scores);
                block_maximum = maximum;
                for row in weights.iter().take(count) {
                    for vector in 0..VECTORS {
                        block_maximum[vector] = simd.max_f32s(block_maximum[vector], row[vector]);
                    }
                }
            }
            // The sums so far are scaled to the new maxima.
            let mut correction = [zero; VECTORS];
            for vector in 0..VECTORS {
                correction[vector] = exp2(simd, simd.sub_f32s(maximum[vector], block_maximum[vector]));
                total[vector] = simd.mul_f32s(total[vector], correction[vector]);
            }
            maximum = block_maximum;
            for row in weights.iter_mut().take(count) {
                for vector in 0..VECTORS {
                    row[vector] = exp2(simd, simd.sub_f32s(row[vector], maximum[vector]));
                    total[vector] = simd.add_f32s(total[vector], row[vector]);
                }
            }
            if let Some(dropout) = self.mask.dropout {
                let weights: &mut [f32] = bytemuck::cast_slice_mut(weights[..count].as_flattened_mut());
                for (key, row) in (first..).zip(weights.chunks_exact_mut(width)) {
                    let start = self.first_weight.wrapping_add((self.queries.start * keys + key) as u32);
                    dropout.apply(row, start, keys as u32);
                }
            }
            for group in 0..value_groups {
                let left = &value_columns[group * keys + first..][..count];
                let out = &mut sums[group * ROWS..][..ROWS];
                let tile = multiply_add(simd, left, &weights[..count]);
                for row in 0..ROWS {
                    for vector in 0..VECTORS {
                        out[row][vector] = simd.mul_add_e_f32s(out[row][vector], correction[vector], tile[row][vector]);
                    }
                }
            }
        }
        self.write_output::<S, VECTORS>(simd, sums, maximum, total);
    }

    /// Divides by the sums of weights and writes the result, a row for a query.
    #[inline(always)]
    fn write_output<S: Simd, const VECTORS: usize>(
        &self,
        simd: S,
        sums: &mut [[S::f32s; VECTORS]],
        maximum: [S::f32s; VECTORS],
        total: [S::f32s; VECTORS],
    ) {
        let value_dim = self.head.value.columns;
        let mut inverse = [simd.splat_f32s(0.0); VECTORS];
        for vector in 0..VECTORS {
            // A query without any visible key has the sum 0 and values 0.
            let positive = simd.max_f32s(total[vector], simd.splat_f32s(f32::MIN_POSITIVE));
            inverse[vector] = simd.div_f32s(simd.splat_f32s(1.0), positive);
        }
        for row in sums.iter_mut().take(value_dim) {
            for vector in 0..VECTORS {
                row[vector] = simd.mul_f32s(row[vector], inverse[vector]);
            }
        }
        let width = VECTORS * S::F32_LANES;
        let sums: &[f32] = bytemuck::cast_slice(sums.as_flattened());
        let maximum: &[f32] = bytemuck::cast_slice(maximum.as_slice());
        let total: &[f32] = bytemuck::cast_slice(total.as_slice());
        for (lane, query) in self.queries.clone().enumerate() {
            let first = self.first_output + query * self.output_stride;
            // SAFETY: no other panel of this head, and no other head, has this row.
            let mut out = unsafe { self.output.rectangle(first, value_dim, [1, value_dim]) };
            for (column, row) in sums.chunks_exact(width).take(value_dim).enumerate() {
                out.write(column, row[lane]);
            }
            // SAFETY: as above.
            let mut log_sum = unsafe { self.log_sum.rectangle(self.first_log_sum + query, 1, [1, 1]) };
            let base_2 = maximum[lane] + total[lane].max(f32::MIN_POSITIVE).log2();
            log_sum.write(0, base_2 * std::f32::consts::LN_2);
        }
    }

    /// Whether a key before `end` is hidden from a query of the panel.
    fn hides(&self, end: usize) -> bool {
        let own = end.min(self.head.key.rows);
        own + self.head.query.rows > self.queries.start + 1 + self.head.key.rows
    }

    /// Puts the scores of hidden keys below all others.
    fn hide(&self, first_key: usize, count: usize, width: usize, scores: &mut [f32]) {
        let (queries, own_keys) = (self.head.query.rows, self.head.key.rows);
        for (key, row) in (first_key..(first_key + count).min(own_keys)).zip(scores.chunks_exact_mut(width)) {
            for (query, score) in self.queries.clone().zip(row) {
                if key + queries > query + own_keys {
                    *score = HIDDEN;
                }
            }
        }
    }
}
