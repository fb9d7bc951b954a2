//! Matrix products with the epilogue of a linear layer, on the CPU.

use std::ops::Range;

use pulp::{NullaryFnOnce, Simd};
use rayon::prelude::*;

use super::Activation;
use crate::cpu::tile::{self, TileShape, TileTask, multiply_add, multiply_add_rows};
use crate::cpu::{InstructionSet, Matrix, OutputCells, OutputRectangle, Scratch, filled_by, interleave, pad};
use crate::quick_gelu::quick_gelu_simd;

/// Largest part of the inner dimension that is multiplied in one pass, so that the rows of a tile fit into the L1 cache.
const DEPTH_BLOCK: usize = 768;
/// Floats of the right side that a task packs at a time (at least one panel), so that they stay in the L2 cache for all rows.
const PACKED_FLOATS: usize = 80 << 10;
/// Tasks per thread, if there are enough rows: with two, all threads finish at about the same time.
const TASKS_PER_THREAD: usize = 2;
/// Smallest number of row groups of a task, since each task packs its columns separately.
const MIN_ROW_GROUPS: usize = 4;
/// Multiply-adds below which starting other threads costs more than it saves.
const SERIAL_WORK: usize = 1 << 18;
/// Parts of the depth that are packed together: as many streams as the hardware prefetcher follows.
const LINES: usize = 16;

/// All rows of a matrix, `width` interleaved, by blocks of the depth: `[depth blocks, groups, depth of a block, width]`.
fn interleaved_by_depth(matrix: Matrix<'_>, width: usize) -> Scratch {
    let groups = matrix.rows.div_ceil(width);
    let mut out = Scratch::new(groups * matrix.columns * width);
    if groups == 0 {
        return out;
    }
    let pack_block = |(block, out): (usize, &mut [f32])| {
        let first = block * DEPTH_BLOCK;
        let count = DEPTH_BLOCK.min(matrix.columns - first);
        // If each step of the depth is a stream of its own, a few streams at a time are read sequentially.
        for begin in (0..count).step_by(LINES) {
            let lines = LINES.min(count - begin);
            let part = matrix.columns(first + begin, lines);
            for (group, out) in out.chunks_exact_mut(count * width).enumerate() {
                let row = group * width;
                let rows = part.rows(row, width.min(matrix.rows - row));
                interleave(rows, [0, begin], count, width, out);
            }
        }
        let last = (groups - 1) * width;
        pad(matrix.rows - last, count, width, &mut out[last * count..]);
    };
    let blocks = out.par_chunks_mut(groups * DEPTH_BLOCK * width).enumerate();
    blocks.for_each(pack_block);
    out
}

/// What is applied to a product while it is written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Epilogue<'a> {
    /// Added to every row.
    pub(crate) bias: Option<&'a [f32]>,
    /// Added to the product, `[rows, columns]`. Excludes an activation.
    pub(crate) residual: Option<&'a [f32]>,
    /// Applied last.
    pub(crate) activation: Activation,
}

/// `left · right` with its epilogue: `[left.rows, right.columns]`.
///
/// Each task packs the right side that it reads, a few panels of columns at a time, so that packed columns stay in the cache.
pub(crate) fn multiply(
    instructions: InstructionSet,
    left: Matrix<'_>,
    right: Matrix<'_>,
    epilogue: Epilogue<'_>,
) -> Vec<f32> {
    assert_eq!(left.columns, right.rows, "inner dimensions");
    if let Some(bias) = epilogue.bias {
        assert_eq!(bias.len(), right.columns, "length of the bias");
    }
    if let Some(residual) = epilogue.residual {
        assert_eq!(residual.len(), left.rows * right.columns, "length of the residual");
        assert_eq!(
            epilogue.activation,
            Activation::None,
            "activation of a sum with a residual"
        );
    }
    let shape = TileShape::of(instructions);
    // Contiguous rows are read in place: packing would dominate a narrow product.
    let packed_left = (!left.has_contiguous_rows()).then(|| interleaved_by_depth(left, shape.rows));
    let left_side = match &packed_left {
        Some(packed) => Left::Packed(packed),
        None => Left::Rows(left),
    };
    let groups = left.rows.div_ceil(shape.rows);
    let panels = right.columns.div_ceil(shape.columns);
    let panels_at_once = (PACKED_FLOATS / (shape.columns * right.rows.clamp(1, DEPTH_BLOCK))).max(1);
    let column_blocks = panels.div_ceil(panels_at_once);
    // Rows are divided only if there are not enough columns. No element is a sum over tasks, so that the number of threads does
    // not change results.
    let row_blocks = match rayon::current_num_threads() {
        1 => 1,
        threads => (TASKS_PER_THREAD * threads).div_ceil(column_blocks.max(1)),
    };
    let row_blocks = row_blocks.min(groups / MIN_ROW_GROUPS).max(1);
    let fill = |out: &OutputCells<'_>| {
        let run_block = |index: usize| {
            let (row_block, column_block) = (index % row_blocks, index / row_blocks);
            let block = Block {
                left: left_side,
                right,
                epilogue,
                rows: left.rows,
                groups: part(groups, row_blocks, row_block),
                panels: part(panels, column_blocks, column_block),
                out,
            };
            tile::run(instructions, block);
        };
        let blocks = row_blocks * column_blocks;
        if left.rows * right.columns * right.rows < SERIAL_WORK {
            (0..blocks).for_each(run_block);
        } else {
            (0..blocks).into_par_iter().with_max_len(1).for_each(run_block);
        }
    };
    // SAFETY: the blocks cover every row and every column, and a block reads back only what its own first pass wrote.
    unsafe { filled_by(left.rows * right.columns, fill) }
}

/// The `index`th of `parts` almost equal parts of `0..count`.
fn part(count: usize, parts: usize, index: usize) -> Range<usize> {
    count * index / parts..count * (index + 1) / parts
}

/// The left side of a product.
#[derive(Clone, Copy)]
enum Left<'a> {
    /// From [`interleaved_by_depth`].
    Packed(&'a [f32]),
    /// Contiguous rows.
    Rows(Matrix<'a>),
}

/// A rectangle of the product: groups of rows, and the panels of columns that are packed together.
struct Block<'a> {
    left: Left<'a>,
    right: Matrix<'a>,
    epilogue: Epilogue<'a>,
    rows: usize,
    groups: Range<usize>,
    panels: Range<usize>,
    out: &'a OutputCells<'a>,
}

impl TileTask for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize, const VECTORS: usize>(self, simd: S) {
        let (depth, columns) = (self.right.rows, self.right.columns);
        let width = VECTORS * S::F32_LANES;
        let depth_blocks = depth.div_ceil(DEPTH_BLOCK).max(1);
        let columns_here = self.panels.start * width..columns.min(self.panels.end * width);
        let mut packed = Scratch::new(self.panels.len() * depth.min(DEPTH_BLOCK) * width);
        for depth_block in 0..depth_blocks {
            let first = depth_block * DEPTH_BLOCK;
            let count = DEPTH_BLOCK.min(depth - first);
            let right = self.right.rows(first, count);
            let right_here = right.columns(columns_here.start, columns_here.len());
            interleave(right_here.transposed(), [0, 0], count, width, &mut packed);
            pad(columns_here.len(), count, width, &mut packed);
            let packed = S::as_simd_f32s(&packed).0.as_chunks::<VECTORS>().0;
            let last = depth_block + 1 == depth_blocks;
            for group in self.groups.clone() {
                let first_row = group * ROWS;
                let valid_rows = ROWS.min(self.rows - first_row);
                for (index, panel) in self.panels.clone().enumerate() {
                    let column = panel * width;
                    let valid_columns = width.min(columns - column);
                    let start = first_row * columns + column;
                    let product = TileProduct {
                        simd,
                        left: self.left_tile(group, first, count),
                        right: &packed[index * count..][..count],
                        // SAFETY: no other block has these rows and columns.
                        out: unsafe { self.out.rectangle(start, columns, [valid_rows, valid_columns]) },
                        added: (depth_block == 0).then(|| Added {
                            bias: self.epilogue.bias.map(|bias| &bias[column..][..valid_columns]),
                            residual: self.epilogue.residual.map(|residual| (&residual[start..], columns)),
                        }),
                    };
                    compute::<S, ROWS, VECTORS>(product);
                }
                if last && self.epilogue.activation != Activation::None {
                    // One group later, after the stores have completed: see `OutputRectangle::add`.
                    let begin = group.saturating_sub(1).max(self.groups.start) * ROWS;
                    let end = if group + 1 == self.groups.end {
                        first_row + valid_rows
                    } else {
                        first_row
                    };
                    for row in begin..end {
                        let start = row * columns + columns_here.start;
                        // SAFETY: no other block has this part of the row.
                        let mut out = unsafe { self.out.rectangle(start, 0, [1, columns_here.len()]) };
                        // SAFETY: written above.
                        activate_row(simd, self.epilogue.activation, unsafe { out.row(0) });
                    }
                }
            }
        }
    }
}

impl<'a> Block<'a> {
    /// The rows of a group, `count` of their columns from `first` on.
    #[inline(always)]
    fn left_tile<const ROWS: usize>(&self, group: usize, first: usize, count: usize) -> LeftTile<'a, ROWS> {
        match self.left {
            Left::Packed(left) => {
                let groups = self.rows.div_ceil(ROWS);
                let left = left.as_chunks::<ROWS>().0;
                LeftTile::Interleaved(&left[groups * first + group * count..][..count])
            }
            Left::Rows(left) => {
                // Rows beyond the last repeat it, and their products are clipped. A loop for the same reason as in
                // `multiply_add_rows`.
                let mut rows: [&[f32]; ROWS] = [&[]; ROWS];
                for (index, row) in rows.iter_mut().enumerate() {
                    *row = &left.row((group * ROWS + index).min(self.rows - 1))[first..][..count];
                }
                LeftTile::Rows(rows)
            }
        }
    }
}

/// The rows of a tile.
enum LeftTile<'a, const ROWS: usize> {
    Interleaved(&'a [[f32; ROWS]]),
    Rows([&'a [f32]; ROWS]),
}

/// A tile of the product over a part of the depth.
struct TileProduct<'a, S: Simd, const ROWS: usize, const VECTORS: usize> {
    simd: S,
    left: LeftTile<'a, ROWS>,
    right: &'a [[S::f32s; VECTORS]],
    out: OutputRectangle<'a>,
    /// Added to the first part of the depth; further parts are added to the output.
    added: Option<Added<'a>>,
}

/// Summands of a tile: a row, and a matrix with the stride of its rows.
struct Added<'a> {
    bias: Option<&'a [f32]>,
    residual: Option<(&'a [f32], usize)>,
}

/// Not inlined: within a block the compiler would spill the pointers to the rows, which costs a tenth of the time.
#[inline(never)]
fn compute<S: Simd, const ROWS: usize, const VECTORS: usize>(product: TileProduct<'_, S, ROWS, VECTORS>) {
    product.simd.vectorize(product);
}

impl<S: Simd, const ROWS: usize, const VECTORS: usize> NullaryFnOnce for TileProduct<'_, S, ROWS, VECTORS> {
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        let simd = self.simd;
        let zeros = [simd.splat_f32s(0.0); VECTORS];
        let tile = match self.left {
            LeftTile::Interleaved(left) => multiply_add(simd, left, self.right),
            LeftTile::Rows(rows) => multiply_add_rows(simd, rows, self.right),
        };
        match self.added {
            Some(added) => {
                let bias = added.bias.map_or(zeros, |bias| load_row(simd, bias));
                self.out.store(simd, tile, bias, added.residual);
            }
            // SAFETY: the first part of the depth has written it.
            None => unsafe { self.out.add(simd, tile) },
        }
    }
}

/// Floats as vectors, padded with zeros.
#[inline(always)]
fn load_row<S: Simd, const VECTORS: usize>(simd: S, row: &[f32]) -> [S::f32s; VECTORS] {
    let mut vectors = [simd.splat_f32s(0.0); VECTORS];
    for (vector, value) in vectors.iter_mut().enumerate() {
        let begin = (vector * S::F32_LANES).min(row.len());
        let end = (begin + S::F32_LANES).min(row.len());
        *value = simd.partial_load_f32s(&row[begin..end]);
    }
    vectors
}

#[inline(always)]
fn activate_row<S: Simd>(simd: S, activation: Activation, row: &mut [f32]) {
    let (vectors, rest) = S::as_mut_simd_f32s(row);
    for vector in vectors {
        *vector = activate(simd, activation, *vector);
    }
    if !rest.is_empty() {
        let value = activate(simd, activation, simd.partial_load_f32s(rest));
        simd.partial_store_f32s(rest, value);
    }
}

#[inline(always)]
fn activate<S: Simd>(simd: S, activation: Activation, x: S::f32s) -> S::f32s {
    match activation {
        Activation::None => x,
        Activation::QuickGelu => quick_gelu_simd(simd, x),
        Activation::Relu => simd.max_f32s(x, simd.splat_f32s(0.0)),
    }
}

#[cfg(test)]
mod tests;
