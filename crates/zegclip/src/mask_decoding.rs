//! Masks of windows to a label map, by the operators of `zegclip-kernels`.

use burn::tensor::Tensor;
use zegclip_data::LabelMap;
use zegclip_kernels::{MaskDecoding, WindowMasks, decode_on_device, decode_window_masks};

use crate::Error;
use crate::windows::Window;

/// Labels, and scores if they were requested.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The best class of every pixel; ignored where the best score is below the minimum.
    pub labels: LabelMap,
    /// `[classes, height, width]`.
    pub scores: Option<Vec<f32>>,
}

/// Decodes the masks of all windows on the CPU; [`decode_window_masks`] states the scores.
///
/// # Errors
/// [`Error::Data`] for an output of no label map's size.
pub fn decode(masks: &[WindowMasks], decoding: &MaskDecoding<'_>) -> Result<Decoded, Error> {
    let decoded = decode_window_masks(masks, decoding);
    Ok(Decoded {
        labels: label_map(decoding, decoded.labels)?,
        scores: decoded.scores,
    })
}

/// Labels of masks `[windows, classes, height, width]`, decoded on their device.
///
/// # Errors
/// [`Error::Execution`] if the device fails; [`Error::Data`] for an output of no label map's size.
pub(crate) fn decode_on_gpu(
    masks: Tensor<4>,
    windows: &[Window],
    decoding: &MaskDecoding<'_>,
) -> Result<LabelMap, Error> {
    let origins = windows.iter().map(|window| [window.top, window.left]).collect();
    let size = windows.first().map_or([0, 0], |window| [window.height, window.width]);
    let labels = decode_on_device(masks, origins, size, decoding).map_err(Error::execution)?;
    label_map(decoding, labels)
}

fn label_map(decoding: &MaskDecoding<'_>, labels: Vec<u16>) -> Result<LabelMap, Error> {
    let [height, width] = decoding.output.map(|length| length as u32);
    Ok(LabelMap::from_raw(width, height, labels)?)
}
