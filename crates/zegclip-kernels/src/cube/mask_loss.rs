//! Focal and dice loss of upsampled masks without any array of the image's size: a composition passes some thirty times over
//! `[batch, classes, rows, columns]`.

use burn::backend::ops::FloatTensorOps;
use burn::backend::{Cube, DType};
use burn::tensor::Shape;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use super::bilinear::{position, scale, tap};
use super::{UNITS, cube_index, cube_sum, cubes, elementwise, empty};
use crate::mask_loss::MaskLossResult;

/// Rows of an image that a cube sums over.
const ROWS: usize = 32;
/// Sums that are kept of each mask: focal loss, probability of the class's own pixels, of all pixels, number of own pixels.
const SUMS: usize = 4;

/// The upsampled logit of a pixel.
#[cube]
fn logit(masks: &[f32], start: usize, height: usize, width: usize, at_y: f32, at_x: f32) -> f32 {
    let down = tap(at_y, height);
    let along = tap(at_x, width);
    let first = masks[start + down.low * width + along.low];
    let second = masks[start + down.low * width + along.high];
    let third = masks[start + down.high * width + along.low];
    let fourth = masks[start + down.high * width + along.high];
    let upper = first + along.fraction * (second - first);
    let lower = third + along.fraction * (fourth - third);
    upper + down.fraction * (lower - upper)
}

/// Probability of what the target does not say, and `ln(1 + eˢ)` of its logit s.
#[cube]
fn doubt_and_surprise(against: f32) -> (f32, f32) {
    let e = (-against.abs()).exp();
    let large = 1.0f32 / (1.0f32 + e);
    let mut doubt = e * large;
    if against > 0.0f32 {
        doubt = large;
    }
    (doubt, against.max(0.0f32) + e.log1p())
}

/// Weight of a pixel in the focal loss: `alpha` if it is the class's own, else the rest.
#[cube]
fn focal_weight(own: f32, alpha: f32) -> f32 {
    (1.0f32 - alpha) + own * (2.0f32 * alpha - 1.0f32)
}

/// Sums over some rows of a mask: a cube for each stripe of each mask, `sums` being `[batch · classes, stripes, 4]`.
#[cube(launch)]
fn sum_stripes(
    masks: &[f32],
    labels: &[i32],
    sums: &mut [f32],
    classes: usize,
    height: usize,
    width: usize,
    rows: usize,
    columns: usize,
    alpha: f32,
    #[comptime] stripe_rows: usize,
) {
    let stripes = rows.div_ceil(stripe_rows.runtime());
    let cube = cube_index();
    let slot = cube * 4usize;
    // The same for all units of a cube.
    if slot >= sums.len() {
        terminate!();
    }
    let mask = cube / stripes;
    let class = mask % classes;
    let first_row = (cube % stripes) * stripe_rows;
    let last_row = (first_row + stripe_rows).min(rows);
    let down = scale(height, rows);
    let along = scale(width, columns);
    let mut focal = 0.0f32;
    let mut common = 0.0f32;
    let mut total = 0.0f32;
    let mut count = 0.0f32;
    let mut pixel = first_row * columns + UNIT_POS as usize;
    while pixel < last_row * columns {
        let at_y = position(pixel / columns, down);
        let at_x = position(pixel % columns, along);
        let logit = logit(masks, mask * height * width, height, width, at_y, at_x);
        let label = labels[(mask / classes) * rows * columns + pixel];
        let mut own = 0.0f32;
        if label == i32::cast_from(class as u32) {
            own = 1.0f32;
        }
        let sign = 1.0f32 - 2.0f32 * own;
        let (doubt, surprise) = doubt_and_surprise(sign * logit);
        let weight = focal_weight(own, alpha);
        focal += weight * doubt * doubt * surprise;
        let probability = own + sign * doubt;
        common += own * probability;
        total += probability;
        count += own;
        pixel += UNITS.runtime() as usize;
    }
    let mut shared = Shared::new_slice(UNITS as usize);
    let focal = cube_sum(focal, &mut shared);
    let common = cube_sum(common, &mut shared);
    let total = cube_sum(total, &mut shared);
    let count = cube_sum(count, &mut shared);
    if UNIT_POS == 0 {
        sums[slot] = focal;
        sums[slot + 1] = common;
        sums[slot + 2] = total;
        sums[slot + 3] = count;
    }
}

/// Gradients of both losses, a unit for each cell of a mask: it gathers from the pixels that the cell had a share in.
#[cube(launch)]
fn gather_gradients(
    masks: &[f32],
    labels: &[i32],
    sums: &[f32],
    focal_gradient: &mut [f32],
    dice_gradient: &mut [f32],
    classes: usize,
    height: usize,
    width: usize,
    rows: usize,
    columns: usize,
    alpha: f32,
) {
    let cell = ABSOLUTE_POS;
    if cell >= focal_gradient.len() {
        terminate!();
    }
    let mask = cell / (height * width);
    let y = cell / width % height;
    let x = cell % width;
    let class = i32::cast_from((mask % classes) as u32);
    let down = scale(height, rows);
    let along = scale(width, columns);
    let mut focal = 0.0f32;
    let mut slopes = 0.0f32;
    let mut own_slopes = 0.0f32;
    let first_row = first_sample(y, down);
    let last_row = last_sample(y, down, rows, height);
    let first_column = first_sample(x, along);
    let last_column = last_sample(x, along, columns, width);
    for row in first_row..last_row {
        let at_y = position(row, down);
        let share_y = share_of(at_y, y, height);
        for column in first_column..last_column {
            let at_x = position(column, along);
            let share = share_y * share_of(at_x, x, width);
            if share > 0.0f32 {
                let logit = logit(masks, mask * height * width, height, width, at_y, at_x);
                let mut own = 0.0f32;
                if labels[(mask / classes * rows + row) * columns + column] == class {
                    own = 1.0f32;
                }
                let sign = 1.0f32 - 2.0f32 * own;
                let (doubt, surprise) = doubt_and_surprise(sign * logit);
                let trust = 1.0f32 - doubt;
                let weight = focal_weight(own, alpha);
                let steep = 2.0f32 * trust * surprise + doubt;
                focal += share * sign * weight * doubt * doubt * steep;
                let slope = share * doubt * trust;
                slopes += slope;
                own_slopes += own * slope;
            }
        }
    }
    focal_gradient[cell] = focal / f32::cast_from((rows * columns) as u32);
    // Dice: 1 − numerator / denominator where the class is present.
    let count = sums[mask * 4 + 3];
    let numerator = 2.0f32 * sums[mask * 4 + 1] + 1.0f32;
    let denominator = sums[mask * 4 + 2] + count + 1.0f32;
    let mut dice = 0.0f32;
    if count > 0.0f32 {
        dice = numerator / (denominator * denominator) * slopes - 2.0f32 / denominator * own_slopes;
    }
    dice_gradient[cell] = dice;
}

/// Weight that a cell has in the sample at a position.
#[cube]
fn share_of(position: f32, cell: usize, cells: usize) -> f32 {
    let tap = tap(position, cells);
    let mut share = 0.0f32;
    if cell == tap.low {
        share += 1.0f32 - tap.fraction;
    }
    if cell == tap.high {
        share += tap.fraction;
    }
    share
}

/// A sample before which none reaches a cell; a little early, since positions are rounded.
#[cube]
fn first_sample(cell: usize, scale: f32) -> usize {
    let before = (f32::cast_from(cell as u32) - 0.5f32) / scale - 2.0f32;
    u32::cast_from(before.max(0.0f32)) as usize
}

/// One behind the last sample that reaches a cell, or later.
#[cube]
fn last_sample(cell: usize, scale: f32, samples: usize, cells: usize) -> usize {
    let after = (f32::cast_from(cell as u32) + 1.5f32) / scale + 2.0f32;
    let mut last = (u32::cast_from(after) as usize).min(samples);
    // What lies beyond the last cell repeats it.
    if cell + 1 == cells {
        last = samples;
    }
    last
}

/// Losses of masks `[batch, classes, height, width]` in f32 against labels `[batch, rows, columns]` in i32; none of the extents
/// is zero.
pub(crate) fn mask_losses(masks: CubeTensor, labels: CubeTensor, alpha: f32, gradients: bool) -> MaskLossResult<Cube> {
    let (masks, labels) = (into_contiguous(masks), into_contiguous(labels));
    let [batch, classes, height, width] = masks.meta.shape().dims::<4>();
    let [_, rows, columns] = labels.meta.shape().dims::<3>();
    let stripes = rows.div_ceil(ROWS);
    let sums = empty(&masks, [batch * classes, stripes, SUMS], DType::F32);
    sum_stripes::launch(
        &masks.client,
        cubes(batch * classes * stripes),
        CubeDim::new_1d(UNITS),
        masks.clone().into_buffer_arg(),
        labels.clone().into_buffer_arg(),
        sums.clone().into_buffer_arg(),
        classes,
        height,
        width,
        rows,
        columns,
        alpha,
        ROWS,
    );
    let sums = Cube::float_reshape(Cube::float_sum_dim(sums, 1), Shape::new([batch * classes, SUMS]));
    let losses = losses(&sums, batch * classes, (rows * columns) as f64);
    let gradients = gradients.then(|| {
        let [focal, dice] = [0, 1].map(|_| empty(&masks, masks.meta.shape().clone(), DType::F32));
        let (count, dim) = elementwise(&masks);
        let client = masks.client.clone();
        gather_gradients::launch(
            &client,
            count,
            dim,
            masks.into_buffer_arg(),
            labels.into_buffer_arg(),
            into_contiguous(sums).into_buffer_arg(),
            focal.clone().into_buffer_arg(),
            dice.clone().into_buffer_arg(),
            classes,
            height,
            width,
            rows,
            columns,
            alpha,
        );
        [focal, dice]
    });
    MaskLossResult { losses, gradients }
}

/// Focal and dice loss `[2]` from the sums `[masks, 4]`.
fn losses(sums: &CubeTensor, masks: usize, pixels: f64) -> CubeTensor {
    let column = |index: usize| {
        let slices = [(0..masks).into(), (index..index + 1).into()];
        Cube::float_slice(sums.clone(), &slices)
    };
    let plus_one = |values| Cube::float_add_scalar(values, 1.0.into());
    let focal = Cube::float_mul_scalar(Cube::float_sum(column(0)), (1.0 / pixels).into());
    let numerator = plus_one(Cube::float_mul_scalar(column(1), 2.0.into()));
    let denominator = plus_one(Cube::float_add(column(2), column(3)));
    let loss = plus_one(Cube::float_neg(Cube::float_div(numerator, denominator)));
    let present = Cube::float_clamp_max(column(3), 1.0.into());
    let dice = Cube::float_sum(Cube::float_mul(loss, present));
    let losses = [focal, dice].map(|loss| Cube::float_reshape(loss, Shape::new([1])));
    Cube::float_cat(losses.into(), 0)
}
