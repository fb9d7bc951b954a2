//! Strided views of matrices, and the interleaved copies of them that kernels read.

use super::prefetch::prefetch;

/// A view of `rows × columns` floats with any non-negative strides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Element `(r, c)` is `data[r * row_stride + c * column_stride]`. Panics if the last one is not in `data`.
    pub(crate) fn new(data: &'a [f32], [rows, columns]: [usize; 2], [row_stride, column_stride]: [usize; 2]) -> Self {
        if rows > 0 && columns > 0 {
            let last = (rows - 1) * row_stride + (columns - 1) * column_stride;
            assert!(last < data.len(), "element {last} of {}", data.len());
        }
        Self {
            data,
            rows,
            columns,
            row_stride,
            column_stride,
        }
    }

    /// Contiguous rows of `columns` floats.
    pub(crate) fn contiguous(data: &'a [f32], shape: [usize; 2]) -> Self {
        Self::new(data, shape, [shape[1], 1])
    }

    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// The rows `first..first + count`.
    pub(crate) fn rows(self, first: usize, count: usize) -> Self {
        assert!(
            first + count <= self.rows,
            "rows {first}..{first}+{count} of {}",
            self.rows
        );
        let start = if count == 0 { 0 } else { first * self.row_stride };
        Self {
            data: &self.data[start.min(self.data.len())..],
            rows: count,
            ..self
        }
    }

    /// The columns `first..first + count`.
    pub(crate) fn columns(self, first: usize, count: usize) -> Self {
        self.transposed().rows(first, count).transposed()
    }

    /// Whether the elements of a row are adjacent.
    pub(crate) fn has_contiguous_rows(&self) -> bool {
        self.column_stride == 1
    }

    /// A row of a matrix that [has contiguous rows](Self::has_contiguous_rows).
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> &'a [f32] {
        &self.data[row * self.row_stride..][..self.columns]
    }

    /// One element.
    #[inline(always)]
    pub(crate) fn at(&self, row: usize, column: usize) -> f32 {
        self.data[row * self.row_stride + column * self.column_stride]
    }
}

/// Columns of a transposed block, whose output fits into the L1 cache.
const BLOCK: usize = 128;

/// Copies a matrix with `width` rows interleaved: element `(r, c)` goes to `[r / width][c][r % width]` of an array
/// `[groups, total_columns, width]`, where `r` counts from `first_row` and `c` from `first_column`.
///
/// Padding lanes are not written; see [`pad`].
pub(crate) fn interleave(
    matrix: Matrix<'_>,
    [first_row, first_column]: [usize; 2],
    total_columns: usize,
    width: usize,
    out: &mut [f32],
) {
    if matrix.rows == 0 || matrix.columns == 0 {
        return;
    }
    if matrix.row_stride == 1 && first_row.is_multiple_of(width) {
        let out = &mut out[(first_row / width * total_columns + first_column) * width..];
        // The widths and heights of tiles.
        match width {
            4 => return copy_columns::<4>(matrix, total_columns, out),
            6 => return copy_columns::<6>(matrix, total_columns, out),
            8 => return copy_columns::<8>(matrix, total_columns, out),
            12 => return copy_columns::<12>(matrix, total_columns, out),
            16 => return copy_columns::<16>(matrix, total_columns, out),
            48 => return copy_columns::<48>(matrix, total_columns, out),
            _ => {}
        }
    }
    let group_len = total_columns * width;
    let last_row = first_row + matrix.rows;
    for group in first_row / width..last_row.div_ceil(width) {
        let begin = first_row.max(group * width);
        let end = last_row.min((group + 1) * width);
        let rows = matrix.rows(begin - first_row, end - begin);
        let lane = begin - group * width;
        let out = &mut out[group * group_len + first_column * width..][..matrix.columns * width];
        if rows.row_stride == 1 {
            copy_part_of_columns(rows, lane, width, out);
        } else if rows.column_stride == 1 {
            interleave_rows(rows, lane, width, out);
        } else {
            for (column, out) in out.chunks_exact_mut(width).enumerate() {
                for row in 0..rows.rows {
                    out[lane + row] = rows.at(row, column);
                }
            }
        }
    }
}

/// Contiguous columns that start with a group. Each is read sequentially, and a constant number of floats is copied without a
/// call.
fn copy_columns<const WIDTH: usize>(matrix: Matrix<'_>, total_columns: usize, out: &mut [f32]) {
    for column in 0..matrix.columns {
        let from = &matrix.data[column * matrix.column_stride..][..matrix.rows];
        let (groups, rest) = from.as_chunks::<WIDTH>();
        let mut to = out[column * WIDTH..].chunks_mut(total_columns * WIDTH);
        for (group, to) in groups.iter().zip(&mut to) {
            if let Some(to) = to.first_chunk_mut() {
                *to = *group;
            }
        }
        if let Some(to) = to.next() {
            to[..rest.len()].copy_from_slice(rest);
        }
    }
}

/// Contiguous columns.
fn copy_part_of_columns(rows: Matrix<'_>, lane: usize, width: usize, out: &mut [f32]) {
    for (column, out) in out.chunks_exact_mut(width).enumerate() {
        let from = column * rows.column_stride;
        out[lane..][..rows.rows].copy_from_slice(&rows.data[from..][..rows.rows]);
    }
}

/// Rows that are prefetched before they are transposed.
const ROWS_AHEAD: usize = 8;

/// Contiguous rows: a transposition.
fn interleave_rows(rows: Matrix<'_>, lane: usize, width: usize, out: &mut [f32]) {
    for first in (0..rows.columns).step_by(BLOCK) {
        let count = BLOCK.min(rows.columns - first);
        let out = &mut out[first * width..][..count * width];
        let row = |row: usize| &rows.data[row * rows.row_stride + first..][..count];
        let quads = rows.rows / 4 * 4;
        for quad in (0..quads).step_by(4) {
            // The hardware prefetcher does not predict the first access to a row of a block.
            for next in quad + ROWS_AHEAD..rows.rows.min(quad + ROWS_AHEAD + 4) {
                prefetch(row(next).as_ptr(), count);
            }
            let four = [row(quad), row(quad + 1), row(quad + 2), row(quad + 3)].map(|row| row.as_chunks::<4>());
            for index in 0..count / 4 {
                let transposed = transposed_4x4(four.map(|row| row.0[index]));
                for (step, values) in transposed.into_iter().enumerate() {
                    let start = (index * 4 + step) * width + lane + quad;
                    out[start..start + 4].copy_from_slice(&values);
                }
            }
            for index in 0..count % 4 {
                let start = (count / 4 * 4 + index) * width + lane + quad;
                out[start..start + 4].copy_from_slice(&four.map(|row| row.1[index]));
            }
        }
        for single in quads..rows.rows {
            for (value, out) in row(single).iter().zip(out.chunks_exact_mut(width)) {
                out[lane + single] = *value;
            }
        }
    }
}

/// By shuffles, which the compiler does not generate.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn transposed_4x4(rows: [[f32; 4]; 4]) -> [[f32; 4]; 4] {
    use std::arch::x86_64::{__m128, _mm_movehl_ps, _mm_movelh_ps, _mm_unpackhi_ps, _mm_unpacklo_ps};

    let [a, b, c, d]: [__m128; 4] = rows.map(bytemuck::cast);
    // SAFETY: every CPU of this architecture has these instructions.
    let columns = unsafe {
        let (low, high) = (
            [_mm_unpacklo_ps(a, b), _mm_unpacklo_ps(c, d)],
            [_mm_unpackhi_ps(a, b), _mm_unpackhi_ps(c, d)],
        );
        [
            _mm_movelh_ps(low[0], low[1]),
            _mm_movehl_ps(low[1], low[0]),
            _mm_movelh_ps(high[0], high[1]),
            _mm_movehl_ps(high[1], high[0]),
        ]
    };
    columns.map(bytemuck::cast)
}

#[cfg(not(target_arch = "x86_64"))]
fn transposed_4x4(rows: [[f32; 4]; 4]) -> [[f32; 4]; 4] {
    std::array::from_fn(|column| rows.map(|row| row[column]))
}

/// Zeros in the lanes of the last group that have no row: those of [`interleave`]d rows `rows..`.
pub(crate) fn pad(rows: usize, total_columns: usize, width: usize, out: &mut [f32]) {
    let lane = rows % width;
    if lane > 0 {
        let group = rows / width;
        for out in out[group * total_columns * width..][..total_columns * width].chunks_exact_mut(width) {
            out[lane..].fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaved_matrices() {
        // 3 × 4, rows contiguous.
        let data: Vec<f32> = (0..12).map(|value| value as f32).collect();
        let rows = Matrix::contiguous(&data, [3, 4]);
        let mut out = vec![-1.0; 2 * 4 * 2];
        interleave(rows, [0, 0], 4, 2, &mut out);
        pad(3, 4, 2, &mut out);
        assert_eq!(out, [0., 4., 1., 5., 2., 6., 3., 7., 8., 0., 9., 0., 10., 0., 11., 0.]);
        // Its transpose, shifted by one row and one column.
        let mut out = vec![-1.0; 3 * 4 * 2];
        interleave(rows.transposed(), [1, 1], 4, 2, &mut out);
        let filled: Vec<f32> = out.iter().copied().filter(|value| *value >= 0.0).collect();
        assert_eq!(filled, [0., 4., 8., 1., 2., 5., 6., 9., 10., 3., 7., 11.]);
    }
}
