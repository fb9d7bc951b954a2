//! Text features of the classes that training may name, computed once a run.

use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use zegclip_data::{Vocabulary, published_text_features};
use zegclip_model::clip::{TextEncoder, text_features};

use crate::TrainError;

/// Features from a text encoder: `[classes, embed_dim]`.
///
/// # Errors
/// [`TrainError::Model`] if a name is too long.
pub(crate) fn encoded(encoder: &TextEncoder, vocabulary: &Vocabulary) -> Result<Tensor<2>, TrainError> {
    let classes: Vec<Vec<String>> = vocabulary
        .classes()
        .iter()
        .map(|class| class.names().map(str::to_owned).collect())
        .collect();
    Ok(text_features(encoder, &classes, vocabulary.templates())?)
}

/// The rows of the published features that belong to the classes: `[classes, embed_dim]`.
///
/// # Errors
/// [`TrainError::NoTextFeatures`] if no published list holds all of them, or features of another width are needed.
pub(crate) fn published(vocabulary: &Vocabulary, embed_dim: usize, device: &Device) -> Result<Tensor<2>, TrainError> {
    for list in ["voc20", "coco171"] {
        let (Ok(known), Some(features)) = (Vocabulary::built_in(list), published_text_features(list)) else {
            continue;
        };
        let rows: Option<Vec<usize>> = vocabulary.names().map(|name| Some(known.find(name)?.index())).collect();
        let Some(rows) = rows else { continue };
        if features.width != embed_dim {
            let reason = format!(
                "the published ones of `{list}` are {} wide, the model needs {embed_dim}; use `model.published_text_features = false`",
                features.width
            );
            return Err(missing(vocabulary, reason));
        }
        let row = |row: &usize| {
            features
                .data
                .get(row * embed_dim..(row + 1) * embed_dim)
                .unwrap_or_default()
                .to_vec()
        };
        let values: Vec<f32> = rows.iter().flat_map(row).collect();
        let tensor = Tensor::<2>::from_data(TensorData::new(values, [rows.len(), embed_dim]), device);
        return Ok(tensor.cast(FloatDType::F32));
    }
    let reason = "published ones exist for the classes of `voc20` and `coco171` only; use `model.published_text_features = false`";
    Err(missing(vocabulary, reason.to_owned()))
}

pub(crate) fn missing(vocabulary: &Vocabulary, reason: String) -> TrainError {
    let mut classes: Vec<&str> = vocabulary.names().take(3).collect();
    if vocabulary.len() > 3 {
        classes.push("…");
    }
    TrainError::NoTextFeatures {
        classes: classes.join(", "),
        reason,
    }
}
