//! Focal loss (Lin et al. 2017; paper, section 3.4) of any focus γ. The published γ = 2 has kernels in `zegclip-kernels`.

use burn::tensor::Tensor;
use burn::tensor::activation::{log_sigmoid, sigmoid};

use crate::loss::MaskTargets;

/// `Σ over images and classes of mean over pixels of −α_t (1 − p_t)^γ log p_t`, to be divided by M.
///
/// `p_t` is the probability of the target and `α_t` is `alpha` for positives, `1 − alpha` for negatives. With
/// `s = logit` for negatives and `−logit` for positives, `1 − p_t = σ(s)` and `−log p_t = −log σ(−s)`: no probability is ever
/// rounded to 0 or 1 before its logarithm is taken.
///
/// # Shapes
/// - `logits`: `[batch, classes, rows, columns]`, of the targets' size
/// - output: `[1]`
pub fn focal(logits: Tensor<4>, targets: &MaskTargets, alpha: f64, gamma: f64) -> Tensor<1> {
    let weights = targets.masks() * (2.0 * alpha - 1.0) + (1.0 - alpha);
    let losses = unbalanced_focal(logits, targets, gamma) * weights;
    // Rows first, since a running f32 sum of all pixels loses digits.
    losses.sum_dim(3).sum_dim(2).sum() / pixels(targets)
}

/// `(1 − p_t)^γ · (−log p_t)` of each pixel: `[batch, classes, rows, columns]`.
pub(super) fn unbalanced_focal(logits: Tensor<4>, targets: &MaskTargets, gamma: f64) -> Tensor<4> {
    let signed_logit = logits * (targets.masks() * -2.0 + 1.0);
    let nll = log_sigmoid(signed_logit.clone().neg()).neg();
    if gamma == 0.0 {
        return nll;
    }
    let one_minus_pt = sigmoid(signed_logit);
    if gamma == 2.0 {
        one_minus_pt.clone() * one_minus_pt * nll
    } else {
        one_minus_pt.powf_scalar(gamma) * nll
    }
}

/// Pixels of an image.
pub(super) fn pixels(targets: &MaskTargets) -> f64 {
    let [rows, columns] = targets.size();
    (rows * columns).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    fn value(logit: f32, label: u16) -> f64 {
        let device = Device::flex();
        let logits = Tensor::from_data(TensorData::new(vec![logit], [1, 1, 1, 1]), &device);
        let targets = MaskTargets::from_labels(&[label], [1, 1, 1], 1, &device);
        f64::from(focal(logits, &targets, 0.25, 2.0).into_scalar::<f32>())
    }

    #[test]
    fn equals_the_formula_and_is_finite_for_large_logits() {
        for logit in [-8.0f32, -1.5, 0.0, 0.3, 7.0] {
            let p = 1.0 / (1.0 + (-f64::from(logit)).exp());
            let positive = -0.25 * (1.0 - p).powi(2) * p.ln();
            let negative = -0.75 * p.powi(2) * (1.0 - p).ln();
            assert!((value(logit, 0) - positive).abs() <= 1e-5 * positive, "{logit}");
            assert!((value(logit, 9) - negative).abs() <= 1e-5 * negative, "{logit}");
        }
        assert!((value(-200.0, 0) - 50.0).abs() < 1e-3);
        assert!(value(200.0, 0).abs() < 1e-6);
    }
}
