//! Dice loss (Milletari et al. 2016; paper, section 3.4) next to a focal loss of γ ≠ 2. Published training uses the kernels of
//! `zegclip-kernels`.

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;

use crate::loss::MaskTargets;

/// `Σ over present (image, class) pairs of 1 − (2 Σ p t + 1) / (Σ p + Σ t + 1)`, to be divided by M.
///
/// # Shapes
/// - `logits`: `[batch, classes, rows, columns]`, of the targets' size
/// - output: `[1]`
pub fn dice(logits: Tensor<4>, targets: &MaskTargets) -> Tensor<1> {
    let [batch, classes, rows, columns] = logits.dims();
    let sum_pixels = |tensor: Tensor<4>| {
        tensor
            .reshape([batch, classes, rows * columns])
            .sum_dim(2)
            .squeeze_dim::<2>(2)
    };
    let probability = sigmoid(logits);
    let intersection = sum_pixels(probability.clone() * targets.masks());
    let sizes = sum_pixels(probability) + sum_pixels(targets.masks());
    let ratio = (intersection * 2.0 + 1.0) / (sizes + 1.0);
    ((ratio.neg() + 1.0) * targets.present()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn only_present_classes_count() {
        let device = Device::flex();
        // Class 0 is everywhere and predicted half; class 1 is nowhere and predicted everywhere.
        let logits = Tensor::from_data(TensorData::from([[[[0.0f32, 0.0]], [[50.0, 50.0]]]]), &device);
        let targets = MaskTargets::from_labels(&[0, 0], [1, 1, 2], 2, &device);
        let value = dice(logits, &targets).into_scalar::<f32>();
        let expected = 1.0 - (2.0 * 1.0 + 1.0) / (1.0 + 2.0 + 1.0);
        assert!((value - expected).abs() < 1e-6, "{value}");
    }
}
