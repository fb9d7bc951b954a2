//! Mask decoding on the CPU against the formulas in f64.

use test_support::numbers;

use super::*;

/// First rows and columns of square windows of `crop` pixels, the last shifted back inside the image.
fn origins(resized: [usize; 2], crop: usize, stride: usize) -> Vec<[usize; 2]> {
    let [rows, columns] = resized.map(|length| {
        let steps = (length - crop).div_ceil(stride);
        (0..=steps).map(move |step| (step * stride).min(length - crop))
    });
    rows.flat_map(|top| columns.clone().map(move |left| [top, left]))
        .collect()
}

/// Masks in −4..4 on a grid of 8 × 8 patches, for windows of 64 pixels with a stride of 53.
fn masks(resized: [usize; 2], classes: usize) -> Vec<WindowMasks> {
    (1..)
        .zip(origins(resized, 64, 53))
        .map(|(seed, origin)| WindowMasks {
            origin,
            size: [64, 64],
            grid: [8, 8],
            values: numbers(8 * 8 * classes, seed).iter().map(|value| 4.0 * value).collect(),
        })
        .collect()
}

/// Scores `[classes, rows, columns]` over complete arrays, in f64.
fn reference(masks: &[WindowMasks], decoding: &MaskDecoding<'_>) -> Vec<f64> {
    let MaskDecoding {
        resized,
        output,
        seen_class_bias,
        activation,
        ..
    } = *decoding;
    let classes = seen_class_bias.len();
    let [rows, columns] = resized;
    let mut sum = vec![0f64; classes * rows * columns];
    let mut count = vec![0f64; rows * columns];
    let lerp = |a: f64, b: f64, f: f32| a * (1.0 - f64::from(f)) + b * f64::from(f);
    for mask in masks {
        let at = |y: usize, x: usize, c: usize| f64::from(mask.values[(y * mask.grid[1] + x) * classes + c]);
        let ys: Vec<_> = bilinear_taps(mask.grid[0], mask.size[0]).collect();
        let xs: Vec<_> = bilinear_taps(mask.grid[1], mask.size[1]).collect();
        for (y, ty) in ys.iter().enumerate() {
            for (x, tx) in xs.iter().enumerate() {
                let (row, column) = (mask.origin[0] + y, mask.origin[1] + x);
                count[row * columns + column] += 1.0;
                let logit = |c: usize| {
                    let top = lerp(at(ty.low, tx.low, c), at(ty.low, tx.high, c), tx.fraction);
                    let bottom = lerp(at(ty.high, tx.low, c), at(ty.high, tx.high, c), tx.fraction);
                    lerp(top, bottom, ty.fraction)
                };
                let all: f64 = (0..classes).map(|c| logit(c).exp()).sum();
                for c in 0..classes {
                    sum[(c * rows + row) * columns + column] += match activation {
                        MaskActivation::Sigmoid => 1.0 / (1.0 + (-logit(c)).exp()),
                        MaskActivation::Softmax => logit(c).exp() / all,
                    };
                }
            }
        }
    }
    let mut scores = Vec::with_capacity(classes * output[0] * output[1]);
    for c in 0..classes {
        let at = |y: usize, x: usize| {
            sum[(c * rows + y) * columns + x] / count[y * columns + x] - f64::from(seen_class_bias[c])
        };
        for ty in bilinear_taps(rows, output[0]) {
            for tx in bilinear_taps(columns, output[1]) {
                let top = lerp(at(ty.low, tx.low), at(ty.low, tx.high), tx.fraction);
                let bottom = lerp(at(ty.high, tx.low), at(ty.high, tx.high), tx.fraction);
                scores.push(lerp(top, bottom, ty.fraction));
            }
        }
    }
    scores
}

#[test]
fn one_pass_equals_full_arrays() {
    for (resized, output, classes, activation) in [
        ([64, 64], [64, 64], 3, MaskActivation::Sigmoid),
        ([75, 145], [58, 117], 6, MaskActivation::Sigmoid),
        ([75, 145], [58, 117], 19, MaskActivation::Softmax),
        ([64, 101], [150, 37], 21, MaskActivation::Sigmoid),
    ] {
        let masks = masks(resized, classes);
        let seen_class_bias: Vec<f32> = (0..classes)
            .map(|class| if class % 2 == 0 { 0.1 } else { 0.0 })
            .collect();
        let decoding = MaskDecoding {
            resized,
            output,
            activation,
            seen_class_bias: &seen_class_bias,
            min_score: None,
            scores: true,
        };
        let decoded = decode(&masks, &decoding);
        let expected = reference(&masks, &decoding);
        let scores = decoded.scores.unwrap_or_default();
        assert_eq!(scores.len(), expected.len());
        for (score, expected) in scores.iter().zip(&expected) {
            assert!((f64::from(*score) - expected).abs() < 1e-5, "{score} {expected}");
        }
        let plane = output[0] * output[1];
        for (pixel, label) in decoded.labels.iter().enumerate() {
            let best = (0..classes)
                .map(|c| expected[c * plane + pixel])
                .fold(f64::MIN, f64::max);
            assert!(best - expected[usize::from(*label) * plane + pixel] < 1e-5);
        }
    }
}

#[test]
fn labels_do_not_depend_on_whether_scores_are_returned() {
    let masks = masks([64, 90], 5);
    let decoding = MaskDecoding {
        resized: [64, 90],
        output: [40, 60],
        activation: MaskActivation::Sigmoid,
        seen_class_bias: &[0.1, 0.0, 0.1, 0.0, 0.1],
        min_score: Some(0.6),
        scores: false,
    };
    let with = MaskDecoding {
        scores: true,
        ..decoding
    };
    let labels = decode(&masks, &decoding).labels;
    assert_eq!(labels, decode(&masks, &with).labels);
    assert!(labels.contains(&NO_CLASS));
    assert!(labels.iter().any(|label| *label != NO_CLASS));
}

#[test]
fn a_constant_image_scores_the_same_in_one_window_and_in_many() {
    let classes = 4;
    let constant = |origin: [usize; 2]| WindowMasks {
        origin,
        size: [64, 64],
        grid: [8, 8],
        values: [0.5f32, -1.0, 2.0, 0.0].repeat(64),
    };
    let seen_class_bias = vec![0.0; classes];
    for resized in [[64, 64], [64, 300]] {
        let masks: Vec<_> = origins(resized, 64, 53).into_iter().map(constant).collect();
        let decoding = MaskDecoding {
            resized,
            output: [10, 10],
            activation: MaskActivation::Sigmoid,
            seen_class_bias: &seen_class_bias,
            min_score: None,
            scores: true,
        };
        let scores = decode(&masks, &decoding).scores.unwrap_or_default();
        assert!(scores[..100].iter().all(|score| (score - 0.622_459_3).abs() < 1e-6));
    }
}

#[test]
fn sigmoid_is_exact_to_single_precision() {
    for step in -2000..=2000 {
        let x = step as f32 * 0.05;
        let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
        assert!((f64::from(sigmoid(x)) - exact).abs() < 2e-7, "{x}");
    }
    assert_eq!(sigmoid(1000.0), 1.0);
    assert!(sigmoid(-1000.0) < 1e-30);
}

#[test]
fn a_shift_of_all_masks_changes_no_softmax() {
    let mut masks = masks([64, 64], 5);
    let decoding = MaskDecoding {
        resized: [64, 64],
        output: [64, 64],
        activation: MaskActivation::Softmax,
        seen_class_bias: &[0.1, 0.1, 0.0, 0.1, 0.0],
        min_score: None,
        scores: false,
    };
    let labels = decode(&masks, &decoding).labels;
    for value in masks.iter_mut().flat_map(|mask| &mut mask.values) {
        *value += 64.0;
    }
    assert_eq!(labels, decode(&masks, &decoding).labels);
    let sigmoid = MaskDecoding {
        activation: MaskActivation::Sigmoid,
        ..decoding
    };
    let labels = decode(&masks, &sigmoid).labels;
    assert!(labels.iter().all(|label| *label == 2), "every σ is 1");
}

#[test]
fn nan_masks_give_an_existing_class() {
    let mut masks = masks([64, 90], 5);
    masks.iter_mut().for_each(|mask| mask.values.fill(f32::NAN));
    let decoding = MaskDecoding {
        resized: [64, 90],
        output: [40, 60],
        activation: MaskActivation::Sigmoid,
        seen_class_bias: &[0.0; 5],
        min_score: None,
        scores: false,
    };
    let labels = decode(&masks, &decoding).labels;
    assert!(labels.iter().all(|label| *label == 0));
}

#[test]
fn the_first_of_equal_scores_wins() {
    let first_maximum = |scores: &[f32]| first_maximum(&in_lanes(scores, scores.len(), PADDING));
    assert_eq!(first_maximum(&[0.1, 0.7, 0.7]), (1, 0.7));
    let mut many = vec![0.0; 41];
    many[20] = 1.0;
    many[39] = 1.0;
    assert_eq!(first_maximum(&many), (20, 1.0));
}
