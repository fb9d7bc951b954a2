//! Labels of pixels from masks at patch grid: a composition keeps several arrays `[classes, rows, columns]`.

use burn::backend::DType;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use super::bilinear::{Tap, sample};
use super::quick_gelu::logistic;
use super::{empty, units};
use crate::mask_decoding::MaskLayout;

/// Classes that a unit has at once.
const LANES: usize = 4;
/// Below every score.
const LOWEST: f32 = -1e30;
/// σ is 0 or 1 to all digits of an f32 beyond.
const SATURATED: f32 = 87.0;

type Scores = Vector<f32, Const<LANES>>;

/// Lengths along one axis.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Axis {
    /// Of a mask, in patches.
    cells: usize,
    /// Of a window.
    window: usize,
    /// Of the image that windows lie over.
    resized: usize,
    /// Of the photo.
    output: usize,
}

/// Masks `[windows, cells, cells, classes]` and where the windows begin, `[windows, 2]`.
#[derive(CubeType, CubeLaunch)]
struct Masks {
    values: Box<[f32]>,
    places: Box<[i32]>,
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
            let top = u32::cast_from(self.places[window * 2]) as usize;
            let left = u32::cast_from(self.places[window * 2 + 1]) as usize;
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

/// A unit for each pixel of the photo: its best class and that one's score into `decoded`, `[2, rows, columns]`.
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
            let (y, share_y) = side(&down, comptime!(corner / 2));
            let (x, share_x) = side(&along, comptime!(corner % 2));
            let share = share_y * share_x;
            // A photo that was not resized needs no second row or column.
            if share > 0.0f32 {
                scores += masks.scores(y, x, class, &vertical, &horizontal, whole) * Scores::new(share);
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

/// Best class and its score `[2, rows, columns]` of masks `[windows, height, width, classes]` in f32; `places` are
/// `[windows, 2]` in i32, `seen_class_bias` `[classes]`. No extent is zero.
pub(crate) fn decode_masks(
    masks: CubeTensor,
    places: CubeTensor,
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
            into_contiguous(places).into_buffer_arg(),
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
