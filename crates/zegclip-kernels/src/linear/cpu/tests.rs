//! Products and their epilogues on every instruction set of this CPU, against the same sums in f64.

use test_support::{assert_close, numbers};

use super::*;

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
        let activated: Vec<f64> = expected.iter().map(|x| x / (1.0 + (-1.702 * x).exp())).collect();
        let positive: Vec<f64> = expected.iter().map(|x| x.max(0.0)).collect();
        for instructions in InstructionSet::all() {
            let name = format!("{rows} × {depth} × {columns}, {instructions:?}");
            let right = Matrix::contiguous(&right, [depth, columns]);
            let left = Matrix::contiguous(&left, [rows, depth]);
            let run = |activation| {
                let epilogue = Epilogue {
                    bias: Some(&bias),
                    residual: None,
                    activation,
                };
                multiply(instructions, left, right, epilogue)
            };
            let epilogue = Epilogue {
                bias: Some(&bias),
                residual: Some(&residual),
                activation: Activation::None,
            };
            assert_close(
                &name,
                &multiply(instructions, left, right, epilogue),
                &with_residual,
                TOLERANCE,
            );
            let by_columns = Matrix::contiguous(&transposed, [depth, rows]).transposed();
            assert_close(
                &name,
                &multiply(instructions, by_columns, right, epilogue),
                &with_residual,
                TOLERANCE,
            );
            assert_close(&name, &run(Activation::None), &expected, TOLERANCE);
            assert_close(&name, &run(Activation::QuickGelu), &activated, TOLERANCE);
            assert_close(&name, &run(Activation::Relu), &positive, TOLERANCE);
        }
    }
}
