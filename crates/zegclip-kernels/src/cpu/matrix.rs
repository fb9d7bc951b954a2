//! Strided views of matrices and the interleaved copies that the kernels read.

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

    /// Rows of `columns` floats, one after the other.
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

    /// Whether the elements of a row lie next to each other.
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

/// Columns that are transposed at once, so that what is written stays in the first cache.
const BLOCK: usize = 64;

/// Copies a matrix such that `width` rows lie interleaved: element `(r, c)` goes to `[r / width][c][r % width]` of an array
/// `[groups, total_columns, width]`, where `r` counts from `first_row` and `c` from `first_column`.
///
/// Writes nothing else; see [`pad`].
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
    let group_len = total_columns * width;
    let last_row = first_row + matrix.rows;
    for group in first_row / width..last_row.div_ceil(width) {
        let begin = first_row.max(group * width);
        let end = last_row.min((group + 1) * width);
        let rows = matrix.rows(begin - first_row, end - begin);
        let lane = begin - group * width;
        let out = &mut out[group * group_len + first_column * width..][..matrix.columns * width];
        if rows.row_stride == 1 && rows.rows == width {
            match width {
                4 => copy_columns::<4>(rows, out),
                6 => copy_columns::<6>(rows, out),
                8 => copy_columns::<8>(rows, out),
                12 => copy_columns::<12>(rows, out),
                16 => copy_columns::<16>(rows, out),
                48 => copy_columns::<48>(rows, out),
                _ => copy_part_of_columns(rows, lane, width, out),
            }
        } else if rows.row_stride == 1 {
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

/// The case that columns are contiguous and as many rows as are interleaved: a known number of floats is copied without a call.
fn copy_columns<const WIDTH: usize>(rows: Matrix<'_>, out: &mut [f32]) {
    for (column, out) in out.as_chunks_mut::<WIDTH>().0.iter_mut().enumerate() {
        if let Some(from) = rows.data[column * rows.column_stride..].first_chunk() {
            *out = *from;
        }
    }
}

/// The case that columns are contiguous.
fn copy_part_of_columns(rows: Matrix<'_>, lane: usize, width: usize, out: &mut [f32]) {
    for (column, out) in out.chunks_exact_mut(width).enumerate() {
        let from = column * rows.column_stride;
        out[lane..][..rows.rows].copy_from_slice(&rows.data[from..][..rows.rows]);
    }
}

/// The case that rows are contiguous: a transposition.
fn interleave_rows(rows: Matrix<'_>, lane: usize, width: usize, out: &mut [f32]) {
    for first in (0..rows.columns).step_by(BLOCK) {
        let count = BLOCK.min(rows.columns - first);
        let out = &mut out[first * width..][..count * width];
        let row = |row: usize| &rows.data[row * rows.row_stride + first..][..count];
        let quads = rows.rows / 4 * 4;
        for quad in (0..quads).step_by(4) {
            let [a, b, c, d] = [row(quad), row(quad + 1), row(quad + 2), row(quad + 3)];
            for (index, out) in out.chunks_exact_mut(width).enumerate() {
                out[lane + quad..][..4].copy_from_slice(&[a[index], b[index], c[index], d[index]]);
            }
        }
        for single in quads..rows.rows {
            for (value, out) in row(single).iter().zip(out.chunks_exact_mut(width)) {
                out[lane + single] = *value;
            }
        }
    }
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
