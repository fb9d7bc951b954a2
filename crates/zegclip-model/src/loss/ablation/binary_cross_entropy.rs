//! Binary cross-entropy of independent masks: the ablation between softmax and NEL.

use burn::tensor::Tensor;

use super::focal::{pixels, unbalanced_focal};
use crate::loss::MaskTargets;

/// `Σ over images and classes of mean over pixels of −log p_t`, to be divided by M: the focal loss without its focus
/// (`γ = 0`) and without class balance.
///
/// # Shapes
/// - `logits`: `[batch, classes, rows, columns]`, of the targets' size
/// - output: `[1]`
pub fn binary_cross_entropy(logits: Tensor<4>, targets: &MaskTargets) -> Tensor<1> {
    unbalanced_focal(logits, targets, 0.0).sum() / pixels(targets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn equals_the_formula() {
        let device = Device::flex();
        let logits = Tensor::from_data(TensorData::from([[[[2.0f32, -1.0]], [[0.5, 0.0]]]]), &device);
        let targets = MaskTargets::from_labels(&[0, 1], [1, 1, 2], 2, &device);
        let log_p = |x: f64| -(1.0 + (-x).exp()).ln();
        let expected = -(log_p(2.0) + log_p(1.0) + log_p(-0.5) + log_p(0.0)) / 2.0;
        let value = f64::from(binary_cross_entropy(logits, &targets).into_scalar::<f32>());
        assert!((value - expected).abs() < 1e-6, "{value} {expected}");
    }
}
