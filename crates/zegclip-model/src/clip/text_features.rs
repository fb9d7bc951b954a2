//! Class names to text features.

use burn::tensor::{FloatDType, Int, Tensor, TensorData};

use super::image_encoder::l2_normalize;
use super::text_encoder::TextEncoder;
use crate::error::ModelError;
use zegclip_text::tokenizer::Tokenizer;

/// Text features of classes in f32, each of unit length (paper, section 3.1; prompt ensembling as in CLIP).
///
/// Every name of a class is inserted into every template (`{}` stands for the name). Features are normalized, averaged over the
/// templates and normalized again; those of synonyms are then averaged and normalized.
///
/// # Shapes
/// - `classes`: the names of each class, at least one a class
/// - output: `[classes, embed_dim]`
///
/// # Errors
/// [`ModelError::NameTooLong`] if a filled template has more tokens than the encoder's context.
pub fn text_features(
    encoder: &TextEncoder,
    classes: &[Vec<String>],
    templates: &[String],
) -> Result<Tensor<2>, ModelError> {
    let tokenizer = Tokenizer::clip();
    let context = encoder.context_length();
    let names: Vec<&String> = classes.iter().flatten().collect();
    let prompts: Vec<String> = names
        .iter()
        .flat_map(|name| templates.iter().map(|template| template.replace("{}", name)))
        .collect();
    let mut sequences = Vec::with_capacity(prompts.len());
    for (index, tokens) in tokenizer.encode_batch(&prompts, context).into_iter().enumerate() {
        if !tokens.fits {
            return Err(ModelError::NameTooLong {
                name: names[index / templates.len()].clone(),
                context,
            });
        }
        sequences.push(tokens.ids);
    }
    let features = l2_normalize(encoder.forward(&sequences).cast(FloatDType::F32));
    let [_, embed_dim] = features.dims(); // [names · templates, embed_dim]
    let by_name = features.reshape([names.len(), templates.len(), embed_dim]).mean_dim(1);
    let by_name = l2_normalize(by_name.squeeze_dim::<2>(1));
    if classes.iter().all(|names| names.len() == 1) {
        return Ok(by_name);
    }
    let device = by_name.device();
    let mut start = 0i64;
    let by_class = classes
        .iter()
        .map(|names| {
            let rows: Vec<i64> = (start..start + names.len() as i64).collect();
            start += names.len() as i64;
            let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [names.len()]), &device);
            by_name.clone().select(0, rows).mean_dim(0)
        })
        .collect();
    Ok(l2_normalize(Tensor::cat(by_class, 0)))
}
