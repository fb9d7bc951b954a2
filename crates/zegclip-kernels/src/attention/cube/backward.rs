//! The backward pass: first the gradients of the queries, then those of keys and values.

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Cube, DType};
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use super::tiles::{
    BLOCK, BlockCoord, KernelConfig, Operands, Problem, SIDE, TOKENS_PER_UNIT, Tokens, Vec4, add_weighted,
    dot_products, padded_row, read_queries, write_token, zero_sums,
};
use super::{Inputs, dense, fits, padded_vectors, tokens, tokens_first};
use crate::cube::{cubes, elementwise, empty};

/// Streamed tokens of one tile; the backward passes hold twice as much of each as the forward pass.
const GRADIENT_TILE: usize = 16;

/// Dot product of each query's output with the gradient of the output: `[batch, heads, queries]`.
#[cube(launch)]
fn output_dots(output: &Tokens, gradient: &Tokens, deltas: &mut [f32], heads: usize, queries: usize, value_dim: usize) {
    let index = ABSOLUTE_POS;
    if index >= deltas.len() {
        terminate!();
    }
    let batch_head = index / queries;
    let token = index % queries;
    let coord = BlockCoord {
        image: batch_head / heads,
        head: batch_head % heads,
        batch_head,
        first: token,
    };
    let left = output.start_of(&coord, token);
    let right = gradient.start_of(&coord, token);
    let mut sum = 0.0f32;
    for column in 0..value_dim {
        sum += output.values[left + column] * gradient.values[right + column];
    }
    deltas[index] = sum;
}

/// Gradients of a unit's scores, and the weights, into shared memory.
#[cube]
fn load_score_gradients(
    resident: &Shared<[Vec4]>,
    resident_values: &Shared<[Vec4]>,
    streamed: &Shared<[Vec4]>,
    streamed_values: &Shared<[Vec4]>,
    weights: &mut Shared<[f32]>,
    score_gradients: &mut Shared<[f32]>,
    log_sum: &[f32],
    deltas: &[f32],
    problem: &Problem,
    coord: &BlockCoord,
    first_streamed: usize,
    #[comptime] by_key: bool,
    #[comptime] vectors: usize,
    #[comptime] value_vectors: usize,
    #[comptime] config: KernelConfig,
) {
    let unit_x = UNIT_POS as usize % SIDE;
    let unit_y = UNIT_POS as usize / SIDE;
    let steps = comptime!(GRADIENT_TILE / SIDE);
    let scores = dot_products(resident, streamed, steps, vectors);
    let value_products = dot_products(resident_values, streamed_values, steps, value_vectors);
    #[unroll]
    for row in 0..TOKENS_PER_UNIT {
        #[unroll]
        for step in 0..steps {
            let resident_token = coord.first + unit_y * TOKENS_PER_UNIT + row;
            let streamed_token = first_streamed + step * SIDE + unit_x;
            let mut query = resident_token;
            let mut key = streamed_token;
            if by_key {
                query = streamed_token;
                key = resident_token;
            }
            let mut weight = 0.0f32;
            let mut score_gradient = 0.0f32;
            if problem.is_visible(query, key, config.causal) {
                let slot = comptime!(row * steps + step);
                let statistic = coord.batch_head * problem.queries + query;
                weight = (scores[slot] * problem.scale - log_sum[statistic]).exp();
                let mut factor = 1.0f32;
                if config.dropout {
                    factor = problem.factor(coord, query, key);
                }
                score_gradient = weight * (value_products[slot] * factor - deltas[statistic]) * problem.scale;
                weight *= factor;
            }
            let slot = (unit_y * TOKENS_PER_UNIT + row) * comptime!(GRADIENT_TILE + 1) + step * SIDE + unit_x;
            if by_key {
                weights[slot] = weight;
            }
            score_gradients[slot] = score_gradient;
        }
    }
}

#[cube(launch)]
fn query_gradient(
    operands: &Operands,
    gradient: &Tokens,
    log_sum: &[f32],
    deltas: &[f32],
    mut output: Tokens,
    problem: &Problem,
    #[comptime] config: KernelConfig,
) {
    let vectors = comptime!(config.dim.div_ceil(4));
    let value_vectors = comptime!(config.value_dim.div_ceil(4));
    let coord = problem.block_coord(problem.queries);
    // Uniform over the units of a cube.
    if coord.batch_head * problem.queries >= log_sum.len() {
        terminate!();
    }
    let unit_y = UNIT_POS as usize / SIDE;

    let mut queries = Shared::<[Vec4]>::new_slice(comptime!(BLOCK * padded_row(vectors)));
    let mut gradients = Shared::<[Vec4]>::new_slice(comptime!(BLOCK * padded_row(value_vectors)));
    let mut keys = Shared::<[Vec4]>::new_slice(comptime!(GRADIENT_TILE * padded_row(vectors)));
    let mut values = Shared::<[Vec4]>::new_slice(comptime!(GRADIENT_TILE * padded_row(value_vectors)));
    let mut score_gradients = Shared::<[f32]>::new_slice(comptime!(BLOCK * (GRADIENT_TILE + 1)));
    let mut unused = Shared::<[f32]>::new_slice(1usize);

    read_queries(
        &mut queries,
        &operands.query,
        problem,
        &coord,
        coord.first,
        BLOCK,
        config.dim,
    );
    read_queries(
        &mut gradients,
        gradient,
        problem,
        &coord,
        coord.first,
        BLOCK,
        config.value_dim,
    );
    let mut sums = zero_sums(vectors);
    let mut first_key = 0usize;
    while first_key < problem.keys {
        sync_cube();
        operands.read_keys(&mut keys, problem, &coord, first_key, GRADIENT_TILE, config);
        operands.read_values(&mut values, problem, &coord, first_key, GRADIENT_TILE, config);
        sync_cube();
        load_score_gradients(
            &queries,
            &gradients,
            &keys,
            &values,
            &mut unused,
            &mut score_gradients,
            log_sum,
            deltas,
            problem,
            &coord,
            first_key,
            false,
            vectors,
            value_vectors,
            config,
        );
        sync_cube();
        add_weighted(&mut sums, &score_gradients, &keys, GRADIENT_TILE, vectors);
        first_key += GRADIENT_TILE;
    }
    #[unroll]
    for row in 0..TOKENS_PER_UNIT {
        let token = coord.first + unit_y * TOKENS_PER_UNIT + row;
        if token < problem.queries {
            write_token(&mut output, &coord, token, &sums, 1.0f32, row, config.dim);
        }
    }
}

#[cube(launch)]
fn key_gradients(
    operands: &Operands,
    gradient: &Tokens,
    log_sum: &[f32],
    deltas: &[f32],
    mut key_output: Tokens,
    mut value_output: Tokens,
    mut extra_key_output: Tokens,
    mut extra_value_output: Tokens,
    problem: &Problem,
    #[comptime] config: KernelConfig,
) {
    let vectors = comptime!(config.dim.div_ceil(4));
    let value_vectors = comptime!(config.value_dim.div_ceil(4));
    let coord = problem.block_coord(problem.keys);
    // Uniform over the units of a cube.
    if coord.batch_head * problem.queries >= log_sum.len() {
        terminate!();
    }
    let unit_y = UNIT_POS as usize / SIDE;

    let mut keys = Shared::<[Vec4]>::new_slice(comptime!(BLOCK * padded_row(vectors)));
    let mut values = Shared::<[Vec4]>::new_slice(comptime!(BLOCK * padded_row(value_vectors)));
    let mut queries = Shared::<[Vec4]>::new_slice(comptime!(GRADIENT_TILE * padded_row(vectors)));
    let mut gradients = Shared::<[Vec4]>::new_slice(comptime!(GRADIENT_TILE * padded_row(value_vectors)));
    let mut weights = Shared::<[f32]>::new_slice(comptime!(BLOCK * (GRADIENT_TILE + 1)));
    let mut score_gradients = Shared::<[f32]>::new_slice(comptime!(BLOCK * (GRADIENT_TILE + 1)));

    operands.read_keys(&mut keys, problem, &coord, coord.first, BLOCK, config);
    operands.read_values(&mut values, problem, &coord, coord.first, BLOCK, config);
    let mut key_sums = zero_sums(vectors);
    let mut value_sums = zero_sums(value_vectors);
    let mut first_query = 0usize;
    while first_query < problem.queries {
        sync_cube();
        read_queries(
            &mut queries,
            &operands.query,
            problem,
            &coord,
            first_query,
            GRADIENT_TILE,
            config.dim,
        );
        read_queries(
            &mut gradients,
            gradient,
            problem,
            &coord,
            first_query,
            GRADIENT_TILE,
            config.value_dim,
        );
        sync_cube();
        load_score_gradients(
            &keys,
            &values,
            &queries,
            &gradients,
            &mut weights,
            &mut score_gradients,
            log_sum,
            deltas,
            problem,
            &coord,
            first_query,
            true,
            vectors,
            value_vectors,
            config,
        );
        sync_cube();
        add_weighted(&mut key_sums, &score_gradients, &queries, GRADIENT_TILE, vectors);
        add_weighted(&mut value_sums, &weights, &gradients, GRADIENT_TILE, value_vectors);
        first_query += GRADIENT_TILE;
    }
    #[unroll]
    for row in 0..TOKENS_PER_UNIT {
        let token = coord.first + unit_y * TOKENS_PER_UNIT + row;
        if token < problem.own_keys {
            write_token(&mut key_output, &coord, token, &key_sums, 1.0f32, row, config.dim);
            write_token(
                &mut value_output,
                &coord,
                token,
                &value_sums,
                1.0f32,
                row,
                config.value_dim,
            );
        } else if config.has_extra && token < problem.keys {
            let token = token - problem.own_keys;
            write_token(&mut extra_key_output, &coord, token, &key_sums, 1.0f32, row, config.dim);
            write_token(
                &mut extra_value_output,
                &coord,
                token,
                &value_sums,
                1.0f32,
                row,
                config.value_dim,
            );
        }
    }
}

/// Gradients of query, key and value, and of extra keys and values, the latter summed over the batch if the batch shares them.
pub(crate) type Gradients = ([CubeTensor; 3], Option<(CubeTensor, CubeTensor)>);

/// Whether [`attention_gradients`] supports these tensors; it needs more shared memory and bindings.
pub(crate) fn supports_gradients(query: &CubeTensor, value: &CubeTensor) -> bool {
    let [keys, values] = padded_vectors(query, value);
    let memory = 16 * (BLOCK + GRADIENT_TILE) * (keys + values) + 8 * BLOCK * (GRADIENT_TILE + 1);
    fits(query, memory, 13)
}

/// Gradients of [`attention`](super::attention) from its results and the gradient of its output. Those of query, key and value are
/// written into `targets`, or into new tensors. [`supports_gradients`] has to accept the tensors.
pub(crate) fn attention_gradients(
    inputs: &Inputs,
    output: CubeTensor,
    log_sum: CubeTensor,
    gradient: CubeTensor,
    targets: Option<[CubeTensor; 3]>,
) -> Gradients {
    let client = &inputs.query.client;
    let [batch, heads, queries, dim] = inputs.query.meta.shape().dims::<4>();
    let [_, _, own_keys, value_dim] = inputs.value.meta.shape().dims::<4>();
    let (output, gradient, log_sum) = (dense(output), dense(gradient), into_contiguous(log_sum));
    let deltas = empty(&log_sum, [batch, heads, queries], DType::F32);
    let (count, units) = elementwise(&deltas);
    output_dots::launch(
        client,
        count,
        units,
        tokens(&output, batch),
        tokens(&gradient, batch),
        deltas.clone().into_buffer_arg(),
        heads,
        queries,
        value_dim,
    );
    let targets = targets.unwrap_or_else(|| {
        [&inputs.query, &inputs.key, &inputs.value].map(|tensor| tokens_first(tensor, tensor.meta.shape().dims::<4>()))
    });
    let extra_keys = inputs.extra_keys();
    // Placeholders without extra keys: every binding of a kernel needs a buffer.
    let extra_targets = [dim, value_dim].map(|dim| empty(&log_sum, [batch, heads, extra_keys.max(1), dim], DType::F32));
    let units = CubeDim::new_1d((SIDE * SIDE) as u32);
    query_gradient::launch(
        client,
        cubes(batch * heads * queries.div_ceil(BLOCK)),
        units,
        inputs.operands(),
        tokens(&gradient, batch),
        log_sum.clone().into_buffer_arg(),
        deltas.clone().into_buffer_arg(),
        tokens(&targets[0], batch),
        inputs.problem(),
        inputs.config(),
    );
    key_gradients::launch(
        client,
        cubes(batch * heads * (own_keys + extra_keys).div_ceil(BLOCK)),
        units,
        inputs.operands(),
        tokens(&gradient, batch),
        log_sum.into_buffer_arg(),
        deltas.into_buffer_arg(),
        tokens(&targets[1], batch),
        tokens(&targets[2], batch),
        tokens(&extra_targets[0], batch),
        tokens(&extra_targets[1], batch),
        inputs.problem(),
        inputs.config(),
    );
    let extra = inputs.extra.as_ref().map(|(key, _)| {
        let shared = key.meta.shape()[0] < batch;
        let [key, value] = extra_targets.map(|all| if shared { Cube::float_sum_dim(all, 0) } else { all });
        (key, value)
    });
    (targets, extra)
}
