//! Mask losses and their gradients on every instruction set of this CPU, against f64.

use test_support::{assert_close, numbers};

use super::*;

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
            let (mut intersection, mut total, mut count) = (0.0, 0.0, 0.0);
            // Weight of every cell, target and derivative of the probability of each pixel.
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
                    let target = f64::from(u8::from(usize::from(labels[row * columns + column]) == class));
                    let sign = 1.0 - 2.0 * target;
                    let one_minus_pt = 1.0 / (1.0 + (-sign * logit).exp());
                    let nll = (sign * logit).exp().ln_1p();
                    let factor = alpha * target + (1.0 - alpha) * (1.0 - target);
                    sums[0] += factor * one_minus_pt * one_minus_pt * nll / pixels;
                    let dfocal = 2.0 * (1.0 - one_minus_pt) * nll + one_minus_pt;
                    let focal = sign * factor * one_minus_pt * one_minus_pt * dfocal / pixels;
                    for (cell, share) in shares.iter().enumerate() {
                        gradients[0][class * height * width + cell] += share * focal;
                    }
                    let probability = target + sign * one_minus_pt;
                    intersection += target * probability;
                    total += probability;
                    count += target;
                    slopes.push((shares, target, one_minus_pt * (1.0 - one_minus_pt)));
                }
            }
            if count > 0.0 {
                let (numerator, denominator) = (2.0 * intersection + 1.0, total + count + 1.0);
                sums[1] += 1.0 - numerator / denominator;
                for (shares, target, slope) in slopes {
                    let dice = slope * (numerator / denominator.powi(2) - 2.0 * target / denominator);
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
            let found = result.gradients.expect("gradients were requested");
            for (actual, expected) in found.iter().zip(&gradients) {
                assert_close(&name, actual, expected, 1e-5);
            }
            assert_eq!(mask_losses(instructions, input, false).sums, result.sums, "{name}");
        }
    }
}
