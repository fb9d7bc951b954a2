//! Memory of the kernels: aligned, reused and not zeroed before it is overwritten.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

use bytemuck::{Pod, Zeroable};
use pulp::Simd;
use rayon::prelude::*;

/// A cache line of floats. A vector that straddles two lines costs twice, so that buffers consist of lines.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line([f32; LINE]);

/// Floats in a cache line.
const LINE: usize = 16;

// SAFETY: sixteen floats without padding; all zero bits are sixteen zeros.
unsafe impl Zeroable for Line {}
// SAFETY: `repr(C)`, size 64 = alignment, so no padding; any bits are floats.
unsafe impl Pod for Line {}

/// Free buffers, reused because a new one costs a page fault every 4 KiB.
static POOL: Mutex<Vec<Vec<Line>>> = Mutex::new(Vec::new());

/// Largest number of free buffers: enough for all threads of a large machine.
const POOLED_BUFFERS: usize = 64;

/// A buffer for intermediate values, whose initial values are unspecified.
#[derive(Debug)]
pub(crate) struct Scratch {
    lines: Vec<Line>,
    len: usize,
}

impl Scratch {
    pub(crate) fn new(len: usize) -> Self {
        let wanted = len.div_ceil(LINE);
        let mut lines = {
            let mut pool = POOL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            // The smallest that is large enough, else the largest.
            let fitting = (0..pool.len())
                .filter(|&i| pool[i].len() >= wanted)
                .min_by_key(|&i| pool[i].len());
            let largest = || (0..pool.len()).max_by_key(|&i| pool[i].len());
            fitting
                .or_else(largest)
                .map(|index| pool.swap_remove(index))
                .unwrap_or_default()
        };
        if lines.len() < wanted {
            lines = vec![Line::zeroed(); wanted];
        }
        Self { lines, len }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut pool = POOL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if pool.len() < POOLED_BUFFERS {
            pool.push(std::mem::take(&mut self.lines));
        }
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

/// Runs `fill` on memory for `len` floats and returns the memory. It is not zeroed first, which would take as long as an
/// elementwise operator.
///
/// # Safety
/// `fill` writes each of the `len` floats, and reads none that it has not written.
pub(crate) unsafe fn filled_by(len: usize, fill: impl FnOnce(&OutputCells<'_>)) -> Vec<f32> {
    let mut floats = Vec::<f32>::with_capacity(len);
    fill(&OutputCells::new(floats.as_mut_ptr(), len));
    // SAFETY: the capacity is at least `len`, and `fill` has written all of it.
    unsafe { floats.set_len(len) };
    floats
}

/// `len` floats, written in parts of `chunk` (the last may be shorter) on all threads; a single part is written on this thread.
///
/// # Safety
/// `write`, called with the index of each part, writes every float of it.
pub(crate) unsafe fn filled_in_chunks(
    len: usize,
    chunk: usize,
    write: impl Fn(usize, &mut [MaybeUninit<f32>]) + Sync,
) -> Vec<f32> {
    let mut floats = Vec::<f32>::with_capacity(len);
    let cells = &mut floats.spare_capacity_mut()[..len];
    if len <= chunk {
        write(0, cells);
    } else {
        cells
            .par_chunks_mut(chunk)
            .enumerate()
            .for_each(|(index, cells)| write(index, cells));
    }
    // SAFETY: the capacity is at least `len`, and `write` has written all of it.
    unsafe { floats.set_len(len) };
    floats
}

/// A result that several threads write, each its own cells.
#[derive(Debug)]
pub(crate) struct OutputCells<'a> {
    start: *mut f32,
    len: usize,
    memory: PhantomData<&'a mut [f32]>,
}

// SAFETY: only `rectangle` gives access, and its callers promise that no two threads use the same cells.
unsafe impl Sync for OutputCells<'_> {}

impl OutputCells<'_> {
    fn new(start: *mut f32, len: usize) -> Self {
        Self {
            start,
            len,
            memory: PhantomData,
        }
    }

    /// Cells of memory that is initialized.
    pub(crate) fn of(memory: &mut [f32]) -> OutputCells<'_> {
        OutputCells::new(memory.as_mut_ptr(), memory.len())
    }

    /// A rectangle of cells whose rows are `stride` apart; panics if it exceeds the memory.
    ///
    /// # Safety
    /// No other thread uses any of its cells during the lifetime of the rectangle.
    #[inline(always)]
    pub(crate) unsafe fn rectangle(
        &self,
        first: usize,
        stride: usize,
        [rows, columns]: [usize; 2],
    ) -> OutputRectangle<'_> {
        let last = first + rows.saturating_sub(1) * stride + columns;
        assert!(last <= self.len, "cells up to {last} of {}", self.len);
        OutputRectangle {
            // SAFETY: within the memory, as asserted.
            start: unsafe { self.start.add(first) },
            stride,
            rows,
            columns,
            memory: PhantomData,
        }
    }
}

/// Cells that one thread writes.
#[derive(Debug)]
pub(crate) struct OutputRectangle<'a> {
    start: *mut f32,
    stride: usize,
    rows: usize,
    columns: usize,
    memory: PhantomData<&'a mut [f32]>,
}

impl OutputRectangle<'_> {
    /// Writes a tile plus a row plus an optional residual (and the stride of its rows), clipped to the rectangle.
    #[inline(always)]
    pub(crate) fn store<S: Simd, const ROWS: usize, const VECTORS: usize>(
        &mut self,
        simd: S,
        tile: [[S::f32s; VECTORS]; ROWS],
        row: [S::f32s; VECTORS],
        residual: Option<(&[f32], usize)>,
    ) {
        if self.holds::<S, ROWS, VECTORS>() {
            for (index, tile) in tile.into_iter().enumerate() {
                let mut values = tile;
                for (value, row) in values.iter_mut().zip(row) {
                    *value = simd.add_f32s(*value, row);
                }
                if let Some((residual, stride)) = residual {
                    let residual = &residual[index * stride..][..VECTORS * S::F32_LANES];
                    for (value, residual) in values.iter_mut().zip(S::as_simd_f32s(residual).0) {
                        *value = simd.add_f32s(*value, *residual);
                    }
                }
                for (vector, value) in values.into_iter().enumerate() {
                    // SAFETY: row `index` and the vector are inside the rectangle, which this thread owns.
                    let cell = unsafe { self.start.add(index * self.stride + vector * S::F32_LANES) };
                    // SAFETY: as above; vectors may be unaligned.
                    unsafe { cell.cast::<S::f32s>().write_unaligned(value) };
                }
            }
        } else {
            let row: [f32; MAX_COLUMNS] = flattened::<S, VECTORS>(row);
            for (index, tile) in tile.into_iter().enumerate().take(self.rows) {
                let tile: [f32; MAX_COLUMNS] = flattened::<S, VECTORS>(tile);
                for column in 0..self.columns.min(VECTORS * S::F32_LANES) {
                    let mut value = tile[column] + row[column];
                    if let Some((residual, stride)) = residual {
                        value += residual[index * stride + column];
                    }
                    // SAFETY: the row and the column are inside the rectangle, which this thread owns.
                    unsafe { self.start.add(index * self.stride + column).write(value) };
                }
            }
        }
    }

    /// Writes a cell of the first row.
    #[inline(always)]
    pub(crate) fn write(&mut self, column: usize, value: f32) {
        assert!(column < self.columns, "column {column} of {}", self.columns);
        // SAFETY: inside the rectangle, which this thread owns.
        unsafe { self.start.add(column).write(value) };
    }

    /// The cells of one row.
    ///
    /// # Safety
    /// The cells were written.
    #[inline(always)]
    pub(crate) unsafe fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        // SAFETY: a row of the rectangle, which this thread owns and which was written, as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(row * self.stride), self.columns) }
    }

    /// Adds a tile to the cells, clipped to the rectangle.
    ///
    /// # Safety
    /// The cells were written.
    #[inline(always)]
    pub(crate) unsafe fn add<S: Simd, const ROWS: usize, const VECTORS: usize>(
        &mut self,
        simd: S,
        tile: [[S::f32s; VECTORS]; ROWS],
    ) {
        if self.holds::<S, ROWS, VECTORS>() {
            let cell = |row: usize, vector: usize| {
                // SAFETY: the row and the vector are inside the rectangle, which this thread owns.
                unsafe {
                    self.start
                        .add(row * self.stride + vector * S::F32_LANES)
                        .cast::<S::f32s>()
                }
            };
            // All loads before all stores: rows are often a multiple of 4 KiB apart, and a load waits for earlier stores to
            // addresses with the same low bits.
            let mut sums = tile;
            for (row, sums) in sums.iter_mut().enumerate() {
                for (vector, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: as above, and written before, as the caller promises; vectors may be unaligned.
                    *sum = simd.add_f32s(*sum, unsafe { cell(row, vector).read_unaligned() });
                }
            }
            for (row, sums) in sums.into_iter().enumerate() {
                for (vector, sum) in sums.into_iter().enumerate() {
                    // SAFETY: as above.
                    unsafe { cell(row, vector).write_unaligned(sum) };
                }
            }
        } else {
            for (index, tile) in tile.into_iter().enumerate().take(self.rows) {
                let tile: [f32; MAX_COLUMNS] = flattened::<S, VECTORS>(tile);
                for (column, value) in tile.iter().enumerate().take(self.columns) {
                    // SAFETY: the row and the column are inside the rectangle, which this thread owns, and were written.
                    unsafe { *self.start.add(index * self.stride + column) += value };
                }
            }
        }
    }

    /// Whether a complete tile is inside.
    #[inline(always)]
    fn holds<S: Simd, const ROWS: usize, const VECTORS: usize>(&self) -> bool {
        self.rows >= ROWS && self.columns >= VECTORS * S::F32_LANES
    }
}

/// The widest row of a tile.
const MAX_COLUMNS: usize = 64;

#[inline(always)]
fn flattened<S: Simd, const VECTORS: usize>(row: [S::f32s; VECTORS]) -> [f32; MAX_COLUMNS] {
    let mut out = [0.0; MAX_COLUMNS];
    for (out, value) in S::as_mut_simd_f32s(&mut out).0.iter_mut().zip(row) {
        *out = value;
    }
    out
}
