//! Focal and dice loss of masks and their gradients, upsampled a row at a time: memory is a few rows per thread, not an image.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::bilinear::{Tap, bilinear_taps};
use crate::cpu::{InstructionSet, Scratch, exp2};

/// Masks and their label maps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MaskLossInput<'a> {
    /// `[batch, classes, height, width]`
    pub(crate) masks: &'a [f32],
    /// `[batch, classes, height, width]`
    pub(crate) shape: [usize; 4],
    /// `[batch, rows, columns]`; labels from `classes` on mean no class.
    pub(crate) labels: &'a [u16],
    /// `[rows, columns]`
    pub(crate) size: [usize; 2],
    /// Weight of positives; negatives have `1 − alpha`.
    pub(crate) alpha: f32,
}

/// Result of [`mask_losses`].
#[derive(Debug)]
pub(crate) struct MaskLosses {
    /// Focal and dice loss.
    pub(crate) sums: [f64; 2],
    /// Gradients of both with respect to the masks, if they were requested.
    pub(crate) gradients: Option<[Vec<f32>; 2]>,
}

/// Sums over all images and classes of the mean focal loss (γ = 2) of the pixels, and over the pairs that are present of the
/// dice loss.
pub(crate) fn mask_losses(instructions: InstructionSet, input: MaskLossInput<'_>, gradients: bool) -> MaskLosses {
    let MaskLossInput {
        masks,
        shape,
        labels,
        size,
        ..
    } = input;
    let [batch, classes, height, width] = shape;
    let (pixels, cells) = (size[0] * size[1], height * width);
    assert_eq!(masks.len(), batch * classes * cells, "masks of {shape:?}");
    assert_eq!(labels.len(), batch * pixels, "labels of {batch} images of {size:?}");
    if masks.is_empty() || pixels == 0 {
        return MaskLosses {
            sums: [0.0; 2],
            gradients: gradients.then(|| [vec![0.0; masks.len()], vec![0.0; masks.len()]]),
        };
    }
    let mut counts = vec![0u32; batch * classes];
    for (labels, counts) in labels.chunks_exact(pixels).zip(counts.chunks_exact_mut(classes)) {
        for label in labels {
            if let Some(count) = counts.get_mut(usize::from(*label)) {
                *count += 1;
            }
        }
    }
    let [rows, columns] = [0, 1].map(|axis| bilinear_taps(shape[2 + axis], size[axis]).collect::<Vec<Tap>>());
    let task = |index: usize| Mask {
        mask: &masks[index * cells..][..cells],
        width,
        labels: &labels[index / classes * pixels..][..pixels],
        class: (index % classes) as u16,
        count: counts[index],
        rows: &rows,
        columns: &columns,
        alpha: input.alpha,
        gradients: None,
    };
    let mut results = gradients.then(|| [vec![0.0; masks.len()], vec![0.0; masks.len()]]);
    let sums: Vec<[f64; 2]> = match &mut results {
        None => (0..batch * classes)
            .into_par_iter()
            .with_max_len(1)
            .map(|index| instructions.run(task(index)))
            .collect(),
        Some([focal, dice]) => focal
            .par_chunks_exact_mut(cells)
            .zip(dice.par_chunks_exact_mut(cells))
            .enumerate()
            .with_max_len(1)
            .map(|(index, (focal, dice))| {
                let mut task = task(index);
                task.gradients = Some([focal, dice]);
                instructions.run(task)
            })
            .collect(),
    };
    let sums = sums
        .iter()
        .fold([0.0; 2], |[focal, dice], mask| [focal + mask[0], dice + mask[1]]);
    MaskLosses {
        sums,
        gradients: results,
    }
}

/// The mask of one class on one image.
struct Mask<'a> {
    /// `[height, width]`
    mask: &'a [f32],
    width: usize,
    labels: &'a [u16],
    class: u16,
    /// Pixels of the class.
    count: u32,
    rows: &'a [Tap],
    columns: &'a [Tap],
    alpha: f32,
    /// Gradients of focal and dice loss, initially zero.
    gradients: Option<[&'a mut [f32]; 2]>,
}

/// Gradients with respect to the logits, as wide as the image and as high as the mask.
struct RowGradients {
    /// Of the focal loss.
    focal: Scratch,
    /// Of the probability, `p (1 − p)`, over all pixels and over those of the class.
    probability: Scratch,
    target_probability: Scratch,
}

impl WithSimd for Mask<'_> {
    type Output = [f64; 2];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [f64; 2] {
        // The clamps below would turn NaN into a number and hide a diverged run.
        if self.mask.iter().any(|value| !value.is_finite()) {
            return [f64::NAN; 2];
        }
        let (height, count) = (self.mask.len() / self.width, self.columns.len());
        // Rows are padded to full vectors; the padding has weight 0.
        let padded = count.next_multiple_of(S::F32_LANES);
        let mut wide = Scratch::new(height * padded);
        for (mask, wide) in self.mask.chunks_exact(self.width).zip(wide.chunks_exact_mut(padded)) {
            for (tap, wide) in self.columns.iter().zip(wide.iter_mut()) {
                *wide = mask[tap.low] + tap.fraction * (mask[tap.high] - mask[tap.low]);
            }
            wide[count..].fill(0.0);
        }
        let zeros = |len: usize| {
            let mut zeros = Scratch::new(len);
            zeros.fill(0.0);
            zeros
        };
        let present = self.count > 0;
        let dice_len = if present { height * padded } else { 0 };
        let mut row_gradients = self.gradients.is_some().then(|| RowGradients {
            focal: zeros(height * padded),
            probability: zeros(dice_len),
            target_probability: zeros(dice_len),
        });
        let mut valid = zeros(padded);
        valid[..count].fill(1.0);
        let mut target = zeros(padded);
        let (mut focal, mut intersection, mut total) = (0.0f64, 0.0f64, 0.0f64);
        for (y, tap) in self.rows.iter().enumerate() {
            if present {
                let labels = &self.labels[y * count..][..count];
                for (target, label) in target.iter_mut().zip(labels) {
                    *target = if *label == self.class { 1.0 } else { 0.0 };
                }
            }
            let row = Row {
                tap: *tap,
                low: &wide[tap.low * padded..][..padded],
                high: &wide[tap.high * padded..][..padded],
                valid: &valid,
                target: present.then_some(&target[..]),
                alpha: self.alpha,
            };
            let sums = row.add(simd, row_gradients.as_mut());
            focal += f64::from(sums[0]);
            intersection += f64::from(sums[1]);
            total += f64::from(sums[2]);
        }
        let pixels = (self.rows.len() * count) as f64;
        // Dice: 1 − numerator / denominator.
        let numerator = 2.0 * intersection + 1.0;
        let denominator = total + f64::from(self.count) + 1.0;
        if let (Some([focal_gradient, dice_gradient]), Some(rows)) = (self.gradients, row_gradients) {
            contract(&rows.focal, padded, self.columns, self.width, |cell, sum| {
                focal_gradient[cell] += sum / pixels as f32;
            });
            if present {
                let (d_intersection, d_total) = (-2.0 / denominator, numerator / (denominator * denominator));
                contract(
                    &rows.target_probability,
                    padded,
                    self.columns,
                    self.width,
                    |cell, sum| {
                        dice_gradient[cell] += d_intersection as f32 * sum;
                    },
                );
                contract(&rows.probability, padded, self.columns, self.width, |cell, sum| {
                    dice_gradient[cell] += d_total as f32 * sum;
                });
            }
        }
        let dice = if present { 1.0 - numerator / denominator } else { 0.0 };
        [focal / pixels, dice]
    }
}

/// The transpose of horizontal upsampling: adds each column of `wide`, rows of `padded` floats, to its two cells.
#[inline(always)]
fn contract(wide: &[f32], padded: usize, columns: &[Tap], width: usize, mut add: impl FnMut(usize, f32)) {
    for (row, wide) in wide.chunks_exact(padded).enumerate() {
        for (tap, value) in columns.iter().zip(wide) {
            add(row * width + tap.low, (1.0 - tap.fraction) * value);
            add(row * width + tap.high, tap.fraction * value);
        }
    }
}

/// One row of pixels.
struct Row<'a> {
    tap: Tap,
    /// The rows of the mask above and below, as wide as the image.
    low: &'a [f32],
    high: &'a [f32],
    /// One where there is a pixel, zero in the padding.
    valid: &'a [f32],
    /// One where the pixel has the class; `None` if no pixel of the image has it.
    target: Option<&'a [f32]>,
    alpha: f32,
}

impl Row<'_> {
    /// Sums of the focal loss, of the probabilities of the class's pixels, and of all probabilities (both 0 if the class is
    /// absent).
    #[inline(always)]
    fn add<S: Simd>(&self, simd: S, mut gradients: Option<&mut RowGradients>) -> [f32; 3] {
        let splat = |value: f32| simd.splat_f32s(value);
        let (zero, one, two) = (splat(0.0), splat(1.0), splat(2.0));
        let (negative_weight, weight_difference) = (splat(1.0 - self.alpha), splat(2.0 * self.alpha - 1.0));
        let fraction = splat(self.tap.fraction);
        let low = S::as_simd_f32s(self.low).0;
        let high = S::as_simd_f32s(self.high).0;
        let valid = S::as_simd_f32s(self.valid).0;
        let target = self.target.map(|target| S::as_simd_f32s(target).0);
        let (mut focal, mut intersection, mut total) = (zero, zero, zero);
        for index in 0..low.len() {
            let logit = simd.mul_add_e_f32s(fraction, simd.sub_f32s(high[index], low[index]), low[index]);
            let target = target.map(|target| target[index]);
            let sign = target.map_or(one, |target| simd.sub_f32s(one, simd.mul_f32s(two, target)));
            // With s the signed logit, positive where the mask is wrong: 1 − p_t = σ(s) and −ln p_t = ln(1 + eˢ).
            let signed_logit = simd.mul_f32s(logit, sign);
            let magnitude = simd.abs_f32s(signed_logit);
            let e = exp2(simd, simd.mul_f32s(magnitude, splat(-std::f32::consts::LOG2_E)));
            let (one_e, two_e) = (simd.add_f32s(one, e), simd.add_f32s(two, e));
            let recip = simd.div_f32s(one, simd.mul_f32s(one_e, two_e));
            let (large, z) = (
                simd.mul_f32s(recip, two_e),
                simd.mul_f32s(simd.mul_f32s(recip, one_e), e),
            );
            let small = simd.mul_f32s(e, large);
            let positive = simd.less_than_f32s(zero, signed_logit);
            let one_minus_pt = simd.select_f32s(positive, large, small);
            let pt = simd.select_f32s(positive, small, large);
            let nll = simd.add_f32s(simd.max_f32s(signed_logit, zero), log1p_of_ratio(simd, z));
            let weight = target.map_or(negative_weight, |target| {
                simd.mul_add_e_f32s(weight_difference, target, negative_weight)
            });
            let weight = simd.mul_f32s(weight, valid[index]);
            let squared = simd.mul_f32s(weight, simd.mul_f32s(one_minus_pt, one_minus_pt));
            focal = simd.mul_add_e_f32s(squared, nll, focal);
            let dsigmoid = simd.mul_f32s(one_minus_pt, simd.mul_f32s(pt, valid[index]));
            if let Some(target) = target {
                let probability = simd.mul_f32s(simd.mul_add_e_f32s(sign, one_minus_pt, target), valid[index]);
                intersection = simd.mul_add_e_f32s(probability, target, intersection);
                total = simd.add_f32s(total, probability);
            }
            if let Some(gradients) = &mut gradients {
                let dfocal = simd.mul_add_e_f32s(simd.mul_f32s(two, pt), nll, one_minus_pt);
                let gradient = simd.mul_f32s(simd.mul_f32s(sign, squared), dfocal);
                self.scatter(simd, &mut gradients.focal, index, gradient);
                if let Some(target) = target {
                    self.scatter(simd, &mut gradients.probability, index, dsigmoid);
                    self.scatter(
                        simd,
                        &mut gradients.target_probability,
                        index,
                        simd.mul_f32s(target, dsigmoid),
                    );
                }
            }
        }
        [focal, intersection, total].map(|sums| simd.reduce_sum_f32s(sums))
    }

    /// The transpose of vertical upsampling: adds a gradient to the rows above and below.
    #[inline(always)]
    fn scatter<S: Simd>(&self, simd: S, rows: &mut [f32], index: usize, gradient: S::f32s) {
        let padded = self.low.len();
        for (row, weight) in [
            (self.tap.low, 1.0 - self.tap.fraction),
            (self.tap.high, self.tap.fraction),
        ] {
            let sums = &mut S::as_mut_simd_f32s(&mut rows[row * padded..][..padded]).0[index];
            *sums = simd.mul_add_e_f32s(simd.splat_f32s(weight), gradient, *sums);
        }
    }
}

/// `ln(1 + e)` from `z = e / (2 + e)`, at most 1/3: twice the series of the inverse hyperbolic tangent.
#[inline(always)]
fn log1p_of_ratio<S: Simd>(simd: S, z: S::f32s) -> S::f32s {
    let squared = simd.mul_f32s(z, z);
    let mut sum = simd.splat_f32s(2.0 / 15.0);
    for denominator in [13.0f32, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        sum = simd.mul_add_e_f32s(sum, squared, simd.splat_f32s(2.0 / denominator));
    }
    simd.mul_f32s(sum, z)
}

#[cfg(test)]
mod tests;
