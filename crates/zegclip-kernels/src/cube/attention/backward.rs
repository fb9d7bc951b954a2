//! The gradients: first those of the queries, then those of keys and values.

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Cube, DType};
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use super::tiles::{
    BLOCK, Extent, Form, OWN, Operands, Place, SIDE, Tokens, Vec4, add_weighted, no_sums, products, read_queries, row,
    write_token,
};
use super::{Inputs, dense, fits, padded_vectors, tokens, tokens_first};
use crate::cube::{cubes, elementwise, empty};

/// Tokens that pass by at once in the backward passes, which keep twice as much of each.
const GRADIENT_TILE: usize = 16;

/// Of each query the product of its result and the gradient of this, `[batch, heads, queries]`.
#[cube(launch)]
fn result_products(
    output: &Tokens,
    gradient: &Tokens,
    products: &mut [f32],
    heads: usize,
    queries: usize,
    value_dim: usize,
) {
    let index = ABSOLUTE_POS;
    if index >= products.len() {
        terminate!();
    }
    let plane = index / queries;
    let token = index % queries;
    let place = Place {
        image: plane / heads,
        head: plane % heads,
        plane,
        first: token,
    };
    let left = output.start_of(&place, token);
    let right = gradient.start_of(&place, token);
    let mut sum = 0.0f32;
    for column in 0..value_dim {
        sum += output.values[left + column] * gradient.values[right + column];
    }
    products[index] = sum;
}

/// The gradient of a unit's scores and the weights themselves, into the cube's memory.
#[cube]
fn score_gradients(
    kept: &Shared<[Vec4]>,
    kept_values: &Shared<[Vec4]>,
    passing: &Shared<[Vec4]>,
    passing_values: &Shared<[Vec4]>,
    weights: &mut Shared<[f32]>,
    slopes: &mut Shared<[f32]>,
    log_sum: &[f32],
    result_products: &[f32],
    extent: &Extent,
    place: &Place,
    first_passing: usize,
    #[comptime] by_key: bool,
    #[comptime] vectors: usize,
    #[comptime] value_vectors: usize,
    #[comptime] form: Form,
) {
    let across = UNIT_POS as usize % SIDE;
    let down = UNIT_POS as usize / SIDE;
    let steps = comptime!(GRADIENT_TILE / SIDE);
    let scores = products(kept, passing, steps, vectors);
    let value_products = products(kept_values, passing_values, steps, value_vectors);
    #[unroll]
    for own in 0..OWN {
        #[unroll]
        for step in 0..steps {
            let kept_token = place.first + down * OWN + own;
            let passing_token = first_passing + step * SIDE + across;
            let mut query = kept_token;
            let mut key = passing_token;
            if by_key {
                query = passing_token;
                key = kept_token;
            }
            let mut weight = 0.0f32;
            let mut slope = 0.0f32;
            if extent.sees(query, key, form.causal) {
                let slot = comptime!(own * steps + step);
                let statistic = place.plane * extent.queries + query;
                weight = (scores[slot] * extent.scale - log_sum[statistic]).exp();
                let mut factor = 1.0f32;
                if form.dropout {
                    factor = extent.factor(place, query, key);
                }
                slope = weight * (value_products[slot] * factor - result_products[statistic]) * extent.scale;
                weight *= factor;
            }
            let slot = (down * OWN + own) * comptime!(GRADIENT_TILE + 1) + step * SIDE + across;
            if by_key {
                weights[slot] = weight;
            }
            slopes[slot] = slope;
        }
    }
}

#[cube(launch)]
fn query_gradient(
    operands: &Operands,
    gradient: &Tokens,
    log_sum: &[f32],
    result_products: &[f32],
    mut output: Tokens,
    extent: &Extent,
    #[comptime] form: Form,
) {
    let vectors = comptime!(form.dim.div_ceil(4));
    let value_vectors = comptime!(form.value_dim.div_ceil(4));
    let place = extent.place(extent.queries);
    // The same for all units of a cube.
    if place.plane * extent.queries >= log_sum.len() {
        terminate!();
    }
    let down = UNIT_POS as usize / SIDE;

    let mut queries = Shared::<[Vec4]>::new_slice(comptime!(BLOCK * row(vectors)));
    let mut gradients = Shared::<[Vec4]>::new_slice(comptime!(BLOCK * row(value_vectors)));
    let mut keys = Shared::<[Vec4]>::new_slice(comptime!(GRADIENT_TILE * row(vectors)));
    let mut values = Shared::<[Vec4]>::new_slice(comptime!(GRADIENT_TILE * row(value_vectors)));
    let mut slopes = Shared::<[f32]>::new_slice(comptime!(BLOCK * (GRADIENT_TILE + 1)));
    let mut unused = Shared::<[f32]>::new_slice(1usize);

    read_queries(
        &mut queries,
        &operands.query,
        extent,
        &place,
        place.first,
        BLOCK,
        form.dim,
    );
    read_queries(
        &mut gradients,
        gradient,
        extent,
        &place,
        place.first,
        BLOCK,
        form.value_dim,
    );
    let mut sums = no_sums(vectors);
    let mut first_key = 0usize;
    while first_key < extent.keys {
        sync_cube();
        operands.read_keys(&mut keys, extent, &place, first_key, GRADIENT_TILE, form);
        operands.read_values(&mut values, extent, &place, first_key, GRADIENT_TILE, form);
        sync_cube();
        score_gradients(
            &queries,
            &gradients,
            &keys,
            &values,
            &mut unused,
            &mut slopes,
            log_sum,
            result_products,
            extent,
            &place,
            first_key,
            false,
            vectors,
            value_vectors,
            form,
        );
        sync_cube();
        add_weighted(&mut sums, &slopes, &keys, GRADIENT_TILE, vectors);
        first_key += GRADIENT_TILE;
    }
    #[unroll]
    for own in 0..OWN {
        let token = place.first + down * OWN + own;
        if token < extent.queries {
            write_token(&mut output, &place, token, &sums, 1.0f32, own, form.dim);
        }
    }
}

#[cube(launch)]
fn key_gradients(
    operands: &Operands,
    gradient: &Tokens,
    log_sum: &[f32],
    result_products: &[f32],
    mut key_output: Tokens,
    mut value_output: Tokens,
    mut extra_key_output: Tokens,
    mut extra_value_output: Tokens,
    extent: &Extent,
    #[comptime] form: Form,
) {
    let vectors = comptime!(form.dim.div_ceil(4));
    let value_vectors = comptime!(form.value_dim.div_ceil(4));
    let place = extent.place(extent.keys);
    // The same for all units of a cube.
    if place.plane * extent.queries >= log_sum.len() {
        terminate!();
    }
    let down = UNIT_POS as usize / SIDE;

    let mut keys = Shared::<[Vec4]>::new_slice(comptime!(BLOCK * row(vectors)));
    let mut values = Shared::<[Vec4]>::new_slice(comptime!(BLOCK * row(value_vectors)));
    let mut queries = Shared::<[Vec4]>::new_slice(comptime!(GRADIENT_TILE * row(vectors)));
    let mut gradients = Shared::<[Vec4]>::new_slice(comptime!(GRADIENT_TILE * row(value_vectors)));
    let mut weights = Shared::<[f32]>::new_slice(comptime!(BLOCK * (GRADIENT_TILE + 1)));
    let mut slopes = Shared::<[f32]>::new_slice(comptime!(BLOCK * (GRADIENT_TILE + 1)));

    operands.read_keys(&mut keys, extent, &place, place.first, BLOCK, form);
    operands.read_values(&mut values, extent, &place, place.first, BLOCK, form);
    let mut key_sums = no_sums(vectors);
    let mut value_sums = no_sums(value_vectors);
    let mut first_query = 0usize;
    while first_query < extent.queries {
        sync_cube();
        read_queries(
            &mut queries,
            &operands.query,
            extent,
            &place,
            first_query,
            GRADIENT_TILE,
            form.dim,
        );
        read_queries(
            &mut gradients,
            gradient,
            extent,
            &place,
            first_query,
            GRADIENT_TILE,
            form.value_dim,
        );
        sync_cube();
        score_gradients(
            &keys,
            &values,
            &queries,
            &gradients,
            &mut weights,
            &mut slopes,
            log_sum,
            result_products,
            extent,
            &place,
            first_query,
            true,
            vectors,
            value_vectors,
            form,
        );
        sync_cube();
        add_weighted(&mut key_sums, &slopes, &queries, GRADIENT_TILE, vectors);
        add_weighted(&mut value_sums, &weights, &gradients, GRADIENT_TILE, value_vectors);
        first_query += GRADIENT_TILE;
    }
    #[unroll]
    for own in 0..OWN {
        let token = place.first + down * OWN + own;
        if token < extent.own_keys {
            write_token(&mut key_output, &place, token, &key_sums, 1.0f32, own, form.dim);
            write_token(
                &mut value_output,
                &place,
                token,
                &value_sums,
                1.0f32,
                own,
                form.value_dim,
            );
        } else if form.has_extra && token < extent.keys {
            let token = token - extent.own_keys;
            write_token(&mut extra_key_output, &place, token, &key_sums, 1.0f32, own, form.dim);
            write_token(
                &mut extra_value_output,
                &place,
                token,
                &value_sums,
                1.0f32,
                own,
                form.value_dim,
            );
        }
    }
}

/// Gradients of query, key and value, and of extra keys and values: an image each, as large as the batch.
pub(crate) type Gradients = ([CubeTensor; 3], Option<(CubeTensor, CubeTensor)>);

/// Whether [`attention_gradients`] can take these tensors; it needs more of the device.
pub(crate) fn takes_gradients(query: &CubeTensor, value: &CubeTensor) -> bool {
    let [keys, values] = padded_vectors(query, value);
    let memory = 16 * (BLOCK + GRADIENT_TILE) * (keys + values) + 8 * BLOCK * (GRADIENT_TILE + 1);
    fits(query, memory, 13)
}

/// Gradients of [`attention`](super::attention) from its results and the gradient of the first, written into `targets`, or new
/// tensors, for query, key and value; [`takes_gradients`] says of which tensors.
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
    let products = empty(&log_sum, [batch, heads, queries], DType::F32);
    let (count, units) = elementwise(&products);
    result_products::launch(
        client,
        count,
        units,
        tokens(&output, batch),
        tokens(&gradient, batch),
        products.clone().into_buffer_arg(),
        heads,
        queries,
        value_dim,
    );
    let targets = targets.unwrap_or_else(|| {
        [&inputs.query, &inputs.key, &inputs.value].map(|tensor| tokens_first(tensor, tensor.meta.shape().dims::<4>()))
    });
    let extra_keys = inputs.extra_keys();
    // Not written where there are no extra keys, but kernels have to be given something.
    let extra_targets = [dim, value_dim].map(|dim| empty(&log_sum, [batch, heads, extra_keys.max(1), dim], DType::F32));
    let units = CubeDim::new_1d((SIDE * SIDE) as u32);
    query_gradient::launch(
        client,
        cubes(batch * heads * queries.div_ceil(BLOCK)),
        units,
        inputs.operands(),
        tokens(&gradient, batch),
        log_sum.clone().into_buffer_arg(),
        products.clone().into_buffer_arg(),
        tokens(&targets[0], batch),
        inputs.extent(),
        inputs.form(),
    );
    key_gradients::launch(
        client,
        cubes(batch * heads * (own_keys + extra_keys).div_ceil(BLOCK)),
        units,
        inputs.operands(),
        tokens(&gradient, batch),
        log_sum.into_buffer_arg(),
        products.into_buffer_arg(),
        tokens(&targets[1], batch),
        tokens(&targets[2], batch),
        tokens(&extra_targets[0], batch),
        tokens(&extra_targets[1], batch),
        inputs.extent(),
        inputs.form(),
    );
    let extra = inputs.extra.as_ref().map(|(key, _)| {
        let shared = key.meta.shape()[0] < batch;
        let [key, value] = extra_targets.map(|all| if shared { Cube::float_sum_dim(all, 0) } else { all });
        (key, value)
    });
    (targets, extra)
}
