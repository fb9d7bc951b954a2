//! The innermost loop of every matrix product.

use pulp::{Simd, WithSimd};

use super::instruction_set::InstructionSet;
use super::prefetch::prefetch;

/// The product of `ROWS` interleaved rows of one matrix and `VECTORS` vectors of columns of another: `Σ left[p][r] · right[p]`.
#[inline(always)]
pub(crate) fn multiply_add<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    left: &[[f32; ROWS]],
    right: &[[S::f32s; VECTORS]],
) -> [[S::f32s; VECTORS]; ROWS] {
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
    for (left, right) in left.iter().zip(right) {
        for row in 0..ROWS {
            let left = simd.splat_f32s(left[row]);
            for vector in 0..VECTORS {
                sums[row][vector] = simd.mul_add_e_f32s(left, right[vector], sums[row][vector]);
            }
        }
    }
    sums
}

/// Steps of the inner dimension by which columns are prefetched: about a hundred cycles.
const AHEAD: usize = 12;

/// The product of `ROWS` rows and columns: `Σ left[r][p] · right[p]`.
#[inline(always)]
pub(crate) fn multiply_add_rows<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    left: [&[f32]; ROWS],
    right: &[[S::f32s; VECTORS]],
) -> [[S::f32s; VECTORS]; ROWS] {
    let depth = right.len();
    // Not with `map`: if it is not inlined, the compiler does not know the lengths and checks every index.
    let mut rows = left;
    for row in &mut rows {
        *row = &row[..depth];
    }
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
    for index in 0..depth {
        prefetch(right.as_ptr().wrapping_add(index + AHEAD), 1);
        for row in 0..ROWS {
            let left = simd.splat_f32s(rows[row][index]);
            for vector in 0..VECTORS {
                sums[row][vector] = simd.mul_add_e_f32s(left, right[index][vector], sums[row][vector]);
            }
        }
    }
    sums
}

/// Work on tiles whose size depends on the instruction set.
pub(crate) trait TileTask {
    type Output;

    fn run<S: Simd, const ROWS: usize, const VECTORS: usize>(self, simd: S) -> Self::Output;
}

/// Runs `task`. The tiles fill the registers: 24 of 32 with AVX-512 and NEON, 12 of 16 with AVX2.
#[inline(always)]
pub(crate) fn run<T: TileTask>(instructions: InstructionSet, task: T) -> T::Output {
    struct Adapter<T>(T);
    impl<T: TileTask> WithSimd for Adapter<T> {
        type Output = T::Output;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> T::Output {
            match S::F32_LANES {
                16 => self.0.run::<S, 8, 3>(simd),
                8 => self.0.run::<S, 6, 2>(simd),
                4 => self.0.run::<S, 8, 3>(simd),
                _ => self.0.run::<S, 4, 4>(simd),
            }
        }
    }
    instructions.run(Adapter(task))
}

/// Rows and columns of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TileShape {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl TileShape {
    pub(crate) fn of(instructions: InstructionSet) -> Self {
        struct Shape;
        impl TileTask for Shape {
            type Output = TileShape;

            #[inline(always)]
            fn run<S: Simd, const ROWS: usize, const VECTORS: usize>(self, _: S) -> TileShape {
                TileShape {
                    rows: ROWS,
                    columns: VECTORS * S::F32_LANES,
                }
            }
        }
        run(instructions, Shape)
    }
}
