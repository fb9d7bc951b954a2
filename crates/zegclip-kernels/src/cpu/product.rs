//! Matrix products with a right side that was packed before.

use std::ops::Range;

use pulp::Simd;
use rayon::prelude::*;

use super::activation::Activation;
use super::buffer::{OutputCells, Scratch, filled_by};
use super::exponential::quick_gelu;
use super::instruction_set::InstructionSet;
use super::matrix::{Matrix, interleave, pad};
use super::prefetch::prefetch;
use super::tile::{self, TileShape, TileTask, multiply_add, multiply_add_rows};

/// Inner dimension that is multiplied before the next part of it is read: a panel of the right side of this depth stays in
/// the first cache while the rows pass.
const DEPTH_BLOCK: usize = 192;
/// Groups of interleaved rows a task, at most: enough that fetching a panel does not count.
const ROW_GROUPS: usize = 32;
/// Groups of a task that are not divided further.
const FEW_ROW_GROUPS: usize = 4;
/// Tasks, at least, if there are enough rows: gradients of weights are small matrices of long sums.
const BLOCKS: usize = 16;
/// Panels of columns a task, at most.
const COLUMN_PANELS: usize = 8;
/// Multiply-adds below which starting other threads costs more than it saves.
const SERIAL_WORK: usize = 1 << 18;
/// Parts of the depth that are packed side by side: not more than what the processor fetches ahead.
const LINES: usize = 16;
/// Floats below which packing is not worth other threads.
const SERIAL_FLOATS: usize = 1 << 14;

/// A right side `[depth, columns]`, laid out as [`multiply`] reads it.
#[derive(Debug)]
pub(crate) struct PackedMatrix {
    /// `[panels, depth, panel width]`
    panels: Scratch,
    pub(crate) depth: usize,
    pub(crate) columns: usize,
    instructions: InstructionSet,
}

/// Lays out a right side.
pub(crate) fn pack(instructions: InstructionSet, matrix: Matrix<'_>) -> PackedMatrix {
    let width = TileShape::of(instructions).columns;
    PackedMatrix {
        panels: interleaved(matrix.transposed(), width),
        depth: matrix.rows,
        columns: matrix.columns,
        instructions,
    }
}

/// All rows of a matrix, interleaved `width` at a time, padded with zeros.
fn interleaved(matrix: Matrix<'_>, width: usize) -> Scratch {
    let groups = matrix.rows.div_ceil(width);
    let group_len = matrix.columns * width;
    let mut out = Scratch::new(groups * group_len);
    let pack_group = |(group, out): (usize, &mut [f32])| {
        let first = group * width;
        let count = width.min(matrix.rows - first);
        interleave(matrix.rows(first, count), [0, 0], matrix.columns, width, out);
        pad(count, matrix.columns, width, out);
    };
    if group_len == 0 {
        return out;
    }
    if groups * group_len < SERIAL_FLOATS {
        out.chunks_mut(group_len).enumerate().for_each(pack_group);
    } else {
        out.par_chunks_mut(group_len).enumerate().for_each(pack_group);
    }
    out
}

/// All rows of a matrix, interleaved `width` at a time, a part of the depth after the other: `[depth blocks, groups, depth of
/// a block, width]`.
fn interleaved_by_depth(matrix: Matrix<'_>, width: usize) -> Scratch {
    let groups = matrix.rows.div_ceil(width);
    let mut out = Scratch::new(groups * matrix.columns * width);
    if groups == 0 {
        return out;
    }
    let pack_block = |(block, out): (usize, &mut [f32])| {
        let first = block * DEPTH_BLOCK;
        let count = DEPTH_BLOCK.min(matrix.columns - first);
        // Where the depth runs along memory lines of their own, few of them at a time are read from begin to end.
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

/// What is done to a product while it is written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Finish<'a> {
    /// Added to every row.
    pub(crate) bias: Option<&'a [f32]>,
    /// Added to the whole, a float for each element in the order of the rows. Not together with an activation.
    pub(crate) residual: Option<&'a [f32]>,
    /// Applied last.
    pub(crate) activation: Activation,
}

/// `left · right` finished, rows one after the other: `[left.rows, right.columns]`.
pub(crate) fn multiply(left: Matrix<'_>, right: &PackedMatrix, finish: Finish<'_>) -> Vec<f32> {
    assert_eq!(left.columns, right.depth, "inner dimensions");
    if let Some(bias) = finish.bias {
        assert_eq!(bias.len(), right.columns, "length of the bias");
    }
    if let Some(residual) = finish.residual {
        assert_eq!(residual.len(), left.rows * right.columns, "length of the residual");
        assert_eq!(
            finish.activation,
            Activation::None,
            "activation of a sum with a residual"
        );
    }
    let shape = TileShape::of(right.instructions);
    // Rows without gaps are read where they lie: packing them would take a good part of the time of a narrow product.
    let packed_left = (!left.has_contiguous_rows()).then(|| interleaved_by_depth(left, shape.rows));
    let left_side = match &packed_left {
        Some(packed) => Left::Packed(packed),
        None => Left::Rows(left),
    };
    let groups = left.rows.div_ceil(shape.rows);
    let panels = right.columns.div_ceil(shape.columns);
    let fill = |out: &OutputCells<'_>| {
        let column_blocks = panels.div_ceil(COLUMN_PANELS);
        let row_blocks = groups
            .div_ceil(ROW_GROUPS)
            .max(BLOCKS.div_ceil(column_blocks.max(1)).min(groups / FEW_ROW_GROUPS));
        let run_block = |index: usize| {
            let (row_block, column_block) = (index / column_blocks, index % column_blocks);
            let block = Block {
                left: left_side,
                right,
                finish,
                rows: left.rows,
                groups: part(groups, row_blocks, row_block),
                panels: part(panels, column_blocks, column_block),
                out,
            };
            tile::run(right.instructions, block);
        };
        let blocks = row_blocks * column_blocks;
        if left.rows * right.columns * right.depth < SERIAL_WORK {
            (0..blocks).for_each(run_block);
        } else {
            (0..blocks).into_par_iter().with_max_len(1).for_each(run_block);
        }
    };
    // SAFETY: the blocks cover every row and every column, and a block reads back only what its own first pass wrote.
    unsafe { filled_by(left.rows * right.columns, fill) }
}

/// The `index`th of `parts` parts of `0..count` that are as equal as they can be.
fn part(count: usize, parts: usize, index: usize) -> Range<usize> {
    count * index / parts..count * (index + 1) / parts
}

/// The left side of a product.
#[derive(Clone, Copy)]
enum Left<'a> {
    /// As [`interleaved_by_depth`] gives it.
    Packed(&'a [f32]),
    /// Rows without gaps.
    Rows(Matrix<'a>),
}

/// A rectangle of the product.
struct Block<'a> {
    left: Left<'a>,
    right: &'a PackedMatrix,
    finish: Finish<'a>,
    rows: usize,
    groups: Range<usize>,
    panels: Range<usize>,
    out: &'a OutputCells<'a>,
}

impl TileTask for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const ROWS: usize, const VECTORS: usize>(self, simd: S) {
        let PackedMatrix { depth, columns, .. } = *self.right;
        let right = S::as_simd_f32s(&self.right.panels).0.as_chunks::<VECTORS>().0;
        let width = VECTORS * S::F32_LANES;
        let (groups, depth_blocks) = (self.rows.div_ceil(ROWS), depth.div_ceil(DEPTH_BLOCK).max(1));
        for depth_block in 0..depth_blocks {
            let first = depth_block * DEPTH_BLOCK;
            let count = DEPTH_BLOCK.min(depth - first);
            for panel in self.panels.clone() {
                let next_panel = if panel + 1 < self.panels.end { panel + 1 } else { panel };
                let next = &right[next_panel * depth + first..][..count];
                let right = &right[panel * depth + first..][..count];
                let column = panel * width;
                let valid_columns = width.min(columns - column);
                let mut bias = [simd.splat_f32s(0.0); VECTORS];
                if depth_block == 0
                    && let Some(all) = self.finish.bias
                {
                    bias = load_row(simd, &all[column..column + valid_columns]);
                }
                for group in self.groups.clone() {
                    prefetch(&next[part(count, self.groups.len(), group - self.groups.start)]);
                    let row = group * ROWS;
                    let valid_rows = ROWS.min(self.rows - row);
                    let tile = match self.left {
                        Left::Packed(left) => {
                            let left = left.as_chunks::<ROWS>().0;
                            let left = &left[groups * first + group * count..][..count];
                            multiply_add(simd, left, right, [[simd.splat_f32s(0.0); VECTORS]; ROWS])
                        }
                        Left::Rows(left) => {
                            // Past the last row its product is computed again, and dropped. A loop for the reason that
                            // `multiply_add_rows` has one.
                            let mut rows: [&[f32]; ROWS] = [&[]; ROWS];
                            for (index, part) in rows.iter_mut().enumerate() {
                                *part = &left.row(row + index.min(valid_rows - 1))[first..first + count];
                            }
                            multiply_add_rows::<S, ROWS, VECTORS>(simd, rows, right)
                        }
                    };
                    // SAFETY: no other block has these rows and columns.
                    let mut out = unsafe {
                        self.out
                            .rectangle(row * columns + column, columns, [valid_rows, valid_columns])
                    };
                    if depth_block == 0 {
                        let residual = self
                            .finish
                            .residual
                            .map(|all| (&all[row * columns + column..], columns));
                        out.store(simd, tile, bias, residual);
                    } else {
                        // SAFETY: the first part of the depth has written it.
                        unsafe { out.add(simd, tile) };
                    }
                }
                if self.finish.activation != Activation::None && depth_block + 1 == depth_blocks {
                    // When the stores have left the pipeline, not right behind them: see `OutputRectangle::add`.
                    let rows = self.groups.start * ROWS..self.rows.min(self.groups.end * ROWS);
                    for row in rows {
                        // SAFETY: no other block has this part of the row; it was written above.
                        let mut out = unsafe { self.out.rectangle(row * columns + column, 0, [1, valid_columns]) };
                        // SAFETY: written above.
                        activate_row(simd, self.finish.activation, unsafe { out.row(0) });
                    }
                }
            }
        }
    }
}

/// Some floats as vectors, zeros beyond.
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
        Activation::QuickGelu => quick_gelu(simd, x),
        Activation::Relu => simd.max_f32s(x, simd.splat_f32s(0.0)),
    }
}
