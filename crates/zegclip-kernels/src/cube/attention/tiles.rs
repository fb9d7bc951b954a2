//! What the kernels of attention share: tokens in buffers, tiles of them in a cube's memory, products and weighted sums.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use crate::cube::cube_index;
use crate::cube::dropout::CubeLots;

/// Units along each side of a cube.
pub(super) const SIDE: usize = 8;
/// Tokens that a cube keeps: four for each unit of a column.
pub(super) const BLOCK: usize = 32;
/// Tokens of a unit among those that the cube keeps.
pub(super) const OWN: usize = BLOCK / SIDE;

pub(super) type Vec4 = Vector<f32, Const<4>>;

/// Tokens `[batch, heads, tokens, dim]` in a buffer, and how far it is from one image, head and token to the next.
#[derive(CubeType, CubeLaunch)]
pub(super) struct Tokens {
    pub(super) values: Box<[f32]>,
    image: usize,
    head: usize,
    token: usize,
}

#[cube]
impl Tokens {
    pub(super) fn start_of(&self, place: &Place, token: usize) -> usize {
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
pub(super) struct Extent {
    heads: usize,
    pub(super) queries: usize,
    pub(super) own_keys: usize,
    /// Own and extra ones.
    pub(super) keys: usize,
    pub(super) scale: f32,
    lots: CubeLots,
}

/// Where a cube works.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Place {
    pub(super) image: usize,
    pub(super) head: usize,
    /// The head among those of all images.
    pub(super) plane: usize,
    /// The first token that the cube keeps.
    pub(super) first: usize,
}

#[cube]
impl Extent {
    /// The place of a cube whose head has so many tokens to be kept.
    pub(super) fn place(&self, tokens: usize) -> Place {
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
    pub(super) fn sees(&self, query: usize, key: usize, #[comptime] causal: bool) -> bool {
        let mut sees = query < self.queries && key < self.keys;
        if causal && key < self.own_keys && key + self.queries > query + self.own_keys {
            sees = false;
        }
        sees
    }

    /// What dropout multiplies a weight by.
    pub(super) fn factor(&self, place: &Place, query: usize, key: usize) -> f32 {
        let position = (place.plane * self.queries + query) * self.keys + key;
        self.lots.factor(position as u32)
    }
}

/// A token's vectors lie one behind the other, then one of padding, so that units which read different tokens at once use
/// different banks of memory.
pub(super) const fn row(vectors: usize) -> usize {
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

/// What attention reads; where there are no extra tokens, own ones stand for them and are not read.
#[derive(CubeType, CubeLaunch)]
pub(super) struct Operands {
    pub(super) query: Tokens,
    key: Tokens,
    value: Tokens,
    extra_key: Tokens,
    extra_value: Tokens,
}

/// What a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Form {
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
        extent: &Extent,
        place: &Place,
        first: usize,
        #[comptime] rows: usize,
        #[comptime] form: Form,
    ) {
        read_tokens(
            tile,
            &self.key,
            &self.extra_key,
            place,
            first,
            extent.own_keys,
            extent.keys,
            rows,
            form.dim,
            form.has_extra,
        );
    }

    /// [`read_tokens`] of values.
    pub(super) fn read_values(
        &self,
        tile: &mut Shared<[Vec4]>,
        extent: &Extent,
        place: &Place,
        first: usize,
        #[comptime] rows: usize,
        #[comptime] form: Form,
    ) {
        read_tokens(
            tile,
            &self.value,
            &self.extra_value,
            place,
            first,
            extent.own_keys,
            extent.keys,
            rows,
            form.value_dim,
            form.has_extra,
        );
    }
}

/// [`read_tokens`] of queries or the gradient of their results.
#[cube]
pub(super) fn read_queries(
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
pub(super) fn products(
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
pub(super) fn add_weighted(
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
pub(super) fn no_sums(#[comptime] vectors: usize) -> Array<Vec4> {
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
pub(super) fn write_token(
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
