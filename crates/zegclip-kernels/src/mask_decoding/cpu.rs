//! Mask decoding on the CPU: window masks at patch grid to labels, in one pass over the rows of the output.
//!
//! A row of class scores is computed when an output row needs it and dropped afterwards: no array `[classes, height, width]` of
//! upsampled masks, averaged scores or resized scores exists. Memory is `classes · columns` per thread. The code works on groups of
//! classes, which the compiler turns into the vector instructions of each kind of CPU.

use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

use super::names::{NameDecoding, NamePlanes, NameSoftmax, WindowCosines};
use super::{DecodedMasks, MaskActivation, MaskDecoding, NO_CLASS, WindowMasks};
use crate::bilinear::{Tap, bilinear_taps};

/// Output rows that share their rows of scores.
const CHUNK_ROWS: usize = 24;

/// Classes that are computed together.
const LANES: usize = 8;
/// Mask of the padding lanes: its σ and softmax are zero.
const PADDING: f32 = -1e30;

/// Values of some classes of one pixel.
type Lanes = [f32; LANES];

/// [`decode_window_masks`](super::decode_window_masks)
pub(super) fn decode(masks: &[WindowMasks], decoding: &MaskDecoding<'_>) -> DecodedMasks {
    let classes = decoding.seen_class_bias.len();
    let plan = Plan {
        accumulation: match decoding.activation {
            MaskActivation::Sigmoid => Accumulation::Sigmoid,
            MaskActivation::Softmax => Accumulation::Softmax,
        },
        finish: Finish::Best {
            min_score: decoding.min_score,
        },
        output: decoding.output,
        resized_columns: decoding.resized[1],
        scored: classes,
        groups: classes.div_ceil(LANES),
        seen_class_bias: in_lanes(decoding.seen_class_bias, classes, -PADDING),
        windows: masks
            .iter()
            .map(|mask| WindowPlan::new(mask, mask.size, [0; 2], classes))
            .collect(),
        rows: bilinear_taps(decoding.resized[0], decoding.output[0]).collect(),
        columns: bilinear_taps(decoding.resized[1], decoding.output[1]).collect(),
    };
    plan.decode(if decoding.scores { classes } else { 0 })
}

/// [`decode_names`](super::decode_names) without the pass that counts pixels; `dropped` are the classes that have none.
pub(super) fn decode_names(windows: &[WindowCosines], decoding: &NameDecoding<'_>, dropped: &[bool]) -> DecodedMasks {
    let (names, classes) = (decoding.class_of_name.len(), decoding.classes());
    let plan = Plan {
        accumulation: Accumulation::Plain,
        finish: Finish::Names { decoding, dropped },
        output: decoding.output,
        resized_columns: decoding.resized[1],
        scored: names,
        groups: names.div_ceil(LANES),
        seen_class_bias: vec![[0.0; LANES]; names.div_ceil(LANES)],
        windows: windows
            .iter()
            .map(|window| WindowPlan::new(&window.masks, window.spanned, window.offset, names))
            .collect(),
        rows: bilinear_taps(decoding.resized[0], decoding.output[0]).collect(),
        columns: bilinear_taps(decoding.resized[1], decoding.output[1]).collect(),
    };
    plan.decode(match decoding.planes {
        NamePlanes::None => 0,
        NamePlanes::Cosines => names,
        NamePlanes::Probabilities => classes,
    })
}

/// What a window adds to the sum of a pixel.
#[derive(Debug, Clone, Copy)]
enum Accumulation {
    Sigmoid,
    Softmax,
    Plain,
}

/// What becomes of the scores of a pixel of the output.
enum Finish<'a> {
    /// The class with the best score, if it reaches the minimum.
    Best { min_score: Option<f32> },
    /// The class with the best name.
    Names {
        decoding: &'a NameDecoding<'a>,
        dropped: &'a [bool],
    },
}

/// What all rows share.
struct Plan<'a> {
    accumulation: Accumulation,
    finish: Finish<'a>,
    output: [usize; 2],
    resized_columns: usize,
    /// Classes or names that are scored.
    scored: usize,
    /// Groups of them.
    groups: usize,
    /// Bias of each class; so large in padding lanes that they never win.
    seen_class_bias: Vec<Lanes>,
    windows: Vec<WindowPlan>,
    /// Taps of the output in the resized image.
    rows: Vec<Tap>,
    columns: Vec<Tap>,
}

/// Masks of one window and the taps of its pixels.
struct WindowPlan {
    origin: [usize; 2],
    size: [usize; 2],
    /// Patches of a row of the grid.
    grid_columns: usize,
    /// `[height, width, groups]`
    values: Vec<Lanes>,
    rows: Vec<Tap>,
    columns: Vec<Tap>,
}

/// Scratch space for the names of a pixel.
#[derive(Default)]
struct NameScratch {
    exponentials: Vec<Lanes>,
    by_class: Vec<f32>,
}

/// A row of the resized image: `[columns, groups]`.
#[derive(Default)]
struct ScoreRow {
    row: Option<usize>,
    values: Vec<Lanes>,
}

impl WindowPlan {
    /// The grid spans `spanned` pixels, and the window starts at `offset` in them.
    fn new(mask: &WindowMasks, spanned: [usize; 2], offset: [usize; 2], scored: usize) -> Self {
        let taps = |axis: usize| {
            bilinear_taps(mask.grid[axis], spanned[axis])
                .skip(offset[axis])
                .take(mask.size[axis])
                .collect()
        };
        Self {
            origin: mask.origin,
            size: mask.size,
            grid_columns: mask.grid[1],
            values: in_lanes(&mask.values, scored, PADDING),
            rows: taps(0),
            columns: taps(1),
        }
    }
}

impl Plan<'_> {
    /// Decodes all rows, with that many planes beside the labels.
    fn decode(&self, planes: usize) -> DecodedMasks {
        let [height, width] = self.output;
        let arch = Arch::new();
        let decode_rows = |chunk: usize, labels: &mut [u16], planes: Vec<&mut [f32]>| {
            arch.dispatch(Rows {
                plan: self,
                first: chunk * CHUNK_ROWS,
                labels,
                planes,
            });
        };
        let mut labels = vec![NO_CLASS; height * width];
        if planes == 0 {
            labels
                .par_chunks_mut(CHUNK_ROWS * width)
                .enumerate()
                .for_each(|(chunk, labels)| decode_rows(chunk, labels, Vec::new()));
            return DecodedMasks { labels, scores: None };
        }
        let mut scores = vec![0f32; planes * height * width];
        // Rows of one plane are contiguous: every chunk has its own slice of each plane.
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
        DecodedMasks {
            labels,
            scores: Some(scores),
        }
    }

    /// Decodes the rows of `labels`, the first of which is `first`.
    #[inline(always)]
    fn decode_rows(&self, first: usize, labels: &mut [u16], mut planes: Vec<&mut [f32]>) {
        let width = self.output[1];
        let groups = self.groups;
        let (mut low, mut high) = (ScoreRow::default(), ScoreRow::default());
        let mut line = Vec::new();
        let mut blended = Vec::new();
        let mut pixel = vec![[0f32; LANES]; groups];
        let mut scratch = NameScratch::default();
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
                let place = index * width + x;
                *label = match self.finish {
                    Finish::Best { min_score } => {
                        write_planes(&mut planes, place, scores.as_flattened());
                        let (class, best) = first_maximum(scores);
                        // If every score is NaN, a padding lane is the best.
                        let class = if class < self.scored { class } else { 0 };
                        let kept = min_score.is_none_or(|minimum| best >= minimum);
                        if kept { class as u16 } else { NO_CLASS }
                    }
                    Finish::Names { decoding, dropped } => {
                        label_of_names(scores, decoding, dropped, &mut scratch, &mut planes, place)
                    }
                };
            }
        }
    }

    /// Computes the scores of one row of the resized image.
    #[inline(always)]
    fn fill(&self, row: usize, into: &mut ScoreRow, line: &mut Vec<Lanes>) {
        let (columns, groups) = (self.resized_columns, self.groups);
        into.row = Some(row);
        into.values.clear();
        into.values.resize(columns * groups, [0.0; LANES]);
        let mut windows_at = vec![0u32; columns];
        let mut pixel = vec![[0f32; LANES]; groups];
        for plan in &self.windows {
            let ([top, left], [height, width]) = (plan.origin, plan.size);
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
                match self.accumulation {
                    Accumulation::Sigmoid => {
                        for (scores, (low, high)) in scores.iter_mut().zip(low.iter().zip(high)) {
                            let mut sum = *scores;
                            let logits = between(*low, *high, tap.fraction);
                            for lane in 0..LANES {
                                sum[lane] += sigmoid(logits[lane]);
                            }
                            *scores = sum;
                        }
                    }
                    Accumulation::Plain => {
                        blend(&mut pixel, low, high, tap.fraction);
                        for (sum, value) in scores.as_flattened_mut().iter_mut().zip(pixel.as_flattened()) {
                            *sum += *value;
                        }
                    }
                    Accumulation::Softmax => {
                        blend(&mut pixel, low, high, tap.fraction);
                        add_softmax(scores, &mut pixel);
                    }
                }
            }
        }
        for (scores, &windows) in into.values.chunks_exact_mut(groups).zip(&windows_at) {
            let share = 1.0 / windows.max(1) as f32;
            for (scores, bias) in scores.iter_mut().zip(&self.seen_class_bias) {
                let mut adjusted = *scores;
                for lane in 0..LANES {
                    adjusted[lane] = adjusted[lane] * share - bias[lane];
                }
                *scores = adjusted;
            }
        }
    }
}

/// Rows of the output. All of its calls are inlined, since only inlined code is compiled for the CPU's instructions.
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

/// The first values of one pixel into as many planes.
#[inline(always)]
fn write_planes(planes: &mut [&mut [f32]], place: usize, values: &[f32]) {
    for (plane, value) in planes.iter_mut().zip(values) {
        plane[place] = *value;
    }
}

/// The class of a pixel from the cosines of its names, and its planes.
#[inline(always)]
fn label_of_names(
    cosines: &[Lanes],
    decoding: &NameDecoding<'_>,
    dropped: &[bool],
    scratch: &mut NameScratch,
    planes: &mut [&mut [f32]],
    place: usize,
) -> u16 {
    let class_of = decoding.class_of_name;
    let is_dropped = |class: u16| dropped.get(usize::from(class)).copied().unwrap_or(false);
    let (best, largest) = first_maximum(cosines);
    let values = cosines.as_flattened();
    let mut winner = if best < class_of.len() { best } else { 0 };
    if class_of.get(winner).is_some_and(|class| is_dropped(*class)) {
        // Class 0 is never dropped.
        let kept = (0..class_of.len()).filter(|name| !is_dropped(class_of[*name]));
        winner = kept.fold(0, |best, name| if values[name] > values[best] { name } else { best });
    }
    let Some(label) = class_of.get(winner).copied() else {
        return NO_CLASS;
    };
    if decoding.planes == NamePlanes::Cosines {
        write_planes(planes, place, values);
    }
    let with_planes = decoding.planes == NamePlanes::Probabilities;
    if decoding.min_probability.is_none() && !with_planes {
        return label;
    }
    scratch.exponentials.resize(cosines.len(), [0.0; LANES]);
    for (exponentials, cosines) in scratch.exponentials.iter_mut().zip(cosines) {
        for lane in 0..LANES {
            exponentials[lane] = exponential((cosines[lane] - largest) * decoding.logit_scale);
        }
    }
    let exponentials = &scratch.exponentials.as_flattened()[..class_of.len()];
    scratch.by_class.clear();
    scratch.by_class.resize(decoding.classes(), 0.0);
    for (class, exponential) in class_of.iter().zip(exponentials) {
        let of_class = &mut scratch.by_class[usize::from(*class)];
        *of_class = of_class.max(*exponential);
    }
    let sum: f32 = match decoding.softmax {
        NameSoftmax::OverNames => exponentials.iter().sum(),
        NameSoftmax::OverClasses => scratch.by_class.iter().sum(),
    };
    let probability = scratch.by_class[usize::from(label)] / sum;
    if with_planes {
        for (class, (plane, value)) in (0..).zip(planes.iter_mut().zip(&scratch.by_class)) {
            plane[place] = if is_dropped(class) { 0.0 } else { *value / sum };
        }
    }
    match decoding.min_probability {
        Some(minimum) if probability < minimum => decoding.below,
        _ => label,
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

/// By value, as every function of lanes: the compiler need not prove that references do not overlap.
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
/// there. Uses only operations that compilers vectorize.
#[inline(always)]
fn exponential(x: f32) -> f32 {
    // exp(x) = 2^n · 2^part with |part| ≤ 1/2.
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
mod tests;
