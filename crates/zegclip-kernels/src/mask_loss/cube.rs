//! Focal and dice loss of upsampled masks on GPUs, without an array `[batch, classes, rows, columns]`, over which a composition
//! passes some thirty times.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::pedantic,
    reason = "the code that `#[cube]` generates"
)]

use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::{Cube, DType, TensorMetadata};
use burn::tensor::{Shape, TensorData};
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use super::{LabelMaps, MaskLossKernel, MaskLossResult, composed};
use crate::cube::bilinear::{position, scale, tap};
use crate::cube::{UNITS, cube_index, cube_sum, cubes, elementwise, empty};

/// Rows of an image that a cube sums over.
const ROWS: usize = 32;
/// Sums of each mask: focal loss, probability of the target's pixels, of all pixels, number of the target's pixels.
const SUMS: usize = 4;

impl MaskLossKernel for Cube {
    fn loss_result(masks: CubeTensor, labels: &LabelMaps, alpha: f64, gradients: bool) -> MaskLossResult<Self> {
        let indices: Vec<i32> = labels.labels().iter().map(|label| i32::from(*label)).collect();
        if masks.shape().num_elements() == 0 || indices.is_empty() {
            return composed::loss_result::<Self>(masks, labels, alpha, gradients);
        }
        let indices = Self::int_from_data(TensorData::new(indices, labels.shape()), &masks.device());
        mask_losses(masks, indices, alpha as f32, gradients)
    }
}

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

/// `1 − p_t = σ(s)` and `−ln p_t = ln(1 + eˢ)` of the signed logit s, which is positive where the mask is wrong.
#[cube]
fn one_minus_pt_and_nll(signed_logit: f32) -> (f32, f32) {
    let e = (-signed_logit.abs()).exp();
    let large = 1.0f32 / (1.0f32 + e);
    let mut one_minus_pt = e * large;
    if signed_logit > 0.0f32 {
        one_minus_pt = large;
    }
    (one_minus_pt, signed_logit.max(0.0f32) + e.log1p())
}

/// Weight of a pixel in the focal loss: `alpha` if it has the class, else `1 − alpha`.
#[cube]
fn focal_weight(target: f32, alpha: f32) -> f32 {
    (1.0f32 - alpha) + target * (2.0f32 * alpha - 1.0f32)
}

/// Sums over stripes of rows, a cube for each stripe of each mask: `sums` is `[batch · classes, stripes, 4]`.
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
    // Uniform over the units of a cube.
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
    let mut intersection = 0.0f32;
    let mut total = 0.0f32;
    let mut count = 0.0f32;
    let mut pixel = first_row * columns + UNIT_POS as usize;
    while pixel < last_row * columns {
        let at_y = position(pixel / columns, down);
        let at_x = position(pixel % columns, along);
        let logit = logit(masks, mask * height * width, height, width, at_y, at_x);
        let label = labels[(mask / classes) * rows * columns + pixel];
        let mut target = 0.0f32;
        if label == i32::cast_from(class as u32) {
            target = 1.0f32;
        }
        let sign = 1.0f32 - 2.0f32 * target;
        let (one_minus_pt, nll) = one_minus_pt_and_nll(sign * logit);
        let weight = focal_weight(target, alpha);
        focal += weight * one_minus_pt * one_minus_pt * nll;
        let probability = target + sign * one_minus_pt;
        intersection += target * probability;
        total += probability;
        count += target;
        pixel += UNITS.runtime() as usize;
    }
    let mut shared = Shared::new_slice(UNITS as usize);
    let focal = cube_sum(focal, &mut shared);
    let intersection = cube_sum(intersection, &mut shared);
    let total = cube_sum(total, &mut shared);
    let count = cube_sum(count, &mut shared);
    if UNIT_POS == 0 {
        sums[slot] = focal;
        sums[slot + 1] = intersection;
        sums[slot + 2] = total;
        sums[slot + 3] = count;
    }
}

/// Gradients of both losses, a unit for each cell of a mask: it gathers from all pixels that the cell has a weight in.
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
    let mut dsigmoid_sum = 0.0f32;
    let mut target_dsigmoid_sum = 0.0f32;
    let first_row = first_sample(y, down);
    let last_row = last_sample(y, down, rows, height);
    let first_column = first_sample(x, along);
    let last_column = last_sample(x, along, columns, width);
    for row in first_row..last_row {
        let at_y = position(row, down);
        let weight_y = cell_weight(at_y, y, height);
        for column in first_column..last_column {
            let at_x = position(column, along);
            let weight_yx = weight_y * cell_weight(at_x, x, width);
            if weight_yx > 0.0f32 {
                let logit = logit(masks, mask * height * width, height, width, at_y, at_x);
                let mut target = 0.0f32;
                if labels[(mask / classes * rows + row) * columns + column] == class {
                    target = 1.0f32;
                }
                let sign = 1.0f32 - 2.0f32 * target;
                let (one_minus_pt, nll) = one_minus_pt_and_nll(sign * logit);
                let pt = 1.0f32 - one_minus_pt;
                let weight = focal_weight(target, alpha);
                let dfocal = 2.0f32 * pt * nll + one_minus_pt;
                focal += weight_yx * sign * weight * one_minus_pt * one_minus_pt * dfocal;
                let dsigmoid = weight_yx * one_minus_pt * pt;
                dsigmoid_sum += dsigmoid;
                target_dsigmoid_sum += target * dsigmoid;
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
        dice = numerator / (denominator * denominator) * dsigmoid_sum - 2.0f32 / denominator * target_dsigmoid_sum;
    }
    dice_gradient[cell] = dice;
}

/// Weight that a cell has in the sample at a position.
#[cube]
fn cell_weight(position: f32, cell: usize, cells: usize) -> f32 {
    let tap = tap(position, cells);
    let mut weight = 0.0f32;
    if cell == tap.low {
        weight += 1.0f32 - tap.fraction;
    }
    if cell == tap.high {
        weight += tap.fraction;
    }
    weight
}

/// A lower bound of the first sample in which a cell has a weight; positions are rounded.
#[cube]
fn first_sample(cell: usize, scale: f32) -> usize {
    let before = (f32::cast_from(cell as u32) - 0.5f32) / scale - 2.0f32;
    u32::cast_from(before.max(0.0f32)) as usize
}

/// An upper bound, exclusive, of the last sample in which a cell has a weight.
#[cube]
fn last_sample(cell: usize, scale: f32, samples: usize, cells: usize) -> usize {
    let after = (f32::cast_from(cell as u32) + 1.5f32) / scale + 2.0f32;
    let mut last = (u32::cast_from(after) as usize).min(samples);
    // Samples beyond the last cell repeat it.
    if cell + 1 == cells {
        last = samples;
    }
    last
}

/// Losses of masks `[batch, classes, height, width]` in f32 against labels `[batch, rows, columns]` in i32; no extent is
/// zero.
fn mask_losses(masks: CubeTensor, labels: CubeTensor, alpha: f32, gradients: bool) -> MaskLossResult<Cube> {
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
