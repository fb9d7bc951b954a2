//! Every kernel on every instruction set of this processor, against the same sums in f64.

use super::*;

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn assert_close(name: &str, actual: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len(), "{name}: length");
    let largest = expected.iter().fold(1e-6f64, |largest, value| largest.max(value.abs()));
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let difference = (f64::from(*actual) - expected).abs();
        assert!(
            difference <= tolerance * largest,
            "{name}: element {index} is {actual}, expected {expected}"
        );
    }
}

fn quick_gelu(x: f64) -> f64 {
    x / (1.0 + (-1.702 * x).exp())
}

#[test]
fn products() {
    // Of the largest element: a sum of 768 products, one after the other.
    const TOLERANCE: f64 = 2e-6;
    for [rows, depth, columns] in [
        [1, 1, 1],
        [8, 192, 48],
        [9, 193, 49],
        [7, 5, 3],
        [50, 400, 100],
        [300, 70, 33],
        [20, 1600, 60],
        [9, 769, 500],
        [3, 0, 5],
        [0, 4, 4],
    ] {
        let (left, right, bias) = (
            numbers(rows * depth, 1),
            numbers(depth * columns, 2),
            numbers(columns, 3),
        );
        let mut expected: Vec<f64> = (0..rows * columns)
            .map(|index| f64::from(bias[index % columns]))
            .collect();
        for (index, sum) in expected.iter_mut().enumerate() {
            let (row, column) = (index / columns, index % columns);
            for inner in 0..depth {
                *sum += f64::from(left[row * depth + inner]) * f64::from(right[inner * columns + column]);
            }
        }
        let residual = numbers(rows * columns, 4);
        let with_residual: Vec<f64> = expected.iter().zip(&residual).map(|(x, r)| x + f64::from(*r)).collect();
        let transposed: Vec<f32> = (0..rows * depth)
            .map(|index| left[index % rows.max(1) * depth + index / rows.max(1)])
            .collect();
        let activated: Vec<f64> = expected.iter().map(|x| quick_gelu(*x)).collect();
        let positive: Vec<f64> = expected.iter().map(|x| x.max(0.0)).collect();
        for instructions in InstructionSet::all() {
            let name = format!("{rows} × {depth} × {columns}, {instructions:?}");
            let right = Matrix::contiguous(&right, [depth, columns]);
            let left = Matrix::contiguous(&left, [rows, depth]);
            let run = |activation| {
                let finish = Finish {
                    bias: Some(&bias),
                    residual: None,
                    activation,
                };
                multiply(instructions, left, right, finish)
            };
            let finish = Finish {
                bias: Some(&bias),
                residual: Some(&residual),
                activation: Activation::None,
            };
            assert_close(
                &name,
                &multiply(instructions, left, right, finish),
                &with_residual,
                TOLERANCE,
            );
            let by_columns = Matrix::contiguous(&transposed, [depth, rows]).transposed();
            assert_close(
                &name,
                &multiply(instructions, by_columns, right, finish),
                &with_residual,
                TOLERANCE,
            );
            assert_close(&name, &run(Activation::None), &expected, TOLERANCE);
            assert_close(&name, &run(Activation::QuickGelu), &activated, TOLERANCE);
            assert_close(&name, &run(Activation::Relu), &positive, TOLERANCE);
        }
    }
}

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
                let target = |index: usize, first: usize, stride: usize| Target {
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

#[test]
fn activations() {
    let x: Vec<f32> = numbers(1001, 1).into_iter().map(|x| 20.0 * x).collect();
    let expected: Vec<f64> = x.iter().map(|x| quick_gelu(f64::from(*x))).collect();
    let slopes: Vec<f64> = x
        .iter()
        .map(|x| {
            let sigmoid = 1.0 / (1.0 + (-1.702 * f64::from(*x)).exp());
            3.0 * (sigmoid + 1.702 * f64::from(*x) * sigmoid * (1.0 - sigmoid))
        })
        .collect();
    for instructions in InstructionSet::all() {
        let mut y = x.clone();
        quick_gelu_in_place(instructions, &mut y);
        assert_eq!(super::elementwise::quick_gelu(instructions, &x), y, "{instructions:?}");
        assert_close(&format!("{instructions:?}"), &y, &expected, 1e-6);
        let mut gradient = vec![3.0; x.len()];
        quick_gelu_backward_in_place(instructions, &x, &mut gradient);
        assert_close(&format!("{instructions:?}"), &gradient, &slopes, 1e-6);
    }
}

#[test]
fn layer_norm_and_its_gradients() {
    for [rows, columns] in [[1, 1], [3, 7], [5, 16], [2, 100], [300, 192]] {
        let (x, gamma, beta) = (numbers(rows * columns, 1), numbers(columns, 2), numbers(columns, 3));
        let gradient = numbers(rows * columns, 4);
        let epsilon = 1e-3;
        let mut expected = vec![0.0; rows * columns];
        let mut x_gradient = vec![0.0; rows * columns];
        let (mut gamma_gradient, mut beta_gradient) = (vec![0.0; columns], vec![0.0; columns]);
        for first in (0..rows * columns).step_by(columns) {
            let at = |values: &[f32], c: usize| f64::from(values[first + c]);
            let mean = |term: &dyn Fn(usize) -> f64| (0..columns).map(term).sum::<f64>() / columns as f64;
            let centre = mean(&|c| at(&x, c));
            let scale = (mean(&|c| (at(&x, c) - centre).powi(2)) + f64::from(epsilon)).powf(-0.5);
            let normalised = |c| (at(&x, c) - centre) * scale;
            let weighted = |c| at(&gradient, c) * f64::from(gamma[c]);
            let (plain, along) = (mean(&weighted), mean(&|c| weighted(c) * normalised(c)));
            for c in 0..columns {
                expected[first + c] = normalised(c) * f64::from(gamma[c]) + f64::from(beta[c]);
                x_gradient[first + c] = scale * (weighted(c) - plain - normalised(c) * along);
                gamma_gradient[c] += at(&gradient, c) * normalised(c);
                beta_gradient[c] += at(&gradient, c);
            }
        }
        for instructions in InstructionSet::all() {
            let name = format!("{rows} × {columns}, {instructions:?}");
            let output = layer_norm(instructions, &x, &gamma, Some(&beta), epsilon);
            assert_close(&name, &output, &expected, 2e-6);
            let mut only_x = gradient.clone();
            layer_norm_x_gradient(instructions, &x, &gamma, epsilon, &mut only_x);
            assert_close(&name, &only_x, &x_gradient, 1e-5);
            let mut with_parameters = gradient.clone();
            let parameters = layer_norm_gradients(instructions, &x, &gamma, epsilon, &mut with_parameters);
            assert_eq!(with_parameters, only_x, "{name}");
            assert_close(&name, &parameters.gamma, &gamma_gradient, 1e-5);
            assert_close(&name, &parameters.beta, &beta_gradient, 1e-5);
        }
    }
}

#[test]
fn interleaved_matrices() {
    // 3 × 4, rows contiguous.
    let data: Vec<f32> = (0..12).map(|value| value as f32).collect();
    let rows = Matrix::contiguous(&data, [3, 4]);
    let mut out = vec![-1.0; 2 * 4 * 2];
    super::matrix::interleave(rows, [0, 0], 4, 2, &mut out);
    super::matrix::pad(3, 4, 2, &mut out);
    assert_eq!(out, [0., 4., 1., 5., 2., 6., 3., 7., 8., 0., 9., 0., 10., 0., 11., 0.]);
    // Its transpose, one row and one column further.
    let mut out = vec![-1.0; 3 * 4 * 2];
    super::matrix::interleave(rows.transposed(), [1, 1], 4, 2, &mut out);
    let filled: Vec<f32> = out.iter().copied().filter(|value| *value >= 0.0).collect();
    assert_eq!(filled, [0., 4., 8., 1., 2., 5., 6., 9., 10., 3., 7., 11.]);
}

#[test]
fn mask_losses_and_their_gradients() {
    let (alpha, classes) = (0.25f64, 3);
    for ([height, width], [rows, columns]) in [
        ([4, 5], [37, 21]),
        ([1, 1], [1, 1]),
        ([7, 6], [5, 4]),
        ([2, 3], [64, 33]),
    ] {
        let masks: Vec<f32> = numbers(classes * height * width, 4)
            .iter()
            .map(|value| 6.0 * value)
            .collect();
        // The third class is absent, and some pixels have none.
        let labels: Vec<u16> = (0..rows * columns)
            .map(|pixel| [0, 1, u16::MAX][pixel / 3 % 3])
            .collect();
        let down = crate::bilinear::bilinear_weights(height, rows);
        let along = crate::bilinear::bilinear_weights(width, columns);
        let weight = |y: usize, x: usize, row: usize, column: usize| {
            f64::from(down[row * height + y]) * f64::from(along[column * width + x])
        };
        let pixels = (rows * columns) as f64;
        let mut sums = [0.0f64; 2];
        let mut gradients = [vec![0.0f64; masks.len()], vec![0.0f64; masks.len()]];
        for class in 0..classes {
            let mask = &masks[class * height * width..][..height * width];
            let (mut common, mut total, mut count) = (0.0, 0.0, 0.0);
            // Share of every cell, whether the pixel is the class's, its probability.
            let mut slopes = Vec::new();
            for row in 0..rows {
                for column in 0..columns {
                    let shares: Vec<f64> = (0..height * width)
                        .map(|cell| weight(cell / width, cell % width, row, column))
                        .collect();
                    let logit: f64 = shares
                        .iter()
                        .zip(mask)
                        .map(|(share, mask)| share * f64::from(*mask))
                        .sum();
                    let own = f64::from(u8::from(usize::from(labels[row * columns + column]) == class));
                    let sign = 1.0 - 2.0 * own;
                    let doubt = 1.0 / (1.0 + (-sign * logit).exp());
                    let surprise = (sign * logit).exp().ln_1p();
                    let factor = alpha * own + (1.0 - alpha) * (1.0 - own);
                    sums[0] += factor * doubt * doubt * surprise / pixels;
                    let steep = 2.0 * (1.0 - doubt) * surprise + doubt;
                    let focal = sign * factor * doubt * doubt * steep / pixels;
                    for (cell, share) in shares.iter().enumerate() {
                        gradients[0][class * height * width + cell] += share * focal;
                    }
                    let probability = own + sign * doubt;
                    common += own * probability;
                    total += probability;
                    count += own;
                    slopes.push((shares, own, doubt * (1.0 - doubt)));
                }
            }
            if count > 0.0 {
                let (numerator, denominator) = (2.0 * common + 1.0, total + count + 1.0);
                sums[1] += 1.0 - numerator / denominator;
                for (shares, own, slope) in slopes {
                    let dice = slope * (numerator / denominator.powi(2) - 2.0 * own / denominator);
                    for (cell, share) in shares.iter().enumerate() {
                        gradients[1][class * height * width + cell] += share * dice;
                    }
                }
            }
        }
        for instructions in InstructionSet::all() {
            let name = format!("{height}×{width} to {rows}×{columns}, {instructions:?}");
            let input = MaskLossInput {
                masks: &masks,
                shape: [1, classes, height, width],
                labels: &labels,
                size: [rows, columns],
                alpha: alpha as f32,
            };
            let result = mask_losses(instructions, input, true);
            for (actual, expected) in result.sums.iter().zip(sums) {
                assert!(
                    (actual - expected).abs() <= 1e-5 * expected.abs(),
                    "{name}: {actual}, {expected}"
                );
            }
            let found = result.gradients.expect("gradients were asked for");
            for (actual, expected) in found.iter().zip(&gradients) {
                assert_close(&name, actual, expected, 1e-5);
            }
            assert_eq!(mask_losses(instructions, input, false).sums, result.sums, "{name}");
        }
    }
}
