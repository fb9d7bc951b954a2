//! Text features of class lists, from a text encoder or from the published ones.

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

/// The rows of the published features of these classes: `[classes, embed_dim]`.
///
/// # Errors
/// [`TrainError::NoPublishedTextFeatures`] if no published list has all classes, [`TrainError::TextFeatureWidth`].
pub(crate) fn published(vocabulary: &Vocabulary, embed_dim: usize, device: &Device) -> Result<Tensor<2>, TrainError> {
    for list in ["voc20", "coco171"] {
        let (Ok(known), Some(features)) = (Vocabulary::built_in(list), published_text_features(list)) else {
            continue;
        };
        let rows: Option<Vec<usize>> = vocabulary.names().map(|name| Some(known.find(name)?.index())).collect();
        let Some(rows) = rows else { continue };
        if features.width != embed_dim {
            return Err(TrainError::TextFeatureWidth {
                list,
                width: features.width,
                embed_dim,
            });
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
    Err(TrainError::NoPublishedTextFeatures {
        classes: first_names(vocabulary),
    })
}

/// The first class names, for errors.
pub(crate) fn first_names(vocabulary: &Vocabulary) -> String {
    let mut classes: Vec<&str> = vocabulary.names().take(3).collect();
    if vocabulary.len() > 3 {
        classes.push("…");
    }
    classes.join(", ")
}
