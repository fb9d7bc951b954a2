//! The complete token embedding of a model with a pruned vocabulary, for programs that read only complete ones.

use std::borrow::Cow;

use crate::config::TextConfig;
use zegclip_weights::{Dtype, OutputTensor, WeightError, WeightFile};

const EMBEDDING: &str = "text_encoder.token_embedding.weight";

/// The token embedding of `file` with one row per token id, `[vocabulary_size, width]`, for a text encoder with a
/// [`pruned_vocabulary`](TextConfig::pruned_vocabulary). Pruned ids repeat the row that they share, so text features do not
/// change. `None` if the embedding is complete already.
///
/// # Errors
/// [`WeightError::Missing`] if the file has no text encoder, [`WeightError::Shape`] if the rows are not those of the list,
/// [`WeightError::OutOfRange`] for values that `dtype` cannot hold.
pub fn expand_token_embedding<'a>(
    file: &'a WeightFile,
    text: &TextConfig,
    dtype: Option<Dtype>,
) -> Result<Option<OutputTensor<'a>>, WeightError> {
    let Some(kept) = text.pruned_vocabulary.clone() else {
        return Ok(None);
    };
    let (rows, width) = (text.vocabulary_size, text.width);
    let compact = file.tensor_f32_of(EMBEDDING, &[kept.len() + 1, width])?;
    let own = file.info(EMBEDDING).map_or(Dtype::F32, |info| info.dtype);
    let dtype = dtype.unwrap_or(own);
    let dtype = if dtype.is_float() { dtype } else { Dtype::F32 };
    file.require_range(EMBEDDING, dtype)?;
    Ok(Some(OutputTensor::lazy(EMBEDDING, &[rows, width], dtype, move || {
        let mut whole = Vec::with_capacity(rows * width);
        for id in 0..rows as u32 {
            let row = kept.binary_search(&id).unwrap_or(kept.len());
            whole.extend_from_slice(compact.get(row * width..(row + 1) * width).unwrap_or_default());
        }
        Ok(Cow::Owned(dtype.encode_f32(&whole).unwrap_or_default()))
    })))
}
