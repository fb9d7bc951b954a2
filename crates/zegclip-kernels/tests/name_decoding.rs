//! Labels from cosines of names against the formulas in f64 over complete arrays.

use test_support::numbers;
use zegclip_kernels::{
    NO_CLASS, NameDecoding, NamePlanes, NameSoftmax, WindowCosines, WindowMasks, bilinear_taps, decode_names,
};

const CLASS_OF_NAME: [u16; 11] = [0, 0, 0, 1, 2, 2, 3, 4, 4, 4, 4];

/// Windows of 20 × 20 pixels every 12, padded to 24 × 24 with two pixels on top and three at the left.
fn windows(resized: [usize; 2]) -> Vec<WindowCosines> {
    let starts = |length: usize| {
        let last = length - 20;
        (0..=last.div_ceil(12)).map(move |step| (step * 12).min(last))
    };
    let origins = starts(resized[0]).flat_map(|top| starts(resized[1]).map(move |left| [top, left]));
    (1..)
        .zip(origins)
        .map(|(seed, origin)| WindowCosines {
            masks: WindowMasks {
                origin,
                size: [20, 20],
                grid: [3, 3],
                values: numbers(3 * 3 * CLASS_OF_NAME.len(), seed),
            },
            spanned: [24, 24],
            offset: [2, 3],
        })
        .collect()
}

fn lerp(a: f64, b: f64, fraction: f32) -> f64 {
    a * (1.0 - f64::from(fraction)) + b * f64::from(fraction)
}

/// `[rows, columns]` resized, the last axis of `values` fastest.
fn resized(values: &[f64], from: [usize; 2], to: [usize; 2]) -> Vec<f64> {
    let at = |y: usize, x: usize| values[y * from[1] + x];
    let mut output = Vec::with_capacity(to[0] * to[1]);
    for down in bilinear_taps(from[0], to[0]) {
        for right in bilinear_taps(from[1], to[1]) {
            let top = lerp(at(down.low, right.low), at(down.low, right.high), right.fraction);
            let bottom = lerp(at(down.high, right.low), at(down.high, right.high), right.fraction);
            output.push(lerp(top, bottom, down.fraction));
        }
    }
    output
}

/// Mean cosines of one name at the output.
fn mean_cosines(windows: &[WindowCosines], decoding: &NameDecoding<'_>, name: usize) -> Vec<f64> {
    let [rows, columns] = decoding.resized;
    let (mut sum, mut count) = (vec![0f64; rows * columns], vec![0f64; rows * columns]);
    for window in windows {
        let masks = &window.masks;
        let patches: Vec<f64> = masks
            .values
            .chunks(CLASS_OF_NAME.len())
            .map(|names| f64::from(names[name]))
            .collect();
        let padded = resized(&patches, masks.grid, window.spanned);
        for y in 0..masks.size[0] {
            for x in 0..masks.size[1] {
                let pixel = (masks.origin[0] + y) * columns + masks.origin[1] + x;
                sum[pixel] += padded[(window.offset[0] + y) * window.spanned[1] + window.offset[1] + x];
                count[pixel] += 1.0;
            }
        }
    }
    let mean: Vec<f64> = sum.iter().zip(&count).map(|(sum, count)| sum / count).collect();
    resized(&mean, decoding.resized, decoding.output)
}

/// Probabilities `[classes, pixels]` before the area rule.
fn probabilities(cosines: &[Vec<f64>], decoding: &NameDecoding<'_>) -> Vec<Vec<f64>> {
    let (classes, pixels) = (decoding.classes(), cosines[0].len());
    let mut result = vec![vec![0f64; pixels]; classes];
    for pixel in 0..pixels {
        let exponentials: Vec<f64> = cosines
            .iter()
            .map(|name| (name[pixel] * f64::from(decoding.logit_scale)).exp())
            .collect();
        for (class, value) in CLASS_OF_NAME.iter().zip(&exponentials) {
            let best = &mut result[usize::from(*class)][pixel];
            *best = best.max(*value);
        }
        let sum: f64 = match decoding.softmax {
            NameSoftmax::OverNames => exponentials.iter().sum(),
            NameSoftmax::OverClasses => result.iter().map(|class| class[pixel]).sum(),
        };
        result.iter_mut().for_each(|class| class[pixel] /= sum);
    }
    result
}

fn best(probabilities: &[Vec<f64>], pixel: usize) -> (usize, f64) {
    (0..probabilities.len()).fold((0, f64::MIN), |best, class| {
        let value = probabilities[class][pixel];
        if value > best.1 { (class, value) } else { best }
    })
}

fn decoding(softmax: NameSoftmax) -> NameDecoding<'static> {
    NameDecoding {
        resized: [32, 45],
        output: [27, 51],
        class_of_name: &CLASS_OF_NAME,
        logit_scale: 6.0,
        softmax,
        min_probability: None,
        min_area: None,
        below: 0,
        planes: NamePlanes::Probabilities,
    }
}

#[test]
fn one_pass_equals_full_arrays() {
    let windows = windows([32, 45]);
    for softmax in [NameSoftmax::OverNames, NameSoftmax::OverClasses] {
        let decoding = decoding(softmax);
        let cosines: Vec<Vec<f64>> = (0..CLASS_OF_NAME.len())
            .map(|name| mean_cosines(&windows, &decoding, name))
            .collect();
        let expected = probabilities(&cosines, &decoding);
        let decoded = decode_names(&windows, &decoding);
        let scores = decoded.scores.expect("probabilities");
        assert_eq!(scores.len(), 5 * 27 * 51);
        for (score, expected) in scores.iter().zip(expected.iter().flatten()) {
            assert!((f64::from(*score) - expected).abs() < 1e-5, "{score} {expected}");
        }
        for (pixel, label) in decoded.labels.iter().enumerate() {
            let (_, probability) = best(&expected, pixel);
            assert!(probability - expected[usize::from(*label)][pixel] < 1e-5);
        }
        let planes = NameDecoding {
            planes: NamePlanes::Cosines,
            ..decoding
        };
        let with_cosines = decode_names(&windows, &planes);
        assert_eq!(with_cosines.labels, decoded.labels);
        let found = with_cosines.scores.expect("cosines");
        for (found, expected) in found.iter().zip(cosines.iter().flatten()) {
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} {expected}");
        }
        let labels_alone = NameDecoding {
            planes: NamePlanes::None,
            ..decoding
        };
        assert_eq!(decode_names(&windows, &labels_alone).labels, decoded.labels);
    }
}

#[test]
fn improbable_pixels_get_the_label_that_is_asked_for() {
    let windows = windows([32, 45]);
    let plain = decode_names(&windows, &decoding(NameSoftmax::OverNames));
    let scores = plain.scores.expect("probabilities");
    let pixels = plain.labels.len();
    for below in [0, NO_CLASS] {
        let limited = NameDecoding {
            min_probability: Some(0.5),
            below,
            ..decoding(NameSoftmax::OverNames)
        };
        let labels = decode_names(&windows, &limited).labels;
        let mut changed = 0;
        for (pixel, label) in labels.iter().enumerate() {
            let probability = scores[usize::from(plain.labels[pixel]) * pixels + pixel];
            let wanted = if probability < 0.5 { below } else { plain.labels[pixel] };
            assert_eq!(*label, wanted);
            changed += usize::from(probability < 0.5);
        }
        assert!(changed > 0 && changed < pixels, "{changed} of {pixels}");
    }
}

#[test]
fn small_classes_have_no_pixels_and_do_not_change_other_probabilities() {
    let windows = windows([32, 45]);
    let all = decode_names(&windows, &decoding(NameSoftmax::OverNames));
    let count = |labels: &[u16], class: u16| labels.iter().filter(|label| **label == class).count();
    let foreground = all.labels.len() - count(&all.labels, 0);
    let shares: Vec<f64> = (0..5)
        .map(|class| count(&all.labels, class) as f64 / foreground as f64)
        .collect();
    let limit = shares[1..].iter().copied().fold(1.0, f64::min) + 1e-6;
    let rule = NameDecoding {
        min_area: Some(limit as f32),
        ..decoding(NameSoftmax::OverNames)
    };
    let decoded = decode_names(&windows, &rule);
    let (pixels, before, after) = (
        all.labels.len(),
        all.scores.expect("probabilities"),
        decoded.scores.expect("probabilities"),
    );
    let mut dropped = 0;
    for class in 0..5u16 {
        let plane = |scores: &[f32]| scores[usize::from(class) * pixels..][..pixels].to_vec();
        if class > 0 && shares[usize::from(class)] <= limit {
            assert!(plane(&after).iter().all(|value| *value == 0.0));
            assert_eq!(count(&decoded.labels, class), 0);
            dropped += count(&all.labels, class);
        } else {
            assert_eq!(plane(&before), plane(&after));
        }
    }
    assert!(dropped > 0, "{shares:?}");
    for pixel in 0..pixels {
        let value = |class: u16| after[usize::from(class) * pixels + pixel];
        assert!((0..5).all(|class| value(class) <= value(decoded.labels[pixel])));
    }
}
