//! Boundary IoU (Cheng et al., CVPR 2021, arXiv 2103.16562): IoU of the inner borders of masks.
//!
//! Large objects hide errors at their contour in the ordinary IoU. Here only pixels of a mask count that are within
//! *d* of its contour, d = 2 % of the image's diagonal. As in the authors' code, distance is the larger of the
//! horizontal and the vertical one, and the image's border is part of the contour.

use serde::{Deserialize, Serialize};

use crate::LabelMap;

/// Distance from the contour as a part of the image's diagonal, Cheng et al. 2021, section 4.2.
const DISTANCE: f64 = 0.02;

/// Pixels of a class near its contours, in labels and predictions; sums over images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BoundaryCounts {
    pub(super) intersection: u64,
    pub(super) union: u64,
}

/// Adds one image to the counts `[classes]`. Where the label is ignored, so is the prediction.
pub(super) fn add(counts: &mut [BoundaryCounts], labels: &LabelMap, prediction: &LabelMap) {
    let diagonal = f64::from(labels.width()).hypot(f64::from(labels.height()));
    let distance = (DISTANCE * diagonal).round().max(1.0) as usize;
    let label = labels.as_raw();
    let known = label.iter().zip(prediction.as_raw());
    let predicted = known.map(|(&label, &predicted)| if label == LabelMap::IGNORE { label } else { predicted });
    let predicted = predicted.collect::<Vec<_>>();
    let width = labels.width() as usize;
    let label_borders = borders(label, width, distance);
    let predicted_borders = borders(&predicted, width, distance);

    let pixels = label
        .iter()
        .zip(&label_borders)
        .zip(predicted.iter().zip(&predicted_borders));
    for ((&label, &of_label), (&predicted, &of_prediction)) in pixels {
        let same = label == predicted;
        if of_label && let Some(count) = counts.get_mut(usize::from(label)) {
            count.union += 1;
            count.intersection += u64::from(same && of_prediction);
        }
        if of_prediction
            && !(same && of_label)
            && let Some(count) = counts.get_mut(usize::from(predicted))
        {
            count.union += 1;
        }
    }
}

/// Whether each pixel has another label, or the outside, within `distance` columns and rows.
fn borders(labels: &[u16], width: usize, distance: usize) -> Vec<bool> {
    let height = labels.len() / width.max(1);
    // Pixels in whose row nothing else comes within the distance …
    let mut inner = vec![false; labels.len()];
    for (row, inner) in labels
        .chunks_exact(width.max(1))
        .zip(inner.chunks_exact_mut(width.max(1)))
    {
        let mut start = 0;
        for run in row.chunk_by(|a, b| a == b) {
            mark_inner(inner, start, run.len(), distance);
            start += run.len();
        }
    }
    // … and that are deep within a column of such pixels of their label.
    let mut border = vec![true; labels.len()];
    let mut column = vec![false; height];
    for x in 0..width {
        let value = |y: usize| {
            let position = y * width + x;
            inner
                .get(position)
                .copied()
                .filter(|&inner| inner)
                .and_then(|_| labels.get(position).copied())
        };
        column.fill(false);
        let mut start = 0;
        while start < height {
            let first = value(start);
            let length = 1 + (start + 1..height).take_while(|&y| value(y) == first).count();
            if first.is_some() {
                mark_inner(&mut column, start, length, distance);
            }
            start += length;
        }
        for (border, &inner) in border.iter_mut().skip(x).step_by(width).zip(&column) {
            *border = !inner;
        }
    }
    border
}

/// Marks what is at least `distance` away from both ends of a run.
fn mark_inner(line: &mut [bool], start: usize, length: usize, distance: usize) {
    if let Some(inner) = line.get_mut(start + distance..(start + length).saturating_sub(distance)) {
        inner.fill(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By definition: look at every pixel in the square.
    fn slow_borders(labels: &LabelMap, distance: i64) -> Vec<bool> {
        let (width, height) = (i64::from(labels.width()), i64::from(labels.height()));
        let at = |x: i64, y: i64| {
            let inside = (0..width).contains(&x) && (0..height).contains(&y);
            inside.then(|| labels.as_raw()[(y * width + x) as usize])
        };
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        pixels
            .map(|(x, y)| {
                let square = (-distance..=distance).flat_map(|dy| (-distance..=distance).map(move |dx| (dx, dy)));
                square.into_iter().any(|(dx, dy)| at(x + dx, y + dy) != at(x, y))
            })
            .collect()
    }

    fn blobs(width: u32, height: u32, seed: u32) -> LabelMap {
        LabelMap::from_fn(width, height, |x, y| {
            let value = ((x / 7 + seed) * 31 + (y / 5) * 17 + (x * y / 40)) % 4;
            crate::ClassIndex::new(if value == 3 { u16::MAX } else { value as u16 })
        })
    }

    #[test]
    fn borders_are_those_of_the_definition() {
        for (width, height, distance) in [(31, 22, 1), (31, 22, 2), (40, 40, 3), (1, 9, 1), (9, 1, 2), (5, 5, 4)] {
            let labels = blobs(width, height, distance);
            let fast = borders(labels.as_raw(), width as usize, distance as usize);
            assert_eq!(
                fast,
                slow_borders(&labels, i64::from(distance)),
                "{width}×{height}, {distance}"
            );
        }
    }

    #[test]
    fn a_perfect_prediction_scores_one_and_a_shifted_one_less_than_its_iou() {
        let square = |shift: u32| {
            LabelMap::from_fn(100, 100, |x, y| {
                crate::ClassIndex::new(u16::from(
                    (20 + shift..70 + shift).contains(&x) && (20..70).contains(&y),
                ))
            })
        };
        let score = |prediction: &LabelMap| {
            let mut counts = [BoundaryCounts::default(); 2];
            add(&mut counts, &square(0), prediction);
            counts[1].intersection as f64 / counts[1].union as f64
        };
        assert_eq!(score(&square(0)), 1.0);
        let shifted = score(&square(2));
        let iou = 48.0 / 52.0;
        assert!(shifted > 0.3 && shifted < iou, "{shifted}");
    }

    #[test]
    fn ignored_pixels_count_nowhere() {
        let labels = LabelMap::filled(10, 10, None);
        let mut counts = [BoundaryCounts::default(); 4];
        add(&mut counts, &labels, &blobs(10, 10, 0));
        assert_eq!(counts, [BoundaryCounts::default(); 4]);
    }
}
