//! Window masks at patch grid to a label map, in one pass over the rows of the output. This is the processor's way, and that of
//! scores and softmax; GPUs have [`decode_masks`] for the rest, which [`decode_on_gpu`] calls.
//!
//! A row of class scores is made when an output row needs it and dropped afterwards: upsampling, σ (or the softmax of a
//! baseline), the average over overlapping windows, the seen-class bias, the resize to the photo's own size and the arg max never meet in a
//! `[classes, height, width]` array. Memory is `classes · columns` a thread. It is plain code on groups of classes, which the
//! compiler turns into the vector instructions of each kind of processor.

use burn::tensor::Tensor;
use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;
use zegclip_data::LabelMap;
use zegclip_kernels::{MaskLayout, decode_masks};
use zegclip_model::config::MaskActivation;
use zegclip_model::interpolate::{Tap, bilinear_taps};

use crate::Error;
use crate::windows::Window;

/// Output rows that share their rows of scores.
const CHUNK_ROWS: usize = 24;

/// Classes that are computed side by side.
const LANES: usize = 8;
/// The mask in lanes that belong to no class: σ and softmax of it are zero.
const NO_CLASS: f32 = -1e30;

/// Values of some classes of one pixel.
type Lanes = [f32; LANES];

/// Masks of one window, before their activation.
#[derive(Debug, Clone)]
pub struct WindowMasks {
    /// Where in the resized image the window lies.
    pub window: Window,
    /// Patches `[height, width]`.
    pub grid: [usize; 2],
    /// `[height, width, classes]`: the classes of one patch lie together.
    pub values: Vec<f32>,
}

/// What is decoded and how.
#[derive(Debug, Clone, Copy)]
pub struct Decoding<'a> {
    /// Size of the resized image over which the windows lie: `[height, width]`.
    pub resized: [usize; 2],
    /// Size of the photo: `[height, width]`.
    pub output: [usize; 2],
    /// What turns masks into scores.
    pub activation: MaskActivation,
    /// Taken from the score of each class.
    pub seen_class_bias: &'a [f32],
    /// A pixel whose best score is lower has no class.
    pub threshold: Option<f32>,
    /// Whether to return the scores.
    pub scores: bool,
}

/// Labels, and scores where they were asked for.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The best class of every pixel; ignored where the best score is under the threshold.
    pub labels: LabelMap,
    /// `[classes, height, width]`.
    pub scores: Option<Vec<f32>>,
}

/// Decodes the masks of all windows. Scores are `mean over windows of activation(upsampled mask) − seen_class_bias`, in
/// `(−1, 1)`; among equal scores the first class wins.
pub fn decode(masks: &[WindowMasks], decoding: &Decoding) -> Decoded {
    let [height, width] = decoding.output;
    let classes = decoding.seen_class_bias.len();
    let plan = Plan::new(masks, decoding);
    let arch = Arch::new();
    let decode_rows = |chunk: usize, labels: &mut [u16], planes: Vec<&mut [f32]>| {
        arch.dispatch(Rows {
            plan: &plan,
            first: chunk * CHUNK_ROWS,
            labels,
            planes,
        });
    };
    let mut labels = vec![LabelMap::IGNORE; height * width];
    let scores = if decoding.scores {
        let mut scores = vec![0f32; classes * height * width];
        // Rows of one class lie `height · width` apart: hand every chunk its own slice of each class.
        let mut by_chunk: Vec<Vec<&mut [f32]>> = Vec::new();
        by_chunk.resize_with(height.div_ceil(CHUNK_ROWS), Vec::new);
        for plane in scores.chunks_exact_mut(height * width) {
            for (chunk, rows) in by_chunk.iter_mut().zip(plane.chunks_mut(CHUNK_ROWS * width)) {
                chunk.push(rows);
            }
        }
        labels
            .par_chunks_mut(CHUNK_ROWS * width)
            .zip(by_chunk)
            .enumerate()
            .for_each(|(chunk, (labels, planes))| decode_rows(chunk, labels, planes));
        Some(scores)
    } else {
        labels
            .par_chunks_mut(CHUNK_ROWS * width)
            .enumerate()
            .for_each(|(chunk, labels)| decode_rows(chunk, labels, Vec::new()));
        None
    };
    Decoded {
        labels: label_map(decoding, labels),
        scores,
    }
}

/// Pixels of a photo that a GPU decodes at once: 128 MiB of labels and scores, the buffer that every device has.
const MOST_PIXELS_ON_GPU: usize = 1 << 24;

impl Decoding<'_> {
    /// Whether [`decode_on_gpu`] can do it.
    pub(crate) fn fits_gpu(&self) -> bool {
        !self.scores
            && self.activation == MaskActivation::Sigmoid
            && self.output[0] * self.output[1] <= MOST_PIXELS_ON_GPU
    }
}

/// Labels of masks `[windows, classes, height, width]` that lie on a GPU: only labels leave it.
pub(crate) fn decode_on_gpu(masks: Tensor<4>, windows: &[Window], decoding: &Decoding) -> Result<LabelMap, Error> {
    let [rows, columns] = decoding.output;
    let layout = MaskLayout {
        windows: windows.iter().map(|window| [window.top, window.left]).collect(),
        window: windows.first().map_or([0, 0], |window| [window.height, window.width]),
        resized: decoding.resized,
        output: decoding.output,
        seen_class_bias: decoding.seen_class_bias.to_vec(),
    };
    let decoded = decode_masks(masks, layout).try_into_data().map_err(Error::execution)?;
    let values: Vec<f32> = decoded.iter::<f32>().collect();
    let (classes, scores) = values.split_at(rows * columns);
    let label = |(class, score): (&f32, &f32)| match decoding.threshold {
        Some(threshold) if *score < threshold => LabelMap::IGNORE,
        _ => *class as u16,
    };
    Ok(label_map(decoding, classes.iter().zip(scores).map(label).collect()))
}

fn label_map(decoding: &Decoding, labels: Vec<u16>) -> LabelMap {
    let [height, width] = decoding.output.map(|length| length as u32);
    LabelMap::from_raw(width, height, labels).unwrap_or_else(|_| LabelMap::filled(width, height, None))
}

/// What all rows share.
struct Plan<'a> {
    decoding: &'a Decoding<'a>,
    /// Groups of classes.
    groups: usize,
    /// The bias of each class; one that no score outweighs in lanes that belong to none.
    seen_class_bias: Vec<Lanes>,
    windows: Vec<WindowPlan>,
    /// From resized image to photo.
    rows: Vec<Tap>,
    columns: Vec<Tap>,
}

/// Masks of one window and where its pixels lie on their grid.
struct WindowPlan {
    window: Window,
    /// Patches of a row of the grid.
    grid_columns: usize,
    /// `[height, width, groups]`
    values: Vec<Lanes>,
    rows: Vec<Tap>,
    columns: Vec<Tap>,
}

/// A row of the resized image: `[columns, groups]`.
#[derive(Default)]
struct ScoreRow {
    row: Option<usize>,
    values: Vec<Lanes>,
}

impl<'a> Plan<'a> {
    fn new(masks: &[WindowMasks], decoding: &'a Decoding<'a>) -> Self {
        let taps = |input: usize, output: usize| bilinear_taps(input, output).collect::<Vec<_>>();
        let classes = decoding.seen_class_bias.len();
        Self {
            decoding,
            groups: classes.div_ceil(LANES),
            seen_class_bias: in_lanes(decoding.seen_class_bias, classes, -NO_CLASS),
            windows: masks
                .iter()
                .map(|mask| WindowPlan {
                    window: mask.window,
                    grid_columns: mask.grid[1],
                    values: in_lanes(&mask.values, classes, NO_CLASS),
                    rows: taps(mask.grid[0], mask.window.height),
                    columns: taps(mask.grid[1], mask.window.width),
                })
                .collect(),
            rows: taps(decoding.resized[0], decoding.output[0]),
            columns: taps(decoding.resized[1], decoding.output[1]),
        }
    }

    /// Decodes as many rows as `labels` holds, from `first` on.
    #[inline(always)]
    fn decode_rows(&self, first: usize, labels: &mut [u16], mut planes: Vec<&mut [f32]>) {
        let width = self.decoding.output[1];
        let classes = self.decoding.seen_class_bias.len();
        let groups = self.groups;
        let (mut low, mut high) = (ScoreRow::default(), ScoreRow::default());
        let mut line = Vec::new();
        let mut blended = Vec::new();
        let mut pixel = vec![[0f32; LANES]; groups];
        for (index, labels) in labels.chunks_exact_mut(width).enumerate() {
            let tap = self.rows[first + index];
            if low.row != Some(tap.low) {
                if high.row == Some(tap.low) {
                    std::mem::swap(&mut low, &mut high);
                } else {
                    self.fill(tap.low, &mut low, &mut line);
                }
            }
            let row = if tap.fraction == 0.0 {
                &low.values
            } else {
                if high.row != Some(tap.high) {
                    self.fill(tap.high, &mut high, &mut line);
                }
                blended.resize(low.values.len(), [0.0; LANES]);
                blend(&mut blended, &low.values, &high.values, tap.fraction);
                &blended
            };
            for (x, (label, tap)) in labels.iter_mut().zip(&self.columns).enumerate() {
                let left = &row[tap.low * groups..][..groups];
                let scores = if tap.fraction == 0.0 {
                    left
                } else {
                    blend(&mut pixel, left, &row[tap.high * groups..][..groups], tap.fraction);
                    &pixel
                };
                let (class, best) = first_maximum(scores);
                // Where no score is a number, a lane without a class is the best.
                let class = if class < classes { class } else { 0 };
                let kept = self.decoding.threshold.is_none_or(|threshold| best >= threshold);
                *label = if kept { class as u16 } else { LabelMap::IGNORE };
                for (plane, score) in planes.iter_mut().zip(scores.as_flattened()) {
                    plane[index * width + x] = *score;
                }
            }
        }
    }

    /// Makes the scores of one row of the resized image.
    #[inline(always)]
    fn fill(&self, row: usize, into: &mut ScoreRow, line: &mut Vec<Lanes>) {
        let (columns, groups) = (self.decoding.resized[1], self.groups);
        into.row = Some(row);
        into.values.clear();
        into.values.resize(columns * groups, [0.0; LANES]);
        let mut windows_at = vec![0u32; columns];
        let mut pixel = vec![[0f32; LANES]; groups];
        for plan in &self.windows {
            let Window {
                top,
                left,
                height,
                width,
            } = plan.window;
            if !(top..top + height).contains(&row) {
                continue;
            }
            let tap = plan.rows[row - top];
            let row_len = plan.grid_columns * groups;
            let grid_row = |index: usize| &plan.values[index * row_len..][..row_len];
            line.resize(row_len, [0.0; LANES]);
            blend(line, grid_row(tap.low), grid_row(tap.high), tap.fraction);
            for (x, tap) in plan.columns.iter().enumerate().take(width) {
                windows_at[left + x] += 1;
                let scores = &mut into.values[(left + x) * groups..][..groups];
                let low = &line[tap.low * groups..][..groups];
                let high = &line[tap.high * groups..][..groups];
                match self.decoding.activation {
                    MaskActivation::Sigmoid => {
                        for (scores, (low, high)) in scores.iter_mut().zip(low.iter().zip(high)) {
                            let mut sum = *scores;
                            let logits = between(*low, *high, tap.fraction);
                            for lane in 0..LANES {
                                sum[lane] += sigmoid(logits[lane]);
                            }
                            *scores = sum;
                        }
                    }
                    MaskActivation::Softmax => {
                        blend(&mut pixel, low, high, tap.fraction);
                        add_softmax(scores, &mut pixel);
                    }
                }
            }
        }
        for (scores, &windows) in into.values.chunks_exact_mut(groups).zip(&windows_at) {
            let share = 1.0 / windows.max(1) as f32;
            for (scores, seen_class_bias) in scores.iter_mut().zip(&self.seen_class_bias) {
                let mut adjusted = *scores;
                for lane in 0..LANES {
                    adjusted[lane] = adjusted[lane] * share - seen_class_bias[lane];
                }
                *scores = adjusted;
            }
        }
    }
}

/// Some rows of the photo. What it calls is inlined, all of it: only then is it compiled for the instructions that are there.
struct Rows<'a> {
    plan: &'a Plan<'a>,
    first: usize,
    labels: &'a mut [u16],
    planes: Vec<&'a mut [f32]>,
}

impl NullaryFnOnce for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.plan.decode_rows(self.first, self.labels, self.planes);
    }
}

/// `[…, classes]` as `[…, groups]`.
fn in_lanes(values: &[f32], classes: usize, rest: f32) -> Vec<Lanes> {
    let groups_of = |values: &[f32]| {
        let mut lanes = [rest; LANES];
        lanes[..values.len()].copy_from_slice(values);
        lanes
    };
    let pixels = values.chunks_exact(classes.max(1));
    pixels.flat_map(|pixel| pixel.chunks(LANES).map(groups_of)).collect()
}

/// By value, like all that works on lanes: of references the compiler would have to find out that they do not overlap.
#[inline(always)]
fn between(low: Lanes, high: Lanes, fraction: f32) -> Lanes {
    let mut values = [0.0; LANES];
    for lane in 0..LANES {
        values[lane] = low[lane] * (1.0 - fraction) + high[lane] * fraction;
    }
    values
}

#[inline(always)]
fn blend(into: &mut [Lanes], low: &[Lanes], high: &[Lanes], fraction: f32) {
    for (into, (low, high)) in into.iter_mut().zip(low.iter().zip(high)) {
        *into = between(*low, *high, fraction);
    }
}

/// Index and value of the largest score; the first of equal ones.
#[inline(always)]
fn first_maximum(scores: &[Lanes]) -> (usize, f32) {
    let mut largest = [f32::NEG_INFINITY; LANES];
    for scores in scores.iter().copied() {
        for lane in 0..LANES {
            largest[lane] = if scores[lane] > largest[lane] {
                scores[lane]
            } else {
                largest[lane]
            };
        }
    }
    let best = largest.into_iter().fold(f32::NEG_INFINITY, f32::max);
    // All lanes of a group at once.
    let holds = |scores: &Lanes| scores.iter().fold(false, |found, score| found | (*score == best));
    let group = scores.iter().position(holds).unwrap_or(0);
    let lane = scores
        .get(group)
        .and_then(|scores| scores.iter().position(|score| *score == best));
    (group * LANES + lane.unwrap_or(0), best)
}

/// Adds the softmax of `logits`, which are overwritten, to `scores`.
#[inline(always)]
fn add_softmax(scores: &mut [Lanes], logits: &mut [Lanes]) {
    let (_, largest) = first_maximum(logits);
    for value in logits.as_flattened_mut() {
        *value = exponential(*value - largest);
    }
    let share = 1.0 / logits.as_flattened().iter().sum::<f32>();
    for (score, value) in scores.as_flattened_mut().iter_mut().zip(logits.as_flattened()) {
        *score += *value * share;
    }
}

/// `1 / (1 + exp(−x))` within 2e-7 of the exact value.
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exponential(-x))
}

/// `exp(x)` within 3e-7 of itself for `x` in ±87, and that of the nearer end beyond: σ is 0 or 1 to all digits of an f32
/// there. From operations that compilers turn into vector instructions.
#[inline(always)]
fn exponential(x: f32) -> f32 {
    // exp(x) = 2^whole · 2^part with |part| ≤ 1/2.
    let t = x.clamp(-87.0, 87.0) * std::f32::consts::LOG2_E;
    // Adding 1.5 · 2^23 rounds to the nearest integer, which the low bits of the sum are.
    const ROUND: f32 = 12_582_912.0;
    let rounded = t + ROUND;
    let part = (t - (rounded - ROUND)) * std::f32::consts::LN_2;
    // Taylor series of exp up to part^7; its remainder is below 4e-9 for |part| ≤ ln(2) / 2.
    let series = 1.0
        + part
            * (1.0
                + part
                    * (0.5
                        + part
                            * (1.0 / 6.0
                                + part * (1.0 / 24.0 + part * (1.0 / 120.0 + part * (1.0 / 720.0 + part / 5040.0))))));
    series * f32::from_bits(rounded.to_bits().wrapping_add(127) << 23)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::windows::windows;
    use burn::tensor::{Device, TensorData};

    /// Small deterministic values in about ±4.
    fn values(count: usize, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        (0..count)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 40) as f32 / (1u64 << 24) as f32 * 8.0 - 4.0
            })
            .collect()
    }

    fn masks(resized: [usize; 2], crop: usize, stride: usize, grid: usize, classes: usize) -> Vec<WindowMasks> {
        windows(resized[0], resized[1], crop, stride)
            .into_iter()
            .enumerate()
            .map(|(index, window)| WindowMasks {
                window,
                grid: [grid, grid],
                values: values(grid * grid * classes, index as u64 + 1),
            })
            .collect()
    }

    /// The same, the long way: full arrays, f64.
    fn reference(masks: &[WindowMasks], decoding: &Decoding) -> Vec<f64> {
        let Decoding {
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
            let ys: Vec<_> = bilinear_taps(mask.grid[0], mask.window.height).collect();
            let xs: Vec<_> = bilinear_taps(mask.grid[1], mask.window.width).collect();
            for (y, ty) in ys.iter().enumerate() {
                for (x, tx) in xs.iter().enumerate() {
                    let (row, column) = (mask.window.top + y, mask.window.left + x);
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
            let masks = masks(resized, 64, 53, 8, classes);
            let seen_class_bias: Vec<f32> = (0..classes)
                .map(|class| if class % 2 == 0 { 0.1 } else { 0.0 })
                .collect();
            let decoding = Decoding {
                resized,
                output,
                activation,
                seen_class_bias: &seen_class_bias,
                threshold: None,
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
            for (pixel, label) in decoded.labels.as_raw().iter().enumerate() {
                let best = (0..classes)
                    .map(|c| expected[c * plane + pixel])
                    .fold(f64::MIN, f64::max);
                assert!(best - expected[usize::from(*label) * plane + pixel] < 1e-5);
            }
        }
    }

    /// The composition that the GPU's kernel is compared with gives the same as the processor's rows.
    #[test]
    fn both_ways_of_decoding_agree() {
        for (resized, output, threshold) in [
            ([64, 64], [64, 64], None),
            ([75, 145], [58, 117], Some(0.7)),
            ([64, 101], [150, 37], None),
        ] {
            let masks = masks(resized, 64, 53, 8, 6);
            let windows: Vec<Window> = masks.iter().map(|mask| mask.window).collect();
            let decoding = Decoding {
                resized,
                output,
                activation: MaskActivation::Sigmoid,
                seen_class_bias: &[0.1, 0.0, 0.1, 0.0, 0.1, 0.0],
                threshold,
                scores: false,
            };
            assert!(decoding.fits_gpu());
            let values = masks.iter().flat_map(|mask| mask.values.clone()).collect();
            let data = TensorData::new::<f32, _>(values, [masks.len(), 8, 8, 6]);
            let tensor = Tensor::<4>::from_data(data, &Device::flex()).permute([0, 3, 1, 2]);
            let labels = decode_on_gpu(tensor, &windows, &decoding).unwrap();
            let expected = decode(&masks, &decoding).labels;
            assert_eq!(labels.as_raw(), expected.as_raw());
            assert_eq!(threshold.is_some(), labels.as_raw().contains(&LabelMap::IGNORE));
        }
    }

    #[test]
    fn labels_do_not_depend_on_whether_scores_are_wanted() {
        let masks = masks([64, 90], 64, 53, 8, 5);
        let decoding = Decoding {
            resized: [64, 90],
            output: [40, 60],
            activation: MaskActivation::Sigmoid,
            seen_class_bias: &[0.1, 0.0, 0.1, 0.0, 0.1],
            threshold: Some(0.6),
            scores: false,
        };
        let with = Decoding {
            scores: true,
            ..decoding
        };
        let labels = decode(&masks, &decoding).labels;
        assert_eq!(labels.as_raw(), decode(&masks, &with).labels.as_raw());
        assert!(labels.as_raw().contains(&LabelMap::IGNORE));
        assert!(labels.as_raw().iter().any(|label| *label != LabelMap::IGNORE));
    }

    #[test]
    fn a_constant_image_scores_the_same_in_one_window_and_in_many() {
        let classes = 4;
        let constant = |window: Window| WindowMasks {
            window,
            grid: [8, 8],
            values: [0.5f32, -1.0, 2.0, 0.0].repeat(64),
        };
        let seen_class_bias = vec![0.0; classes];
        for resized in [[64, 64], [64, 300]] {
            let masks: Vec<_> = windows(resized[0], resized[1], 64, 53)
                .into_iter()
                .map(constant)
                .collect();
            let decoding = Decoding {
                resized,
                output: [10, 10],
                activation: MaskActivation::Sigmoid,
                seen_class_bias: &seen_class_bias,
                threshold: None,
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
        let mut masks = masks([64, 64], 64, 53, 8, 5);
        let decoding = Decoding {
            resized: [64, 64],
            output: [64, 64],
            activation: MaskActivation::Softmax,
            seen_class_bias: &[0.1, 0.1, 0.0, 0.1, 0.0],
            threshold: None,
            scores: false,
        };
        let labels = decode(&masks, &decoding).labels;
        for value in masks.iter_mut().flat_map(|mask| &mut mask.values) {
            *value += 64.0;
        }
        assert_eq!(labels.as_raw(), decode(&masks, &decoding).labels.as_raw());
        let sigmoid = Decoding {
            activation: MaskActivation::Sigmoid,
            ..decoding
        };
        let labels = decode(&masks, &sigmoid).labels;
        assert!(labels.as_raw().iter().all(|label| *label == 2), "every σ is 1");
    }

    #[test]
    fn masks_that_are_no_numbers_give_a_class_that_there_is() {
        let mut masks = masks([64, 90], 64, 53, 8, 5);
        masks.iter_mut().for_each(|mask| mask.values.fill(f32::NAN));
        let decoding = Decoding {
            resized: [64, 90],
            output: [40, 60],
            activation: MaskActivation::Sigmoid,
            seen_class_bias: &[0.0; 5],
            threshold: None,
            scores: false,
        };
        let labels = decode(&masks, &decoding).labels;
        assert!(labels.as_raw().iter().all(|label| *label == 0));
    }

    #[test]
    fn the_first_of_equal_scores_wins() {
        let first_maximum = |scores: &[f32]| first_maximum(&in_lanes(scores, scores.len(), NO_CLASS));
        assert_eq!(first_maximum(&[0.1, 0.7, 0.7]), (1, 0.7));
        let mut many = vec![0.0; 41];
        many[20] = 1.0;
        many[39] = 1.0;
        assert_eq!(first_maximum(&many), (20, 1.0));
    }
}
