//! Attention on the CPU, on slices.

use super::AttentionMask;
use crate::cpu::{Matrix, Scratch, interleave, pad};

mod backward;
mod forward;
#[cfg(test)]
mod tests;

pub(crate) use backward::{GradientTarget, HeadBackward, attention_backward};
pub(crate) use forward::{Attended, attention};

/// Multiply-adds below which starting other threads costs more than it saves.
const SERIAL_WORK: usize = 1 << 18;

/// The matrices of one head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    /// `[queries, head_dim]`
    pub(crate) query: Matrix<'a>,
    /// `[keys, head_dim]`
    pub(crate) key: Matrix<'a>,
    /// `[keys, value_dim]`
    pub(crate) value: Matrix<'a>,
    /// Keys `[extra, head_dim]` and values `[extra, value_dim]` that every query attends to.
    pub(crate) extra: Option<(Matrix<'a>, Matrix<'a>)>,
}

impl<'a> Head<'a> {
    /// Keys with the extra ones.
    pub(super) fn keys(&self) -> usize {
        self.key.rows + self.extra.map_or(0, |(key, _)| key.rows)
    }

    /// Keys and extra keys, interleaved by rows: `[groups, head_dim, width]`.
    pub(super) fn interleaved_keys(&self, width: usize) -> Scratch {
        interleaved_rows([Some(self.key), self.extra.map(|(key, _)| key)], width)
    }

    /// Values and extra values, interleaved by columns: `[groups, keys, width]`.
    pub(super) fn interleaved_value_columns(&self, width: usize) -> Scratch {
        interleaved_columns([Some(self.value), self.extra.map(|(_, value)| value)], width)
    }
}

/// Matrices below each other, `width` rows interleaved.
pub(super) fn interleaved_rows(parts: [Option<Matrix<'_>>; 2], width: usize) -> Scratch {
    let rows = parts.iter().flatten().map(|part| part.rows).sum::<usize>();
    let columns = parts.iter().flatten().map(|part| part.columns).max().unwrap_or(0);
    let mut out = Scratch::new(rows.div_ceil(width) * columns * width);
    let mut first = 0;
    for part in parts.into_iter().flatten() {
        interleave(part, [first, 0], columns, width, &mut out);
        first += part.rows;
    }
    pad(rows, columns, width, &mut out);
    out
}

/// Matrices below each other, `width` columns interleaved.
pub(super) fn interleaved_columns(parts: [Option<Matrix<'_>>; 2], width: usize) -> Scratch {
    let rows = parts.iter().flatten().map(|part| part.rows).sum::<usize>();
    let columns = parts.iter().flatten().map(|part| part.columns).max().unwrap_or(0);
    let mut out = Scratch::new(columns.div_ceil(width) * rows * width);
    let mut first = 0;
    for part in parts.into_iter().flatten() {
        interleave(part.transposed(), [0, first], rows, width, &mut out);
        first += part.rows;
    }
    pad(columns, rows, width, &mut out);
    out
}

/// Position of the first weight of a head among those of all heads, as dropout counts them.
pub(super) fn first_weight(index: usize, head: &Head<'_>) -> u32 {
    (index * head.query.rows * head.keys()) as u32
}
