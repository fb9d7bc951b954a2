//! Labels for pixels of unseen classes in transductive training (paper, section 4.2).

use burn::tensor::{Int, Tensor, TensorData};
use zegclip_data::TrainingLabels;
use zegclip_model::interpolate::resize_bilinear;

use crate::TrainError;

/// Gives every pixel that is known to be of an unseen class the unseen class of the highest score there.
///
/// The masks are those of the very forward pass that is trained, without their gradient. Ignored pixels, padding among
/// them, stay ignored; seen labels stay. σ is left out, since it changes no maximum.
///
/// # Shapes
/// - `labels`: `[batch, size[0], size[1]]` as [`TrainingLabels::as_raw`] writes them
/// - `masks`: `[batch, classes, height, width]`, before σ
/// - `unseen`: positions of the unseen classes
///
/// # Errors
/// [`TrainError::Device`] if the device fails.
pub fn pseudo_label(labels: &mut [u16], masks: Tensor<4>, unseen: &[u16], size: [usize; 2]) -> Result<(), TrainError> {
    if unseen.is_empty() || !labels.contains(&TrainingLabels::UNSEEN) {
        return Ok(());
    }
    let masks = masks.inner();
    let positions: Vec<i32> = unseen.iter().map(|class| i32::from(*class)).collect();
    let positions = Tensor::<1, Int>::from_data(TensorData::new(positions, [unseen.len()]), &masks.device());
    let best = resize_bilinear(masks.select(1, positions), size).argmax(1);
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
