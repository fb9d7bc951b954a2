//! The model file of a finished run.

use std::path::Path;

use zegclip_model::NativeMetadata;
use zegclip_model::clip::Clip;
use zegclip_model::config::ClipConfig;
use zegclip_model::parameters::{ExportedParameter, export_parameters};
use zegclip_weights::{IfExists, write_native};

use crate::TrainError;

/// Writes an inference model as a native file.
pub(crate) fn write(model: &Clip, config: &ClipConfig, path: &Path) -> Result<(), TrainError> {
    let parameters = export_parameters(model, "");
    let tensors = parameters.iter().map(ExportedParameter::to_output).collect();
    let metadata = NativeMetadata {
        vision: Some(config.vision.clone()),
        text: Some(config.text.clone()),
        provenance: Some("pre-trained by zegclip".to_owned()),
        ..NativeMetadata::default()
    };
    Ok(write_native(path, &metadata.to_header(), tensors, IfExists::Replace)?)
}
