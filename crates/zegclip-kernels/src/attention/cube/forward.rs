//! The forward pass: all keys are streamed with a running maximum, so that no score is stored.

use burn::backend::DType;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

use super::tiles::{
    BLOCK, KernelConfig, Operands, Problem, SIDE, TOKENS_PER_UNIT, Tokens, Vec4, add_weighted, dot_products,
    padded_row, read_queries, write_token, zero_sums,
};
use super::{Inputs, fits, padded_vectors, tokens, tokens_first};
use crate::cube::{cubes, empty};

/// Streamed keys of one tile.
const TILE: usize = 32;
/// Far below every score, and finite.
const LOWEST: f32 = -1e30;

#[cube(launch)]
fn forward(
    operands: &Operands,
    mut output: Tokens,
    log_sum: &mut [f32],
    problem: &Problem,
    #[comptime] config: KernelConfig,
) {
    let vectors = comptime!(config.dim.div_ceil(4));
    let value_vectors = comptime!(config.value_dim.div_ceil(4));
    let widest = comptime!(if vectors > value_vectors {
        vectors
    } else {
        value_vectors
    });
    let coord = problem.block_coord(problem.queries);
    // Uniform over the units of a cube.
    if coord.batch_head * problem.queries >= log_sum.len() {
        terminate!();
    }
    let unit_x = UNIT_POS as usize % SIDE;
    let unit_y = UNIT_POS as usize / SIDE;
    let steps = comptime!(TILE / SIDE);

    let mut queries = Shared::<[Vec4]>::new_slice(comptime!(BLOCK * padded_row(vectors)));
    // Keys, then values.
    let mut streamed = Shared::<[Vec4]>::new_slice(comptime!(TILE * padded_row(widest)));
    let mut weights = Shared::<[f32]>::new_slice(comptime!(BLOCK * (TILE + 1)));
    // Partial maxima and sums of each query, one for each unit of its row.
    let mut partials = Shared::<[f32]>::new_slice(comptime!(BLOCK * (SIDE + 1)));

    read_queries(
        &mut queries,
        &operands.query,
        problem,
        &coord,
        coord.first,
        BLOCK,
        config.dim,
    );
    let mut sums = zero_sums(value_vectors);
    let mut maximum = Array::<f32>::new(TOKENS_PER_UNIT);
    let mut total = Array::<f32>::new(TOKENS_PER_UNIT);
    #[unroll]
    for row in 0..TOKENS_PER_UNIT {
        maximum[row] = LOWEST;
        total[row] = 0.0f32;
    }

    let mut first_key = 0usize;
    while first_key < problem.keys {
        sync_cube();
        operands.read_keys(&mut streamed, problem, &coord, first_key, TILE, config);
        sync_cube();
        let mut scores = dot_products(&queries, &streamed, steps, vectors);
        #[unroll]
        for row in 0..TOKENS_PER_UNIT {
            let mut largest = LOWEST.runtime();
            #[unroll]
            for step in 0..steps {
                let slot = comptime!(row * steps + step);
                let key = first_key + step * SIDE + unit_x;
                let mut score = scores[slot] * problem.scale;
                if !problem.is_visible(coord.first + unit_y * TOKENS_PER_UNIT + row, key, config.causal) {
                    score = LOWEST.runtime();
                }
                scores[slot] = score;
                largest = largest.max(score);
            }
            partials[(unit_y * TOKENS_PER_UNIT + row) * comptime!(SIDE + 1) + unit_x] = largest;
        }
        sync_cube();
        #[unroll]
        for row in 0..TOKENS_PER_UNIT {
            let mut largest = maximum[row];
            #[unroll]
            for unit in 0..SIDE {
                largest = largest.max(partials[(unit_y * TOKENS_PER_UNIT + row) * comptime!(SIDE + 1) + unit]);
            }
            let rescale = (maximum[row] - largest).exp();
            maximum[row] = largest;
            total[row] *= rescale;
            #[unroll]
            for part in 0..comptime!(value_vectors.div_ceil(SIDE)) {
                sums[part * TOKENS_PER_UNIT + row] *= Vec4::new(rescale);
            }
            #[unroll]
            for step in 0..steps {
                let score = scores[comptime!(row * steps + step)];
                let mut weight = (score - largest).exp();
                // Before the first visible key the maximum is as low as the scores of hidden keys.
                if score <= LOWEST {
                    weight = 0.0f32;
                }
                total[row] += weight;
                if config.dropout {
                    let query = coord.first + unit_y * TOKENS_PER_UNIT + row;
                    weight *= problem.factor(&coord, query, first_key + step * SIDE + unit_x);
                }
                weights[(unit_y * TOKENS_PER_UNIT + row) * comptime!(TILE + 1) + step * SIDE + unit_x] = weight;
            }
        }
        operands.read_values(&mut streamed, problem, &coord, first_key, TILE, config);
        sync_cube();
        add_weighted(&mut sums, &weights, &streamed, TILE, value_vectors);
        first_key += TILE;
    }

    #[unroll]
    for row in 0..TOKENS_PER_UNIT {
        partials[(unit_y * TOKENS_PER_UNIT + row) * comptime!(SIDE + 1) + unit_x] = total[row];
    }
    sync_cube();
    #[unroll]
    for row in 0..TOKENS_PER_UNIT {
        let token = coord.first + unit_y * TOKENS_PER_UNIT + row;
        let mut sum = 0.0f32;
        #[unroll]
        for unit in 0..SIDE {
            sum += partials[(unit_y * TOKENS_PER_UNIT + row) * comptime!(SIDE + 1) + unit];
        }
        if token < problem.queries {
            write_token(&mut output, &coord, token, &sums, 1.0f32 / sum, row, config.value_dim);
            if unit_x == 0 {
                log_sum[coord.batch_head * problem.queries + token] = maximum[row] + sum.ln();
            }
        }
    }
}

/// Result of [`attention`]: the output `[batch, heads, queries, value_dim]`, heads of a token together in memory, and the
/// log-sum-exp of each query's scores, `[batch, heads, queries]`.
pub(crate) type Attended = (CubeTensor, CubeTensor);

/// Whether [`attention`] supports these tensors: f32, and tokens that fit into shared memory.
pub(crate) fn supports(query: &CubeTensor, value: &CubeTensor) -> bool {
    let [keys, values] = padded_vectors(query, value);
    let memory = 16 * (BLOCK * keys + TILE * keys.max(values)) + 4 * BLOCK * (TILE + 1 + SIDE + 1);
    fits(query, memory, 8)
}

/// Softmax attention of tensors that [`supports`] accepts.
pub(crate) fn attention(inputs: &Inputs) -> Attended {
    let [batch, heads, queries, _] = inputs.query.meta.shape().dims::<4>();
    let value_dim = inputs.value.meta.shape()[3];
    let output = tokens_first(&inputs.query, [batch, heads, queries, value_dim]);
    let log_sum = empty(&inputs.query, [batch, heads, queries], DType::F32);
    forward::launch(
        &inputs.query.client,
        cubes(batch * heads * queries.div_ceil(BLOCK)),
        CubeDim::new_1d((SIDE * SIDE) as u32),
        inputs.operands(),
        tokens(&output, batch),
        log_sum.clone().into_buffer_arg(),
        inputs.problem(),
        inputs.config(),
    );
    (output, log_sum)
}
