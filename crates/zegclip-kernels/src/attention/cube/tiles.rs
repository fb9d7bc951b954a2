//! Parts of all attention kernels: tokens in buffers, tiles of tokens in shared memory, dot products and weighted sums.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use crate::cube::cube_index;
use crate::dropout::cube::CubeDropoutMask;

/// Units along each side of a cube.
pub(super) const SIDE: usize = 8;
/// Tokens that a cube works on: four for each unit of a column.
pub(super) const BLOCK: usize = 32;
/// Tokens of a unit among those of its cube.
pub(super) const TOKENS_PER_UNIT: usize = BLOCK / SIDE;

pub(super) type Vec4 = Vector<f32, Const<4>>;

/// Tokens `[batch, heads, tokens, dim]` in a buffer, with the strides of images, heads and tokens.
#[derive(CubeType, CubeLaunch)]
pub(super) struct Tokens {
    pub(super) values: Box<[f32]>,
    image: usize,
    head: usize,
    token: usize,
}

#[cube]
impl Tokens {
    pub(super) fn start_of(&self, coord: &BlockCoord, token: usize) -> usize {
        coord.image * self.image + coord.head * self.head + token * self.token
    }

    /// Four floats of a token, zeros beyond its last dimension.
    fn read(&self, coord: &BlockCoord, token: usize, vector: usize, #[comptime] dim: usize) -> Vec4 {
        let start = self.start_of(coord, token) + vector * 4;
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

/// Sizes, scale and masks of one attention.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct Problem {
    heads: usize,
    pub(super) queries: usize,
    pub(super) own_keys: usize,
    /// Own and extra ones.
    pub(super) keys: usize,
    pub(super) scale: f32,
    dropout: CubeDropoutMask,
}

/// The tokens that a cube works on.
#[derive(CubeType, Clone, Copy)]
pub(super) struct BlockCoord {
    pub(super) image: usize,
    pub(super) head: usize,
    /// Index of the head among the heads of all images.
    pub(super) batch_head: usize,
    /// The first token of the cube.
    pub(super) first: usize,
}

#[cube]
impl Problem {
    /// The block of this cube, for heads of `tokens` tokens.
    pub(super) fn block_coord(&self, tokens: usize) -> BlockCoord {
        let blocks = tokens.div_ceil(BLOCK.runtime());
        let task = cube_index();
        let batch_head = task / blocks;
        BlockCoord {
            image: batch_head / self.heads,
            head: batch_head % self.heads,
            batch_head,
            first: (task % blocks) * BLOCK,
        }
    }

    /// Whether a query attends to a key, and both exist.
    pub(super) fn is_visible(&self, query: usize, key: usize, #[comptime] causal: bool) -> bool {
        let mut visible = query < self.queries && key < self.keys;
        if causal && key < self.own_keys && key + self.queries > query + self.own_keys {
            visible = false;
        }
        visible
    }

    /// Factor of a weight by dropout.
    pub(super) fn factor(&self, coord: &BlockCoord, query: usize, key: usize) -> f32 {
        let position = (coord.batch_head * self.queries + query) * self.keys + key;
        self.dropout.factor(position as u32)
    }
}

/// Vectors of a token in shared memory, with one of padding so that units that read different tokens use different banks.
pub(super) const fn padded_row(vectors: usize) -> usize {
    vectors + 1
}

/// Reads `rows` tokens from `first` on, from the extra ones beyond `own_tokens`; zeros beyond the last.
#[cube]
fn read_tokens(
    tile: &mut Shared<[Vec4]>,
    main: &Tokens,
    extra: &Tokens,
    coord: &BlockCoord,
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
            values = main.read(coord, token, vector, dim);
        } else if has_extra && token < tokens {
            values = extra.read(coord, token - own_tokens, vector, dim);
        }
        tile[(index / vectors) * comptime!(padded_row(vectors)) + vector] = values;
        index += comptime!(SIDE * SIDE);
    }
}

/// Inputs of attention; without extra tokens, the own ones are bound in their place and not read.
#[derive(CubeType, CubeLaunch)]
pub(super) struct Operands {
    pub(super) query: Tokens,
    key: Tokens,
    value: Tokens,
    extra_key: Tokens,
    extra_value: Tokens,
}

/// Compile-time parameters of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct KernelConfig {
    pub(super) dim: usize,
    pub(super) value_dim: usize,
    pub(super) causal: bool,
    pub(super) dropout: bool,
    pub(super) has_extra: bool,
}

#[cube]
impl Operands {
    /// [`read_tokens`] of keys.
    pub(super) fn read_keys(
        &self,
        tile: &mut Shared<[Vec4]>,
        problem: &Problem,
        coord: &BlockCoord,
        first: usize,
        #[comptime] rows: usize,
        #[comptime] config: KernelConfig,
    ) {
        read_tokens(
            tile,
            &self.key,
            &self.extra_key,
            coord,
            first,
            problem.own_keys,
            problem.keys,
            rows,
            config.dim,
            config.has_extra,
        );
    }

    /// [`read_tokens`] of values.
    pub(super) fn read_values(
        &self,
        tile: &mut Shared<[Vec4]>,
        problem: &Problem,
        coord: &BlockCoord,
        first: usize,
        #[comptime] rows: usize,
        #[comptime] config: KernelConfig,
    ) {
        read_tokens(
            tile,
            &self.value,
            &self.extra_value,
            coord,
            first,
            problem.own_keys,
            problem.keys,
            rows,
            config.value_dim,
            config.has_extra,
        );
    }
}

/// [`read_tokens`] of queries or the gradient of their results.
#[cube]
pub(super) fn read_queries(
    tile: &mut Shared<[Vec4]>,
    main: &Tokens,
    problem: &Problem,
    coord: &BlockCoord,
    first: usize,
    #[comptime] rows: usize,
    #[comptime] dim: usize,
) {
    let count = problem.queries;
    read_tokens(tile, main, main, coord, first, count, count, rows, dim, false);
}

/// Dot products of a unit's resident tokens with its streamed ones, `[resident, streamed]`.
#[cube]
pub(super) fn dot_products(
    resident: &Shared<[Vec4]>,
    streamed: &Shared<[Vec4]>,
    #[comptime] count: usize,
    #[comptime] vectors: usize,
) -> Array<f32> {
    let unit_x = UNIT_POS as usize % SIDE;
    let unit_y = UNIT_POS as usize / SIDE;
    let mut sums = Array::<Vec4>::new(comptime!(TOKENS_PER_UNIT * count));
    #[unroll]
    for slot in 0..comptime!(TOKENS_PER_UNIT * count) {
        sums[slot] = Vec4::new(0.0f32);
    }
    for vector in 0..vectors {
        let mut left = Array::<Vec4>::new(TOKENS_PER_UNIT);
        #[unroll]
        for row in 0..TOKENS_PER_UNIT {
            left[row] = resident[(unit_y * TOKENS_PER_UNIT + row) * comptime!(padded_row(vectors)) + vector];
        }
        #[unroll]
        for step in 0..count {
            let right = streamed[(step * SIDE + unit_x) * comptime!(padded_row(vectors)) + vector];
            #[unroll]
            for row in 0..TOKENS_PER_UNIT {
                sums[row * count + step] += left[row] * right;
            }
        }
    }
    let mut products = Array::<f32>::new(comptime!(TOKENS_PER_UNIT * count));
    #[unroll]
    for slot in 0..comptime!(TOKENS_PER_UNIT * count) {
        let sum = sums[slot];
        products[slot] = (sum.extract(0usize) + sum.extract(1usize)) + (sum.extract(2usize) + sum.extract(3usize));
    }
    products
}

/// Adds the streamed tokens, weighted for each resident one, to a unit's sums: the vectors `unit_x, unit_x + 8, …` of its
/// tokens.
#[cube]
pub(super) fn add_weighted(
    sums: &mut Array<Vec4>,
    weights: &Shared<[f32]>,
    streamed: &Shared<[Vec4]>,
    #[comptime] tile: usize,
    #[comptime] vectors: usize,
) {
    let unit_x = UNIT_POS as usize % SIDE;
    let unit_y = UNIT_POS as usize / SIDE;
    for token in 0..tile {
        let mut weight = Array::<f32>::new(TOKENS_PER_UNIT);
        #[unroll]
        for row in 0..TOKENS_PER_UNIT {
            weight[row] = weights[(unit_y * TOKENS_PER_UNIT + row) * comptime!(tile + 1) + token];
        }
        #[unroll]
        for part in 0..comptime!(vectors.div_ceil(SIDE)) {
            let vector = part * SIDE + unit_x;
            if comptime!(vectors.is_multiple_of(SIDE)) || vector < vectors {
                let values = streamed[token * comptime!(padded_row(vectors)) + vector];
                #[unroll]
                for row in 0..TOKENS_PER_UNIT {
                    sums[part * TOKENS_PER_UNIT + row] += values * Vec4::new(weight[row]);
                }
            }
        }
    }
}

/// Zeros, the initial sums of [`add_weighted`].
#[cube]
pub(super) fn zero_sums(#[comptime] vectors: usize) -> Array<Vec4> {
    let count = comptime!(vectors.div_ceil(SIDE) * TOKENS_PER_UNIT);
    let mut sums = Array::<Vec4>::new(count);
    #[unroll]
    for slot in 0..count {
        sums[slot] = Vec4::new(0.0f32);
    }
    sums
}

/// Writes the sums of a unit's token number `row`.
#[cube]
pub(super) fn write_token(
    output: &mut Tokens,
    coord: &BlockCoord,
    token: usize,
    sums: &Array<Vec4>,
    factor: f32,
    #[comptime] row: usize,
    #[comptime] dim: usize,
) {
    let vectors = comptime!(dim.div_ceil(4));
    let unit_x = UNIT_POS as usize % SIDE;
    let start = output.start_of(coord, token);
    #[unroll]
    for part in 0..comptime!(vectors.div_ceil(SIDE)) {
        let vector = part * SIDE + unit_x;
        #[unroll]
        for lane in 0..4usize {
            if vector * 4 + lane < dim {
                output.values[start + vector * 4 + lane] = sums[part * TOKENS_PER_UNIT + row].extract(lane) * factor;
            }
        }
    }
}
