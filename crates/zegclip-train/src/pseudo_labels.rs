//! Pseudo-labels of unseen classes in transductive training (paper, section 4.2).

use burn::tensor::{Int, Tensor, TensorData};
use zegclip_data::TrainingLabels;
use zegclip_model::interpolate::resize_bilinear;

use crate::TrainError;

/// Assigns the unseen class with the highest score to every pixel that is known to be unseen.
///
/// The masks are those of the forward pass that is trained, without gradients. Ignored and seen pixels are unchanged. σ is
/// monotonic and therefore omitted.
///
/// # Shapes
/// - `labels`: `[batch · size[0] · size[1]]`, encoded as by [`TrainingLabels::as_raw`]
/// - `masks`: `[batch, classes, height, width]`, before σ
/// - `unseen`: indices of the unseen classes
///
/// # Errors
/// [`TrainError::Device`] if the device fails.
pub fn pseudo_label(labels: &mut [u16], masks: Tensor<4>, unseen: &[u16], size: [usize; 2]) -> Result<(), TrainError> {
    if unseen.is_empty() || !labels.contains(&TrainingLabels::UNSEEN) {
        return Ok(());
    }
    let masks = masks.inner();
    let indices: Vec<i32> = unseen.iter().map(|class| i32::from(*class)).collect();
    let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [unseen.len()]), &masks.device());
    let best = resize_bilinear(masks.select(1, indices), size).argmax(1);
    let best = best.try_into_data().map_err(TrainError::device)?;
    for (label, best) in labels.iter_mut().zip(best.iter::<i64>()) {
        if *label == TrainingLabels::UNSEEN {
            *label = usize::try_from(best)
                .ok()
                .and_then(|best| unseen.get(best).copied())
                .unwrap_or(*label);
        }
    }
    Ok(())
}
