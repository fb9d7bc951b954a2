//! The file that a run ends in.

use std::path::Path;

use zegclip_model::NativeMetadata;
use zegclip_model::clip::Clip;
use zegclip_model::config::ClipConfig;
use zegclip_model::parameters::export_parameters;
use zegclip_model::weights::{Dtype, IfExists, OutputTensor, write_native};

use crate::TrainError;

/// Writes a plain model as a native file.
pub(crate) fn write(model: &Clip, config: &ClipConfig, path: &Path) -> Result<(), TrainError> {
    let parameters = export_parameters(model, "");
    let tensors = parameters
        .iter()
        .map(|parameter| {
            OutputTensor::from_f32(
                &parameter.name,
                &parameter.shape,
                (&parameter.values).into(),
                Dtype::F32,
            )
        })
        .collect();
    let metadata = NativeMetadata {
        vision: Some(config.vision.clone()),
        text: Some(config.text.clone()),
        provenance: Some("pre-trained by zegclip".to_owned()),
        ..NativeMetadata::default()
    };
    Ok(write_native(path, &metadata.to_header(), tensors, IfExists::Replace)?)
}
