//! Mask decoding on GPUs in one pass, where a composition needs several arrays `[classes, rows, columns]`.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    reason = "the code that `#[cube]` generates"
)]

use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::{Cube, DType, TensorMetadata};
use burn::tensor::TensorData;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use super::{MaskDecodingOperator, MaskLayout, composed};
use crate::cube::bilinear::{Tap, sample};
use crate::cube::{empty, units};
use crate::quick_gelu::cube::logistic;

impl MaskDecodingOperator for Cube {
    fn decode(masks: CubeTensor, layout: MaskLayout) -> CubeTensor {
        if masks.shape().num_elements() == 0 {
            return composed::decode::<Self>(masks, &layout);
        }
        let device = masks.device();
        let origins: Vec<i32> = layout.origins.as_flattened().iter().map(|at| *at as i32).collect();
        let origins = Self::int_from_data(TensorData::new(origins, [layout.origins.len(), 2]), &device);
        let classes = layout.seen_class_bias.len();
        let seen_class_bias =
            Self::float_from_data(TensorData::new(layout.seen_class_bias.clone(), [classes]), &device);
        // Classes last, so that a unit reads several at once.
        let masks = Self::float_permute(masks, &[0, 2, 3, 1]);
        decode_masks(masks, origins, seen_class_bias, &layout)
    }
}

/// Classes that a unit computes at once.
const LANES: usize = 4;
/// Below every score.
const LOWEST: f32 = -1e30;
/// Beyond ±87, σ is 0 or 1 in f32.
const SATURATED: f32 = 87.0;

type Scores = Vector<f32, Const<LANES>>;

/// Lengths along one axis.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Axis {
    /// Of a mask, in patches.
    cells: usize,
    /// Of a window.
    window: usize,
    /// Of the resized image that the windows cover.
    resized: usize,
    /// Of the labels.
    output: usize,
}

/// Masks `[windows, cells, cells, classes]` and the origins of the windows, `[windows, 2]`.
#[derive(CubeType, CubeLaunch)]
struct Masks {
    values: Box<[f32]>,
    origins: Box<[i32]>,
    windows: usize,
    classes: usize,
}

#[cube]
impl Masks {
    /// Logits of some classes in one cell.
    fn cell(&self, cell: usize, class: usize, #[comptime] whole: bool) -> Scores {
        let start = cell * self.classes + class;
        let mut logits = Scores::new(0.0f32);
        #[unroll]
        for lane in 0..LANES {
            if whole || class + lane < self.classes {
                logits.insert(lane, self.values[start + lane]);
            }
        }
        logits
    }

    /// Mean over the windows of σ of some classes' masks, at a pixel of the resized image.
    fn scores(
        &self,
        y: usize,
        x: usize,
        class: usize,
        vertical: &Axis,
        horizontal: &Axis,
        #[comptime] whole: bool,
    ) -> Scores {
        let mut sum = Scores::new(0.0f32);
        let mut count = 0.0f32;
        for window in 0..self.windows {
            let top = u32::cast_from(self.origins[window * 2]) as usize;
            let left = u32::cast_from(self.origins[window * 2 + 1]) as usize;
            if y >= top && y < top + vertical.window && x >= left && x < left + horizontal.window {
                let down = sample(y - top, vertical.cells, vertical.window);
                let along = sample(x - left, horizontal.cells, horizontal.window);
                let upper = (window * vertical.cells + down.low) * horizontal.cells;
                let lower = (window * vertical.cells + down.high) * horizontal.cells;
                let left = blend(
                    self.cell(upper + along.low, class, whole),
                    self.cell(lower + along.low, class, whole),
                    down.fraction,
                );
                let right = blend(
                    self.cell(upper + along.high, class, whole),
                    self.cell(lower + along.high, class, whole),
                    down.fraction,
                );
                sum += sigmoid(blend(left, right, along.fraction));
                count += 1.0f32;
            }
        }
        sum * Scores::new(1.0f32 / count.max(1.0f32))
    }
}

#[cube]
fn blend(low: Scores, high: Scores, fraction: f32) -> Scores {
    low * Scores::new(1.0f32 - fraction) + high * Scores::new(fraction)
}

#[cube]
fn sigmoid(logits: Scores) -> Scores {
    let mut scores = Scores::new(0.0f32);
    #[unroll]
    for lane in 0..LANES {
        scores.insert(lane, logistic(logits.extract(lane).clamp(-SATURATED, SATURATED)));
    }
    scores
}

/// A unit for each pixel of the output: its best class and score are written to `decoded`, `[2, rows, columns]`.
#[cube(launch)]
fn decode(
    masks: &Masks,
    seen_class_bias: &[f32],
    decoded: &mut [f32],
    vertical: Axis,
    horizontal: Axis,
    #[comptime] whole: bool,
) {
    let pixel = ABSOLUTE_POS;
    let pixels = vertical.output * horizontal.output;
    if pixel >= pixels {
        terminate!();
    }
    let down = sample(pixel / horizontal.output, vertical.resized, vertical.output);
    let along = sample(pixel % horizontal.output, horizontal.resized, horizontal.output);
    let mut best = LOWEST.runtime();
    let mut winner = 0usize;
    let mut class = 0usize;
    while class < masks.classes {
        let mut scores = Scores::new(0.0f32);
        #[unroll]
        for corner in 0..4usize {
            let (y, weight_y) = side(&down, comptime!(corner / 2));
            let (x, weight_x) = side(&along, comptime!(corner % 2));
            let weight = weight_y * weight_x;
            // Without a resize the second row and column have no weight.
            if weight > 0.0f32 {
                scores += masks.scores(y, x, class, &vertical, &horizontal, whole) * Scores::new(weight);
            }
        }
        #[unroll]
        for lane in 0..LANES {
            if whole || class + lane < masks.classes {
                let score = scores.extract(lane) - seen_class_bias[class + lane];
                if score > best {
                    best = score;
                    winner = class + lane;
                }
            }
        }
        class += LANES;
    }
    decoded[pixel] = f32::cast_from(winner as u32);
    decoded[pixels + pixel] = best;
}

/// The first or second sample of a tap, and its weight.
#[cube]
fn side(tap: &Tap, #[comptime] second: usize) -> (usize, f32) {
    if comptime!(second == 1) {
        (tap.high, tap.fraction)
    } else {
        (tap.low, 1.0f32 - tap.fraction)
    }
}

/// Best class and its score `[2, rows, columns]` of masks `[windows, height, width, classes]` in f32; `origins` are
/// `[windows, 2]` in i32, `seen_class_bias` `[classes]`. No extent is zero.
fn decode_masks(
    masks: CubeTensor,
    origins: CubeTensor,
    seen_class_bias: CubeTensor,
    layout: &MaskLayout,
) -> CubeTensor {
    let masks = into_contiguous(masks);
    let [windows, height, width, classes] = masks.meta.shape().dims::<4>();
    let [rows, columns] = layout.output;
    let decoded = empty(&masks, [2, rows, columns], DType::F32);
    let axis = |cells: usize, index: usize| {
        AxisLaunch::new(cells, layout.window[index], layout.resized[index], layout.output[index])
    };
    let client = masks.client.clone();
    let (count, dim) = units(&masks, rows * columns);
    decode::launch(
        &client,
        count,
        dim,
        MasksLaunch::new(
            masks.into_buffer_arg(),
            into_contiguous(origins).into_buffer_arg(),
            windows,
            classes,
        ),
        into_contiguous(seen_class_bias).into_buffer_arg(),
        decoded.clone().into_buffer_arg(),
        axis(height, 0),
        axis(width, 1),
        classes.is_multiple_of(LANES),
    );
    decoded
}
