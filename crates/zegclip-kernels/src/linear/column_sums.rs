//! Column sums, the gradient of the bias.

use rayon::prelude::*;

/// Rows of one partial sum.
const ROWS: usize = 64;

/// Sum of each column of rows of `columns` floats. The order of summation depends on the number of rows alone.
pub(crate) fn column_sums(rows: &[f32], columns: usize) -> Vec<f32> {
    let mut total = vec![0.0; columns];
    if columns == 0 {
        return total;
    }
    let partial: Vec<Vec<f32>> = rows
        .par_chunks(ROWS * columns)
        .map(|rows| {
            let mut sums = vec![0.0; columns];
            for row in rows.chunks_exact(columns) {
                add(&mut sums, row);
            }
            sums
        })
        .collect();
    for sums in &partial {
        add(&mut total, sums);
    }
    total
}

fn add(sums: &mut [f32], row: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum += value;
    }
}
