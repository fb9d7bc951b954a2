//! Gradients of attention: weights are computed again, a block at a time, from the saved log-sum-exp.
//!
//! With P the weights and D = Σ dO ∘ O of each query: dV = Pᵀ dO, dS = P ∘ (dO Vᵀ − D), dQ = scale · dS K, dK = scale · dSᵀ Q.
//! Keys are in vector lanes, a panel at a time, and queries are the rows.

use pulp::Simd;
use rayon::prelude::*;

use super::{AttentionMask, Head, SERIAL_WORK, first_weight, interleaved_columns, interleaved_rows};
use crate::cpu::tile::{self, TileTask, multiply_add, multiply_add_rows};
use crate::cpu::{InstructionSet, Matrix, OutputCells, OutputRectangle, Scratch, exp2, interleave, pad};
use crate::dropout::DropoutMask;

/// Groups of interleaved queries of a block.
const QUERY_GROUPS: usize = 8;
/// Vectors per row of the tiles of the queries' gradient, since head dimensions are rarely multiples of three vectors.
const NARROW: usize = 2;
/// Log-sum-exp (base 2) of padding queries, whose weights become 0.
const NO_QUERY: f32 = 1e30;

/// Destination of a head's gradients: rows `stride` floats apart, the first at `first`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GradientTarget<'a> {
    pub(crate) cells: &'a OutputCells<'a>,
    pub(crate) first: usize,
    pub(crate) stride: usize,
}

/// Inputs of the backward pass of a head, and the destinations of its results.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadBackward<'a> {
    pub(crate) head: Head<'a>,
    /// `[queries, value_dim]`
    pub(crate) output: Matrix<'a>,
    /// `[queries, value_dim]`
    pub(crate) output_gradient: Matrix<'a>,
    /// From [`super::attention()`]: `[queries]`.
    pub(crate) log_sum: &'a [f32],
    /// `[queries, head_dim]`
    pub(crate) query_gradient: GradientTarget<'a>,
    /// `[keys, head_dim]`
    pub(crate) key_gradient: GradientTarget<'a>,
    /// `[keys, value_dim]`
    pub(crate) value_gradient: GradientTarget<'a>,
    /// Of extra keys `[extra, head_dim]` and values `[extra, value_dim]`.
    pub(crate) extra_gradient: Option<(GradientTarget<'a>, GradientTarget<'a>)>,
}

/// Writes the gradients of every head.
///
/// # Safety
/// No two targets share a cell, and nothing else uses their cells during the call.
pub(crate) unsafe fn attention_backward(
    instructions: InstructionSet,
    heads: &[HeadBackward<'_>],
    scale: f32,
    mask: AttentionMask,
) {
    let run_head = |(index, head): (usize, &HeadBackward<'_>)| {
        let first_weight = first_weight(index, &head.head);
        tile::run(
            instructions,
            Task {
                head,
                scale,
                mask,
                first_weight,
            },
        );
    };
    let work: usize = heads
        .iter()
        .map(|head| head.head.query.rows * head.head.keys() * head.head.query.columns)
        .sum();
    if work < SERIAL_WORK {
        heads.iter().enumerate().for_each(run_head);
    } else {
        heads.par_iter().enumerate().with_max_len(1).for_each(run_head);
    }
}

impl GradientTarget<'_> {
    /// # Safety
    /// Nothing else uses the row.
    #[inline(always)]
    unsafe fn row(&self, row: usize, columns: usize) -> OutputRectangle<'_> {
        // SAFETY: promised by the caller.
        unsafe { self.cells.rectangle(self.first + row * self.stride, 0, [1, columns]) }
    }
}

struct Task<'a> {
    head: &'a HeadBackward<'a>,
    scale: f32,
    mask: AttentionMask,
    first_weight: u32,
}

impl TileTask for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize, const VECTORS: usize>(self, simd: S) {
        let HeadBackward {
            head,
            output,
            output_gradient,
            log_sum,
            ..
        } = *self.head;
        let (queries, head_dim, value_dim) = (head.query.rows, head.query.columns, head.value.columns);
        let keys = head.keys();
        let width = VECTORS * S::F32_LANES;
        let narrow = NARROW * S::F32_LANES;
        let zero = simd.splat_f32s(0.0);

        // Queries and the output's gradient by rows, for the scores, and by columns, for the gradients of keys and values.
        let query_rows = interleaved_rows([Some(head.query), None], ROWS);
        let query_columns = interleaved_columns([Some(head.query), None], ROWS);
        let gradient_rows = interleaved_rows([Some(output_gradient), None], ROWS);
        let gradient_columns = interleaved_columns([Some(output_gradient), None], ROWS);
        let key_columns = interleaved_columns([Some(head.key), head.extra.map(|(key, _)| key)], narrow);
        let query_rows = query_rows.as_chunks::<ROWS>().0;
        let query_columns = query_columns.as_chunks::<ROWS>().0;
        let gradient_rows = gradient_rows.as_chunks::<ROWS>().0;
        let gradient_columns = gradient_columns.as_chunks::<ROWS>().0;
        let key_columns = S::as_simd_f32s(&key_columns).0.as_chunks::<NARROW>().0;

        let query_groups = queries.div_ceil(ROWS);
        let mut log_sums = Scratch::new(query_groups * ROWS);
        for (padded, log_sum) in log_sums.iter_mut().zip(log_sum) {
            *padded = log_sum * std::f32::consts::LOG2_E;
        }
        log_sums[queries..].fill(NO_QUERY);
        let mut products = Scratch::new(query_groups * ROWS);
        for (query, product) in products.iter_mut().enumerate() {
            *product = 0.0;
            if query < queries {
                for column in 0..value_dim {
                    *product += output.at(query, column) * output_gradient.at(query, column);
                }
            }
        }

        let head_panels = head_dim.div_ceil(narrow);
        let mut query_sums = Scratch::new(head_panels * query_groups * ROWS * narrow);
        query_sums.fill(0.0);
        let query_sums = S::as_mut_simd_f32s(&mut query_sums).0.as_chunks_mut::<NARROW>().0;

        let (head_groups, value_groups) = (head_dim.div_ceil(ROWS), value_dim.div_ceil(ROWS));
        let mut key_sums = Scratch::new(head_groups * ROWS * width);
        let key_sums = S::as_mut_simd_f32s(&mut key_sums).0.as_chunks_mut::<VECTORS>().0;
        let mut value_sums = Scratch::new(value_groups * ROWS * width);
        let value_sums = S::as_mut_simd_f32s(&mut value_sums).0.as_chunks_mut::<VECTORS>().0;
        let mut weights = Scratch::new(QUERY_GROUPS * ROWS * width);
        let weights = S::as_mut_simd_f32s(&mut weights).0.as_chunks_mut::<VECTORS>().0;
        let mut score_gradients = Scratch::new(QUERY_GROUPS * ROWS * width);
        let score_gradients = S::as_mut_simd_f32s(&mut score_gradients).0.as_chunks_mut::<VECTORS>().0;
        let mut key_panel = Scratch::new(head_dim * width);
        let mut value_panel = Scratch::new(value_dim * width);

        let log2_scale = simd.splat_f32s(self.scale * std::f32::consts::LOG2_E);
        for first_key in (0..keys).step_by(width) {
            let key_count = width.min(keys - first_key);
            self.load_panel(first_key, key_count, width, &mut key_panel, &mut value_panel);
            let key_panel = S::as_simd_f32s(&key_panel).0.as_chunks::<VECTORS>().0;
            let value_panel = S::as_simd_f32s(&value_panel).0.as_chunks::<VECTORS>().0;
            key_sums.fill([zero; VECTORS]);
            value_sums.fill([zero; VECTORS]);
            for first_group in (0..query_groups).step_by(QUERY_GROUPS) {
                let groups = QUERY_GROUPS.min(query_groups - first_group);
                for group in first_group..first_group + groups {
                    let row = (group - first_group) * ROWS;
                    let left = &query_rows[group * head_dim..][..head_dim];
                    let scores = multiply_add(simd, left, key_panel);
                    for index in 0..ROWS {
                        let log_sum = simd.splat_f32s(-log_sums[group * ROWS + index]);
                        for vector in 0..VECTORS {
                            let score = simd.mul_add_e_f32s(scores[index][vector], log2_scale, log_sum);
                            weights[row + index][vector] = exp2(simd, score);
                        }
                    }
                    if self.mask.causal {
                        let weights = weights[row..row + ROWS].as_flattened_mut();
                        self.hide(group * ROWS, first_key, width, bytemuck::cast_slice_mut(weights));
                    }
                    let left = &gradient_rows[group * value_dim..][..value_dim];
                    let gradients = multiply_add(simd, left, value_panel);
                    let factors = self
                        .mask
                        .dropout
                        .map(|dropout| self.factors::<S, ROWS, VECTORS>(simd, dropout, group * ROWS, first_key));
                    for index in 0..ROWS {
                        let product = simd.splat_f32s(products[group * ROWS + index]);
                        for vector in 0..VECTORS {
                            let weight = weights[row + index][vector];
                            let mut gradient = gradients[index][vector];
                            if let Some(factors) = &factors {
                                let factor = factors[index][vector];
                                gradient = simd.mul_f32s(gradient, factor);
                                weights[row + index][vector] = simd.mul_f32s(weight, factor);
                            }
                            let difference = simd.sub_f32s(gradient, product);
                            score_gradients[row + index][vector] = simd.mul_f32s(weight, difference);
                        }
                    }
                }
                let (first_query, count) = (first_group * ROWS, (groups * ROWS).min(queries - first_group * ROWS));
                for group in 0..value_groups {
                    let left = &gradient_columns[group * queries + first_query..][..count];
                    add_product::<S, ROWS, VECTORS>(simd, left, &weights[..count], &mut value_sums[group * ROWS..]);
                }
                for group in 0..head_groups {
                    let left = &query_columns[group * queries + first_query..][..count];
                    add_product::<S, ROWS, VECTORS>(
                        simd,
                        left,
                        &score_gradients[..count],
                        &mut key_sums[group * ROWS..],
                    );
                }
                for group in 0..groups {
                    let left = score_gradients[group * ROWS..][..ROWS].as_flattened();
                    let left: &[f32] = bytemuck::cast_slice(left);
                    let left: [&[f32]; ROWS] = std::array::from_fn(|row| &left[row * width..]);
                    for panel in 0..head_panels {
                        let right = &key_columns[panel * keys + first_key..][..key_count];
                        let tile = multiply_add_rows::<S, ROWS, NARROW>(simd, left, right);
                        let sums = &mut query_sums[(panel * query_groups + first_group + group) * ROWS..][..ROWS];
                        for row in 0..ROWS {
                            for vector in 0..NARROW {
                                sums[row][vector] = simd.add_f32s(sums[row][vector], tile[row][vector]);
                            }
                        }
                    }
                }
            }
            self.write_keys(
                first_key,
                key_count,
                width,
                [
                    bytemuck::cast_slice(key_sums.as_flattened()),
                    bytemuck::cast_slice(value_sums.as_flattened()),
                ],
            );
        }
        self.write_queries(
            query_groups * ROWS,
            narrow,
            bytemuck::cast_slice(query_sums.as_flattened()),
        );
    }
}

/// `sums += left · right`
#[inline(always)]
fn add_product<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    left: &[[f32; ROWS]],
    right: &[[S::f32s; VECTORS]],
    sums: &mut [[S::f32s; VECTORS]],
) {
    let sums = &mut sums[..ROWS];
    let tile = multiply_add(simd, left, right);
    for row in 0..ROWS {
        for vector in 0..VECTORS {
            sums[row][vector] = simd.add_f32s(sums[row][vector], tile[row][vector]);
        }
    }
}

impl Task<'_> {
    /// Factors of a tile's weights by dropout.
    #[inline(always)]
    fn factors<S: Simd, const ROWS: usize, const VECTORS: usize>(
        &self,
        simd: S,
        dropout: DropoutMask,
        first_query: usize,
        first_key: usize,
    ) -> [[S::f32s; VECTORS]; ROWS] {
        let keys = self.head.head.keys();
        let mut factors = [[simd.splat_f32s(1.0); VECTORS]; ROWS];
        let rows: &mut [f32] = bytemuck::cast_slice_mut(factors.as_flattened_mut());
        for (query, row) in (first_query..).zip(rows.chunks_exact_mut(VECTORS * S::F32_LANES)) {
            let start = self.first_weight.wrapping_add((query * keys + first_key) as u32);
            dropout.apply(row, start, 1);
        }
        factors
    }

    /// The keys and values `first..first + count`, of the own ones or the extra ones, each `[dim, width]`.
    fn load_panel(&self, first: usize, count: usize, width: usize, keys: &mut [f32], values: &mut [f32]) {
        let Head { key, value, extra, .. } = self.head.head;
        let own = key.rows.saturating_sub(first).min(count);
        if own > 0 {
            interleave(key.rows(first, own), [0, 0], key.columns, width, keys);
            interleave(value.rows(first, own), [0, 0], value.columns, width, values);
        }
        if let Some((extra_key, extra_value)) = extra
            && own < count
        {
            let first = first + own - key.rows;
            interleave(extra_key.rows(first, count - own), [own, 0], key.columns, width, keys);
            interleave(
                extra_value.rows(first, count - own),
                [own, 0],
                value.columns,
                width,
                values,
            );
        }
        pad(count, key.columns, width, keys);
        pad(count, value.columns, width, values);
    }

    /// Sets the weights of hidden keys to 0.
    fn hide(&self, first_query: usize, first_key: usize, width: usize, weights: &mut [f32]) {
        let (queries, own_keys) = (self.head.head.query.rows, self.head.head.key.rows);
        for (query, row) in (first_query..).zip(weights.chunks_exact_mut(width)) {
            for (key, weight) in (first_key..own_keys).zip(row) {
                if key + queries > query + own_keys {
                    *weight = 0.0;
                }
            }
        }
    }

    /// Writes the gradients of the keys and values `first..first + count` from sums `[dim, width]`.
    fn write_keys(&self, first: usize, count: usize, width: usize, [key_sums, value_sums]: [&[f32]; 2]) {
        let head = &self.head.head;
        let (head_dim, value_dim) = (head.query.columns, head.value.columns);
        for lane in 0..count {
            let key = first + lane;
            let (row, targets) = match self.head.extra_gradient {
                Some(extra) if key >= head.key.rows => (key - head.key.rows, extra),
                _ => (key, (self.head.key_gradient, self.head.value_gradient)),
            };
            // SAFETY: the rows belong to this head alone, as the caller of `attention_backward` promises.
            let mut out = unsafe { targets.0.row(row, head_dim) };
            for (column, sums) in key_sums.chunks_exact(width).take(head_dim).enumerate() {
                out.write(column, self.scale * sums[lane]);
            }
            // SAFETY: as above.
            let mut out = unsafe { targets.1.row(row, value_dim) };
            for (column, sums) in value_sums.chunks_exact(width).take(value_dim).enumerate() {
                out.write(column, sums[lane]);
            }
        }
    }

    /// Writes the gradients of the queries from sums `[panels, padded queries, panel width]`.
    fn write_queries(&self, padded: usize, width: usize, sums: &[f32]) {
        let head = &self.head.head;
        for query in 0..head.query.rows {
            // SAFETY: the rows belong to this head alone, as the caller of `attention_backward` promises.
            let mut out = unsafe { self.head.query_gradient.row(query, head.query.columns) };
            for column in 0..head.query.columns {
                let sum = sums[(column / width * padded + query) * width + column % width];
                out.write(column, self.scale * sum);
            }
        }
    }
}
