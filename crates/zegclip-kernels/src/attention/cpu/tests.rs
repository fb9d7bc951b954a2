//! Attention and its gradients on every instruction set of this CPU, against f64.

use test_support::{assert_close, numbers};

use super::*;
use crate::cpu::{InstructionSet, Matrix, OutputCells};

/// One head in f64.
struct Reference {
    output: Vec<f64>,
    query: Vec<f64>,
    key: Vec<f64>,
    value: Vec<f64>,
}

fn reference(head: &Head<'_>, scale: f64, causal: bool, gradient: &[f32]) -> Reference {
    let (queries, dim, value_dim) = (head.query.rows, head.query.columns, head.value.columns);
    let own = head.key.rows;
    let keys = own + head.extra.map_or(0, |(key, _)| key.rows);
    let element = |own_matrix: Matrix<'_>, extra: Option<Matrix<'_>>, row: usize, column: usize| {
        f64::from(match extra {
            Some(extra) if row >= own => extra.at(row - own, column),
            _ => own_matrix.at(row, column),
        })
    };
    let key = |row, column| element(head.key, head.extra.map(|(key, _)| key), row, column);
    let value = |row, column| element(head.value, head.extra.map(|(_, value)| value), row, column);
    let query = |row, column| f64::from(head.query.at(row, column));
    let mut all = Reference {
        output: vec![0.0; queries * value_dim],
        query: vec![0.0; queries * dim],
        key: vec![0.0; keys * dim],
        value: vec![0.0; keys * value_dim],
    };
    for row in 0..queries {
        let visible: Vec<usize> = (0..keys)
            .filter(|k| !causal || *k >= own || k + queries <= row + own)
            .collect();
        let score = |k: usize| scale * (0..dim).map(|c| query(row, c) * key(k, c)).sum::<f64>();
        let exponentials: Vec<f64> = visible.iter().map(|k| score(*k).exp()).collect();
        let total: f64 = exponentials.iter().sum();
        let weights: Vec<f64> = exponentials.iter().map(|e| e / total).collect();
        let slope = |k: usize| {
            (0..value_dim)
                .map(|c| f64::from(gradient[row * value_dim + c]) * value(k, c))
                .sum()
        };
        let slopes: Vec<f64> = visible.iter().map(|k| slope(*k)).collect();
        let mean: f64 = weights.iter().zip(&slopes).map(|(weight, slope)| weight * slope).sum();
        for ((k, weight), slope) in visible.into_iter().zip(weights).zip(slopes) {
            for c in 0..value_dim {
                all.output[row * value_dim + c] += weight * value(k, c);
                all.value[k * value_dim + c] += weight * f64::from(gradient[row * value_dim + c]);
            }
            for c in 0..dim {
                all.query[row * dim + c] += scale * weight * (slope - mean) * key(k, c);
                all.key[k * dim + c] += scale * weight * (slope - mean) * query(row, c);
            }
        }
    }
    all
}

#[test]
fn attention_and_its_gradients() {
    for ([queries, own, extra], [dim, value_dim], causal) in [
        ([1, 1, 0], [1, 1], false),
        ([49, 140, 3], [64, 64], false),
        ([20, 33, 0], [17, 9], true),
        ([50, 131, 7], [5, 35], true),
        ([100, 16, 1], [32, 32], false),
    ] {
        let keys = own + extra;
        let (query, key, value) = (
            numbers(queries * dim, 1),
            numbers(keys * dim, 2),
            numbers(keys * value_dim, 3),
        );
        let gradient = numbers(queries * value_dim, 4);
        let (own_key, extra_key) = key.split_at(own * dim);
        let (own_value, extra_value) = value.split_at(own * value_dim);
        let head = Head {
            query: Matrix::contiguous(&query, [queries, dim]),
            key: Matrix::contiguous(own_key, [own, dim]),
            value: Matrix::contiguous(own_value, [own, value_dim]),
            extra: (extra > 0).then(|| {
                let extra_key = Matrix::contiguous(extra_key, [extra, dim]);
                (extra_key, Matrix::contiguous(extra_value, [extra, value_dim]))
            }),
        };
        let scale = 1.5;
        let expected = reference(&head, f64::from(scale), causal, &gradient);
        for instructions in InstructionSet::all() {
            let name = format!("{queries} to {own} + {extra}, {instructions:?}");
            let mask = AttentionMask { causal, dropout: None };
            let attended = attention(instructions, &[head], 1, scale, mask);
            assert_close(&name, &attended.output, &expected.output, 2e-6);
            let mut results = [queries * dim, keys * dim, keys * value_dim].map(|len| vec![f32::NAN; len]);
            {
                let cells = results.each_mut().map(|result| OutputCells::of(result));
                let target = |index: usize, first: usize, stride: usize| GradientTarget {
                    cells: &cells[index],
                    first,
                    stride,
                };
                let task = HeadBackward {
                    head,
                    output: Matrix::contiguous(&attended.output, [queries, value_dim]),
                    output_gradient: Matrix::contiguous(&gradient, [queries, value_dim]),
                    log_sum: &attended.log_sum,
                    query_gradient: target(0, 0, dim),
                    key_gradient: target(1, 0, dim),
                    value_gradient: target(2, 0, value_dim),
                    extra_gradient: (extra > 0)
                        .then(|| (target(1, own * dim, dim), target(2, own * value_dim, value_dim))),
                };
                // SAFETY: the targets are different vectors and different rows of them.
                unsafe { attention_backward(instructions, &[task], scale, mask) };
            }
            for (result, expected) in results.iter().zip([&expected.query, &expected.key, &expected.value]) {
                assert_close(&name, result, expected, 1e-5);
            }
        }
    }
}
