//! The forward pass: past all keys with a running maximum, so that no score is kept.

use burn::backend::DType;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

use super::tiles::{
    BLOCK, Extent, Form, OWN, Operands, SIDE, Tokens, Vec4, add_weighted, no_sums, products, read_queries, row,
    write_token,
};
use super::{Inputs, fits, padded_vectors, tokens, tokens_first};
use crate::cube::{cubes, empty};

/// Keys that pass by at once in the forward pass.
const TILE: usize = 32;
/// Far below every score, and still a number.
const LOWEST: f32 = -1e30;

#[cube(launch)]
fn forward(operands: &Operands, mut output: Tokens, log_sum: &mut [f32], extent: &Extent, #[comptime] form: Form) {
    let vectors = comptime!(form.dim.div_ceil(4));
    let value_vectors = comptime!(form.value_dim.div_ceil(4));
    let widest = comptime!(if vectors > value_vectors {
        vectors
    } else {
        value_vectors
    });
    let place = extent.place(extent.queries);
    // The same for all units of a cube.
    if place.plane * extent.queries >= log_sum.len() {
        terminate!();
    }
    let across = UNIT_POS as usize % SIDE;
    let down = UNIT_POS as usize / SIDE;
    let steps = comptime!(TILE / SIDE);

    let mut queries = Shared::<[Vec4]>::new_slice(comptime!(BLOCK * row(vectors)));
    // Keys, then values.
    let mut passing = Shared::<[Vec4]>::new_slice(comptime!(TILE * row(widest)));
    let mut weights = Shared::<[f32]>::new_slice(comptime!(BLOCK * (TILE + 1)));
    // Of each kept query what the units of its row found.
    let mut found = Shared::<[f32]>::new_slice(comptime!(BLOCK * (SIDE + 1)));

    read_queries(
        &mut queries,
        &operands.query,
        extent,
        &place,
        place.first,
        BLOCK,
        form.dim,
    );
    let mut sums = no_sums(value_vectors);
    let mut maximum = Array::<f32>::new(OWN);
    let mut total = Array::<f32>::new(OWN);
    #[unroll]
    for own in 0..OWN {
        maximum[own] = LOWEST;
        total[own] = 0.0f32;
    }

    let mut first_key = 0usize;
    while first_key < extent.keys {
        sync_cube();
        operands.read_keys(&mut passing, extent, &place, first_key, TILE, form);
        sync_cube();
        let mut scores = products(&queries, &passing, steps, vectors);
        #[unroll]
        for own in 0..OWN {
            let mut largest = LOWEST.runtime();
            #[unroll]
            for step in 0..steps {
                let slot = comptime!(own * steps + step);
                let key = first_key + step * SIDE + across;
                let mut score = scores[slot] * extent.scale;
                if !extent.sees(place.first + down * OWN + own, key, form.causal) {
                    score = LOWEST.runtime();
                }
                scores[slot] = score;
                largest = largest.max(score);
            }
            found[(down * OWN + own) * comptime!(SIDE + 1) + across] = largest;
        }
        sync_cube();
        #[unroll]
        for own in 0..OWN {
            let mut largest = maximum[own];
            #[unroll]
            for unit in 0..SIDE {
                largest = largest.max(found[(down * OWN + own) * comptime!(SIDE + 1) + unit]);
            }
            let shrink = (maximum[own] - largest).exp();
            maximum[own] = largest;
            total[own] *= shrink;
            #[unroll]
            for part in 0..comptime!(value_vectors.div_ceil(SIDE)) {
                sums[part * OWN + own] *= Vec4::new(shrink);
            }
            #[unroll]
            for step in 0..steps {
                let score = scores[comptime!(own * steps + step)];
                let mut weight = (score - largest).exp();
                // Where a query has seen no key yet, hidden ones are not far below its maximum.
                if score <= LOWEST {
                    weight = 0.0f32;
                }
                total[own] += weight;
                if form.dropout {
                    let query = place.first + down * OWN + own;
                    weight *= extent.factor(&place, query, first_key + step * SIDE + across);
                }
                weights[(down * OWN + own) * comptime!(TILE + 1) + step * SIDE + across] = weight;
            }
        }
        operands.read_values(&mut passing, extent, &place, first_key, TILE, form);
        sync_cube();
        add_weighted(&mut sums, &weights, &passing, TILE, value_vectors);
        first_key += TILE;
    }

    #[unroll]
    for own in 0..OWN {
        found[(down * OWN + own) * comptime!(SIDE + 1) + across] = total[own];
    }
    sync_cube();
    #[unroll]
    for own in 0..OWN {
        let token = place.first + down * OWN + own;
        let mut sum = 0.0f32;
        #[unroll]
        for unit in 0..SIDE {
            sum += found[(down * OWN + own) * comptime!(SIDE + 1) + unit];
        }
        if token < extent.queries {
            write_token(&mut output, &place, token, &sums, 1.0f32 / sum, own, form.value_dim);
            if across == 0 {
                log_sum[place.plane * extent.queries + token] = maximum[own] + sum.ln();
            }
        }
    }
}

/// What [`attention`] gives: the result `[batch, heads, queries, value_dim]`, heads of a token together in memory, and the
/// logarithm of the sum of each query's exponentials `[batch, heads, queries]`.
pub(crate) type Attended = (CubeTensor, CubeTensor);

/// Whether [`attention`] can take these tensors: floats of 32 bits, few enough for the memory of a cube.
pub(crate) fn takes(query: &CubeTensor, value: &CubeTensor) -> bool {
    let [keys, values] = padded_vectors(query, value);
    let memory = 16 * (BLOCK * keys + TILE * keys.max(values)) + 4 * BLOCK * (TILE + 1 + SIDE + 1);
    fits(query, memory, 8)
}

/// Softmax attention; [`takes`] says of which tensors.
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
        inputs.extent(),
        inputs.form(),
    );
    (output, log_sum)
}
