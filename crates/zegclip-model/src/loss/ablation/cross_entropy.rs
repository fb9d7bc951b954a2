//! Softmax cross-entropy: the baseline in which classes exclude each other (paper, ablation of the losses).

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;

use crate::loss::MaskTargets;

/// `Σ over labeled pixels of −log softmax(logits)[class]`, to be divided by the number of labeled pixels. Pixels without
/// a class do not count.
///
/// # Shapes
/// - `logits`: `[batch, classes, rows, columns]`, of the targets' size
/// - output: `[1]`
pub fn cross_entropy(logits: Tensor<4>, targets: &MaskTargets) -> Tensor<1> {
    (log_softmax(logits, 1) * targets.masks()).sum().neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn ignored_pixels_do_not_count() {
        let device = Device::flex();
        let logits = Tensor::from_data(TensorData::from([[[[2.0f32, 90.0]], [[0.5, -90.0]]]]), &device);
        let targets = MaskTargets::from_labels(&[1, u16::MAX], [1, 1, 2], 2, &device);
        let expected = -(0.5 - (2f64.exp() + 0.5f64.exp()).ln());
        let value = f64::from(cross_entropy(logits, &targets).into_scalar::<f32>());
        assert!((value - expected).abs() < 1e-6, "{value} {expected}");
    }
}
