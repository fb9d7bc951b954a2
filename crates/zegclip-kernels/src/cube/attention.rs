//! Attention in blocks: scores live in a cube's own memory and its registers, never as `[batch, heads, queries, keys]`.
//!
//! A cube of 8 × 8 units takes [`BLOCK`] tokens of one head past all others, tile by tile; each unit has four of its tokens.
//! Vectors of four floats are what units read at once. Gradients compute the weights again from the logarithm of their sum,
//! first those of the queries, past all keys, then those of keys and values, past all queries: nothing is added up by several
//! cubes, so that results are the same in every run.

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Cube, DType};
use burn::tensor::Shape;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::cubecl::zspace::{Strides, metadata::Metadata};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use super::dropout::{CubeLots, launched};
use super::{cube_index, cubes, elementwise, empty};
use crate::cpu::{AttentionMask, Lots};

/// Units along each side of a cube.
const SIDE: usize = 8;
/// Tokens that a cube keeps: four for each unit of a column.
const BLOCK: usize = 32;
/// Tokens of a unit among those that the cube keeps.
const OWN: usize = BLOCK / SIDE;
/// Keys that pass by at once in the forward pass.
const TILE: usize = 32;
/// Tokens that pass by at once in the backward passes, which keep twice as much of each.
const GRADIENT_TILE: usize = 16;
/// Far below every score, and still a number.
const LOWEST: f32 = -1e30;

type Vec4 = Vector<f32, Const<4>>;

/// Tokens `[batch, heads, tokens, dim]` in a buffer, and how far it is from one image, head and token to the next.
#[derive(CubeType, CubeLaunch)]
struct Tokens {
    values: Box<[f32]>,
    image: usize,
    head: usize,
    token: usize,
}

#[cube]
impl Tokens {
    fn start_of(&self, place: &Place, token: usize) -> usize {
        place.image * self.image + place.head * self.head + token * self.token
    }

    /// Four floats of a token, zeros behind its last dimension.
    fn read(&self, place: &Place, token: usize, vector: usize, #[comptime] dim: usize) -> Vec4 {
        let start = self.start_of(place, token) + vector * 4;
        let mut values = Vec4::new(0.0f32);
        #[unroll]
        for lane in 0..4usize {
            if comptime!(dim.is_multiple_of(4)) || vector * 4 + lane < dim {
                values.insert(lane, self.values[start + lane]);
            }
        }
        values
    }
}

/// Which keys a query sees, and how many tokens there are.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Extent {
    heads: usize,
    queries: usize,
    own_keys: usize,
    /// Own and extra ones.
    keys: usize,
    scale: f32,
    lots: CubeLots,
}

/// Where a cube works.
#[derive(CubeType, Clone, Copy)]
struct Place {
    image: usize,
    head: usize,
    /// The head among those of all images.
    plane: usize,
    /// The first token that the cube keeps.
    first: usize,
}

#[cube]
impl Extent {
    /// The place of a cube whose head has so many tokens to be kept.
    fn place(&self, tokens: usize) -> Place {
        let blocks = tokens.div_ceil(BLOCK.runtime());
        let task = cube_index();
        let plane = task / blocks;
        Place {
            image: plane / self.heads,
            head: plane % self.heads,
            plane,
            first: (task % blocks) * BLOCK,
        }
    }

    /// Whether a query sees a key, both within their numbers.
    fn sees(&self, query: usize, key: usize, #[comptime] causal: bool) -> bool {
        let mut sees = query < self.queries && key < self.keys;
        if causal && key < self.own_keys && key + self.queries > query + self.own_keys {
            sees = false;
        }
        sees
    }

    /// What dropout multiplies a weight by.
    fn factor(&self, place: &Place, query: usize, key: usize) -> f32 {
        let position = (place.plane * self.queries + query) * self.keys + key;
        self.lots.factor(position as u32)
    }
}

/// A token's vectors lie one behind the other, then one of padding, so that units which read different tokens at once use
/// different banks of memory.
const fn row(vectors: usize) -> usize {
    vectors + 1
}

/// Reads `rows` tokens from `first` on, those from `own_tokens` on from the extra ones; zeros behind the last.
#[cube]
fn read_tokens(
    tile: &mut Shared<[Vec4]>,
    own: &Tokens,
    extra: &Tokens,
    place: &Place,
    first: usize,
    own_tokens: usize,
    tokens: usize,
    #[comptime] rows: usize,
    #[comptime] dim: usize,
    #[comptime] has_extra: bool,
) {
    let vectors = comptime!(dim.div_ceil(4));
    let mut index = UNIT_POS as usize;
    while index < rows * vectors {
        let token = first + index / vectors;
        let vector = index % vectors;
        let mut values = Vec4::new(0.0f32);
        if token < own_tokens {
            values = own.read(place, token, vector, dim);
        } else if has_extra && token < tokens {
            values = extra.read(place, token - own_tokens, vector, dim);
        }
        tile[(index / vectors) * comptime!(row(vectors)) + vector] = values;
        index += comptime!(SIDE * SIDE);
    }
}

/// [`read_tokens`] of keys or values.
#[cube]
fn read_keys(
    tile: &mut Shared<[Vec4]>,
    own: &Tokens,
    extra: &Tokens,
    extent: &Extent,
    place: &Place,
    first: usize,
    #[comptime] rows: usize,
    #[comptime] dim: usize,
    #[comptime] has_extra: bool,
) {
    let (own_keys, keys) = (extent.own_keys, extent.keys);
    read_tokens(tile, own, extra, place, first, own_keys, keys, rows, dim, has_extra);
}

/// [`read_tokens`] of queries or the gradient of their results.
#[cube]
fn read_queries(
    tile: &mut Shared<[Vec4]>,
    own: &Tokens,
    extent: &Extent,
    place: &Place,
    first: usize,
    #[comptime] rows: usize,
    #[comptime] dim: usize,
) {
    let count = extent.queries;
    read_tokens(tile, own, own, place, first, count, count, rows, dim, false);
}

/// Products of a unit's kept tokens with its passing ones, `[kept, passing]`.
#[cube]
fn products(
    kept: &Shared<[Vec4]>,
    passing: &Shared<[Vec4]>,
    #[comptime] count: usize,
    #[comptime] vectors: usize,
) -> Array<f32> {
    let across = UNIT_POS as usize % SIDE;
    let down = UNIT_POS as usize / SIDE;
    let mut sums = Array::<Vec4>::new(comptime!(OWN * count));
    #[unroll]
    for slot in 0..comptime!(OWN * count) {
        sums[slot] = Vec4::new(0.0f32);
    }
    for vector in 0..vectors {
        let mut left = Array::<Vec4>::new(OWN);
        #[unroll]
        for own in 0..OWN {
            left[own] = kept[(down * OWN + own) * comptime!(row(vectors)) + vector];
        }
        #[unroll]
        for step in 0..count {
            let right = passing[(step * SIDE + across) * comptime!(row(vectors)) + vector];
            #[unroll]
            for own in 0..OWN {
                sums[own * count + step] += left[own] * right;
            }
        }
    }
    let mut products = Array::<f32>::new(comptime!(OWN * count));
    #[unroll]
    for slot in 0..comptime!(OWN * count) {
        let sum = sums[slot];
        products[slot] = (sum.extract(0usize) + sum.extract(1usize)) + (sum.extract(2usize) + sum.extract(3usize));
    }
    products
}

/// Adds the passing tokens, weighted for each kept one, to a unit's share of sums: of its tokens the vectors
/// `across, across + 8, …`.
#[cube]
fn add_weighted(
    sums: &mut Array<Vec4>,
    weights: &Shared<[f32]>,
    passing: &Shared<[Vec4]>,
    #[comptime] tile: usize,
    #[comptime] vectors: usize,
) {
    let across = UNIT_POS as usize % SIDE;
    let down = UNIT_POS as usize / SIDE;
    for token in 0..tile {
        let mut share = Array::<f32>::new(OWN);
        #[unroll]
        for own in 0..OWN {
            share[own] = weights[(down * OWN + own) * comptime!(tile + 1) + token];
        }
        #[unroll]
        for part in 0..comptime!(vectors.div_ceil(SIDE)) {
            let vector = part * SIDE + across;
            if comptime!(vectors.is_multiple_of(SIDE)) || vector < vectors {
                let values = passing[token * comptime!(row(vectors)) + vector];
                #[unroll]
                for own in 0..OWN {
                    sums[part * OWN + own] += values * Vec4::new(share[own]);
                }
            }
        }
    }
}

/// Sums of [`add_weighted`], all zero.
#[cube]
fn no_sums(#[comptime] vectors: usize) -> Array<Vec4> {
    let count = comptime!(vectors.div_ceil(SIDE) * OWN);
    let mut sums = Array::<Vec4>::new(count);
    #[unroll]
    for slot in 0..count {
        sums[slot] = Vec4::new(0.0f32);
    }
    sums
}

/// Writes what a unit summed for its own token number `own`.
#[cube]
fn write_token(
    output: &mut Tokens,
    place: &Place,
    token: usize,
    sums: &Array<Vec4>,
    factor: f32,
    #[comptime] own: usize,
    #[comptime] dim: usize,
) {
    let vectors = comptime!(dim.div_ceil(4));
    let across = UNIT_POS as usize % SIDE;
    let start = output.start_of(place, token);
    #[unroll]
    for part in 0..comptime!(vectors.div_ceil(SIDE)) {
        let vector = part * SIDE + across;
        #[unroll]
        for lane in 0..4usize {
            if vector * 4 + lane < dim {
                output.values[start + vector * 4 + lane] = sums[part * OWN + own].extract(lane) * factor;
            }
        }
    }
}

#[cube(launch)]
fn forward(
    query: &Tokens,
    key: &Tokens,
    value: &Tokens,
    extra_key: &Tokens,
    extra_value: &Tokens,
    mut output: Tokens,
    log_sum: &mut [f32],
    extent: &Extent,
    #[comptime] dim: usize,
    #[comptime] value_dim: usize,
    #[comptime] causal: bool,
    #[comptime] dropout: bool,
    #[comptime] has_extra: bool,
) {
    let vectors = comptime!(dim.div_ceil(4));
    let value_vectors = comptime!(value_dim.div_ceil(4));
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

    read_queries(&mut queries, query, extent, &place, place.first, BLOCK, dim);
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
        read_keys(
            &mut passing,
            key,
            extra_key,
            extent,
            &place,
            first_key,
            TILE,
            dim,
            has_extra,
        );
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
                if !extent.sees(place.first + down * OWN + own, key, causal) {
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
                if dropout {
                    let query = place.first + down * OWN + own;
                    weight *= extent.factor(&place, query, first_key + step * SIDE + across);
                }
                weights[(down * OWN + own) * comptime!(TILE + 1) + step * SIDE + across] = weight;
            }
        }
        read_keys(
            &mut passing,
            value,
            extra_value,
            extent,
            &place,
            first_key,
            TILE,
            value_dim,
            has_extra,
        );
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
            write_token(&mut output, &place, token, &sums, 1.0f32 / sum, own, value_dim);
            if across == 0 {
                log_sum[place.plane * extent.queries + token] = maximum[own] + sum.ln();
            }
        }
    }
}

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
    #[comptime] causal: bool,
    #[comptime] dropout: bool,
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
            if extent.sees(query, key, causal) {
                let slot = comptime!(own * steps + step);
                let statistic = place.plane * extent.queries + query;
                weight = (scores[slot] * extent.scale - log_sum[statistic]).exp();
                let mut factor = 1.0f32;
                if dropout {
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
    query: &Tokens,
    key: &Tokens,
    value: &Tokens,
    extra_key: &Tokens,
    extra_value: &Tokens,
    gradient: &Tokens,
    log_sum: &[f32],
    result_products: &[f32],
    mut output: Tokens,
    extent: &Extent,
    #[comptime] dim: usize,
    #[comptime] value_dim: usize,
    #[comptime] causal: bool,
    #[comptime] dropout: bool,
    #[comptime] has_extra: bool,
) {
    let vectors = comptime!(dim.div_ceil(4));
    let value_vectors = comptime!(value_dim.div_ceil(4));
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

    read_queries(&mut queries, query, extent, &place, place.first, BLOCK, dim);
    read_queries(&mut gradients, gradient, extent, &place, place.first, BLOCK, value_dim);
    let mut sums = no_sums(vectors);
    let mut first_key = 0usize;
    while first_key < extent.keys {
        sync_cube();
        read_keys(
            &mut keys,
            key,
            extra_key,
            extent,
            &place,
            first_key,
            GRADIENT_TILE,
            dim,
            has_extra,
        );
        read_keys(
            &mut values,
            value,
            extra_value,
            extent,
            &place,
            first_key,
            GRADIENT_TILE,
            value_dim,
            has_extra,
        );
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
            causal,
            dropout,
        );
        sync_cube();
        add_weighted(&mut sums, &slopes, &keys, GRADIENT_TILE, vectors);
        first_key += GRADIENT_TILE;
    }
    #[unroll]
    for own in 0..OWN {
        let token = place.first + down * OWN + own;
        if token < extent.queries {
            write_token(&mut output, &place, token, &sums, 1.0f32, own, dim);
        }
    }
}

#[cube(launch)]
fn key_gradients(
    query: &Tokens,
    key: &Tokens,
    value: &Tokens,
    extra_key: &Tokens,
    extra_value: &Tokens,
    gradient: &Tokens,
    log_sum: &[f32],
    result_products: &[f32],
    mut key_output: Tokens,
    mut value_output: Tokens,
    mut extra_key_output: Tokens,
    mut extra_value_output: Tokens,
    extent: &Extent,
    #[comptime] dim: usize,
    #[comptime] value_dim: usize,
    #[comptime] causal: bool,
    #[comptime] dropout: bool,
    #[comptime] has_extra: bool,
) {
    let vectors = comptime!(dim.div_ceil(4));
    let value_vectors = comptime!(value_dim.div_ceil(4));
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

    read_keys(
        &mut keys,
        key,
        extra_key,
        extent,
        &place,
        place.first,
        BLOCK,
        dim,
        has_extra,
    );
    read_keys(
        &mut values,
        value,
        extra_value,
        extent,
        &place,
        place.first,
        BLOCK,
        value_dim,
        has_extra,
    );
    let mut key_sums = no_sums(vectors);
    let mut value_sums = no_sums(value_vectors);
    let mut first_query = 0usize;
    while first_query < extent.queries {
        sync_cube();
        read_queries(&mut queries, query, extent, &place, first_query, GRADIENT_TILE, dim);
        read_queries(
            &mut gradients,
            gradient,
            extent,
            &place,
            first_query,
            GRADIENT_TILE,
            value_dim,
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
            causal,
            dropout,
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
            write_token(&mut key_output, &place, token, &key_sums, 1.0f32, own, dim);
            write_token(&mut value_output, &place, token, &value_sums, 1.0f32, own, value_dim);
        } else if has_extra && token < extent.keys {
            let token = token - extent.own_keys;
            write_token(&mut extra_key_output, &place, token, &key_sums, 1.0f32, own, dim);
            write_token(
                &mut extra_value_output,
                &place,
                token,
                &value_sums,
                1.0f32,
                own,
                value_dim,
            );
        }
    }
}

/// What [`attention`] gives: the result `[batch, heads, queries, value_dim]`, heads of a token together in memory, and the
/// logarithm of the sum of each query's exponentials `[batch, heads, queries]`.
pub(crate) type Attended = (CubeTensor, CubeTensor);

/// Gradients of query, key and value, and of extra keys and values: an image each, as large as the batch.
pub(crate) type Gradients = ([CubeTensor; 3], Option<(CubeTensor, CubeTensor)>);

/// Whether [`attention`] can take these tensors: floats of 32 bits, few enough for the memory of a cube.
pub(crate) fn takes(query: &CubeTensor, value: &CubeTensor) -> bool {
    let [keys, values] = padded_vectors(query, value);
    let memory = 16 * (BLOCK * keys + TILE * keys.max(values)) + 4 * BLOCK * (TILE + 1 + SIDE + 1);
    fits(query, memory, 8)
}

/// Whether [`attention_gradients`] can take these tensors; it needs more of the device.
pub(crate) fn takes_gradients(query: &CubeTensor, value: &CubeTensor) -> bool {
    let [keys, values] = padded_vectors(query, value);
    let memory = 16 * (BLOCK + GRADIENT_TILE) * (keys + values) + 8 * BLOCK * (GRADIENT_TILE + 1);
    fits(query, memory, 13)
}

fn padded_vectors(query: &CubeTensor, value: &CubeTensor) -> [usize; 2] {
    [query, value].map(|tensor| row(tensor.meta.shape()[3].div_ceil(4)))
}

/// Whether the device has so many bytes of memory for a cube, and buffers for a kernel.
fn fits(tensor: &CubeTensor, memory: usize, buffers: u32) -> bool {
    let hardware = &tensor.client.properties().hardware;
    tensor.dtype == DType::F32 && memory <= hardware.max_shared_memory_size && buffers <= hardware.max_bindings
}

/// The inputs of attention, dimensions of a token one behind the other in memory.
pub(crate) struct Inputs {
    query: CubeTensor,
    key: CubeTensor,
    value: CubeTensor,
    extra: Option<(CubeTensor, CubeTensor)>,
    mask: AttentionMask,
}

impl Inputs {
    pub(crate) fn new(
        query: CubeTensor,
        key: CubeTensor,
        value: CubeTensor,
        extra: Option<(CubeTensor, CubeTensor)>,
        mask: AttentionMask,
    ) -> Self {
        Self {
            query: dense(query),
            key: dense(key),
            value: dense(value),
            extra: extra.map(|(key, value)| (dense(key), dense(value))),
            mask,
        }
    }

    fn extra_keys(&self) -> usize {
        self.extra.as_ref().map_or(0, |(key, _)| key.meta.shape()[2])
    }

    /// Extra keys and values; own ones, which are not read, where there are none.
    fn extra(&self) -> [TokensLaunch; 2] {
        let batch = self.query.meta.shape()[0];
        let (key, value) = self
            .extra
            .as_ref()
            .map_or((&self.key, &self.value), |(key, value)| (key, value));
        [key, value].map(|tensor| tokens(tensor, batch))
    }

    fn own(&self) -> [TokensLaunch; 3] {
        [&self.query, &self.key, &self.value].map(|tensor| tokens(tensor, tensor.meta.shape()[0]))
    }

    fn extent(&self) -> ExtentLaunch {
        let [_, heads, queries, dim] = self.query.meta.shape().dims::<4>();
        let own_keys = self.key.meta.shape()[2];
        let keys = own_keys + self.extra_keys();
        // Not read where nothing is dropped, but kernels have to be given something.
        let lots = launched(self.mask.dropout.unwrap_or_else(|| Lots::new([0; 2], 0.0)));
        ExtentLaunch::new(heads, queries, own_keys, keys, (dim as f32).powf(-0.5), lots)
    }
}

/// A tensor whose last dimension lies together in memory.
fn dense(tensor: CubeTensor) -> CubeTensor {
    if tensor.meta.strides()[3] == 1 || tensor.meta.shape()[3] == 1 {
        tensor
    } else {
        into_contiguous(tensor)
    }
}

/// A tensor for a kernel; all images of a batch share the only one if there is but one.
fn tokens(tensor: &CubeTensor, batch: usize) -> TokensLaunch {
    let strides = tensor.meta.strides();
    let image = if tensor.meta.shape()[0] < batch { 0 } else { strides[0] };
    // All that the buffer holds: a view reaches further than it has elements.
    let floats = tensor.handle.size_in_used() as usize / size_of::<f32>();
    let buffer = CubeTensor::new_contiguous(
        tensor.client.clone(),
        tensor.device.clone(),
        Shape::new([floats]),
        tensor.handle.clone(),
        tensor.dtype,
    );
    TokensLaunch::new(buffer.into_buffer_arg(), image, strides[1], strides[2])
}

/// An uninitialised tensor `[batch, heads, tokens, dim]`, heads of a token together in memory.
fn tokens_first(like: &CubeTensor, [batch, heads, tokens, dim]: [usize; 4]) -> CubeTensor {
    Cube::float_swap_dims(empty(like, [batch, tokens, heads, dim], DType::F32), 1, 2)
}

/// An uninitialised tensor of the same shape, in order.
pub(crate) fn like(tensor: &CubeTensor) -> CubeTensor {
    empty(tensor, tensor.meta.shape().clone(), tensor.dtype)
}

/// Queries, keys and values as views of one tensor `[batch, tokens, 3 · heads · dim]`, unless the device cannot bind a buffer
/// where keys and values begin.
pub(crate) fn parts(qkv: &CubeTensor, heads: usize) -> Option<[CubeTensor; 3]> {
    let [batch, tokens, width] = qkv.meta.shape().dims::<3>();
    let part = width / 3;
    let bytes = (part * qkv.dtype.size()) as u64;
    if !qkv.is_contiguous() || !bytes.is_multiple_of(qkv.client.properties().memory.alignment) {
        return None;
    }
    let dim = part / heads;
    let shape = Shape::new([batch, heads, tokens, dim]);
    Some([0, 1, 2].map(|index| {
        let strides = Strides::new(&[tokens * width, dim, width, 1]);
        let handle = qkv.handle.clone().offset_start(index * bytes);
        let meta = Metadata::new(shape.clone(), strides);
        CubeTensor::new(qkv.client.clone(), handle, meta, qkv.device.clone(), qkv.dtype)
    }))
}

/// Softmax attention; [`takes`] says of which tensors.
pub(crate) fn attention(inputs: &Inputs) -> Attended {
    let [batch, heads, queries, dim] = inputs.query.meta.shape().dims::<4>();
    let value_dim = inputs.value.meta.shape()[3];
    let output = tokens_first(&inputs.query, [batch, heads, queries, value_dim]);
    let log_sum = empty(&inputs.query, [batch, heads, queries], DType::F32);
    let [query, key, value] = inputs.own();
    let [extra_key, extra_value] = inputs.extra();
    forward::launch(
        &inputs.query.client,
        cubes(batch * heads * queries.div_ceil(BLOCK)),
        CubeDim::new_1d((SIDE * SIDE) as u32),
        query,
        key,
        value,
        extra_key,
        extra_value,
        tokens(&output, batch),
        log_sum.clone().into_buffer_arg(),
        inputs.extent(),
        dim,
        value_dim,
        inputs.mask.causal,
        inputs.mask.dropout.is_some(),
        inputs.extra.is_some(),
    );
    (output, log_sum)
}

/// Gradients of [`attention`] from its results and the gradient of the first, written into `targets`, or new tensors, for
/// query, key and value; [`takes_gradients`] says of which tensors.
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
    let [query, key, value] = inputs.own();
    let [extra_key, extra_value] = inputs.extra();
    query_gradient::launch(
        client,
        cubes(batch * heads * queries.div_ceil(BLOCK)),
        units,
        query,
        key,
        value,
        extra_key,
        extra_value,
        tokens(&gradient, batch),
        log_sum.clone().into_buffer_arg(),
        products.clone().into_buffer_arg(),
        tokens(&targets[0], batch),
        inputs.extent(),
        dim,
        value_dim,
        inputs.mask.causal,
        inputs.mask.dropout.is_some(),
        inputs.extra.is_some(),
    );
    let [query, key, value] = inputs.own();
    let [extra_key, extra_value] = inputs.extra();
    key_gradients::launch(
        client,
        cubes(batch * heads * (own_keys + extra_keys).div_ceil(BLOCK)),
        units,
        query,
        key,
        value,
        extra_key,
        extra_value,
        tokens(&gradient, batch),
        log_sum.into_buffer_arg(),
        products.into_buffer_arg(),
        tokens(&targets[1], batch),
        tokens(&targets[2], batch),
        tokens(&extra_targets[0], batch),
        tokens(&extra_targets[1], batch),
        inputs.extent(),
        dim,
        value_dim,
        inputs.mask.causal,
        inputs.mask.dropout.is_some(),
        inputs.extra.is_some(),
    );
    let extra = inputs.extra.as_ref().map(|(key, _)| {
        let shared = key.meta.shape()[0] < batch;
        let [key, value] = extra_targets.map(|all| if shared { Cube::float_sum_dim(all, 0) } else { all });
        (key, value)
    });
    (targets, extra)
}
