//! NEL, the non-exclusive loss (paper, section 3.4): every class has a mask of its own, none excludes another.

use burn::tensor::Tensor;

use super::{LossConfig, MaskTargets, dice, focal};

/// `focal_weight · focal` and `dice_weight · dice`, both to be divided by M. The loss is their sum.
///
/// # Shapes
/// - `logits`: `[batch, classes, rows, columns]`, of the targets' size
/// - outputs: `[1]`
pub fn nel(logits: Tensor<4>, targets: &MaskTargets, config: &LossConfig) -> (Tensor<1>, Tensor<1>) {
    let mask = focal(logits.clone(), targets, config.alpha, config.gamma) * config.focal_weight;
    (mask, dice(logits, targets) * config.dice_weight)
}
