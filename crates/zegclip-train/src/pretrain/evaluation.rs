//! Zero-shot classification and retrieval (Radford et al. 2021, section 3.1).

use burn::tensor::{Device, Tensor, TensorData};
use std::cmp::Ordering;
use zegclip_data::{RgbImage, SINGLE_TEMPLATE, normalize};
use zegclip_model::clip::{Clip, Tokenizer, l2_normalize, text_features};

use super::pair::{HeldOut, is_true_of};
use crate::{ClipScores, TrainError};

/// Images per pass through the encoder.
const BATCH: usize = 64;

/// Scores of an inference model on a split.
pub(crate) fn scores(model: &Clip, held_out: &HeldOut, device: &Device) -> Result<ClipScores, TrainError> {
    let mut scores = ClipScores::default();
    if !held_out.classified.is_empty() {
        let classes = text_features(&model.text_encoder, &held_out.classes, &[SINGLE_TEMPLATE.to_owned()])?;
        let images = image_features(model, held_out.classified.iter().map(|item| &item.image), device);
        let similarity = rows(images.matmul(classes.transpose()))?;
        let ranks = similarity.iter().zip(&held_out.classified).map(|(row, item)| {
            rank(row.iter().copied().enumerate(), item.class, |class| {
                item.also_true.contains(&class)
            })
        });
        let ranks: Vec<usize> = ranks.collect();
        scores.top1 = Some(percent(&ranks, 1));
        scores.top5 = Some(percent(&ranks, 5));
    }
    let pairs = &held_out.pairs;
    if !pairs.is_empty() {
        let tokenizer = Tokenizer::clip();
        let context = model.text_encoder.context_length();
        let tokens: Vec<Vec<u32>> = pairs
            .iter()
            .map(|pair| tokenizer.encode(&pair.caption, context).ids)
            .collect();
        let texts = l2_normalize(model.text_encoder.forward(&tokens));
        let images = image_features(model, pairs.iter().map(|pair| &pair.image), device);
        let similarity = rows(images.matmul(texts.transpose()))?;
        // Other captions that are true of an image do not count as wrong answers.
        let fits: Vec<Vec<bool>> = pairs
            .iter()
            .map(|image| {
                pairs
                    .iter()
                    .map(|text| is_true_of(&text.caption_facts, &image.image_facts))
                    .collect()
            })
            .collect();
        let fits = |image: usize, text: usize| fits.get(image).and_then(|row| row.get(text)).copied().unwrap_or(false);
        let to_text: Vec<usize> = similarity
            .iter()
            .enumerate()
            .map(|(image, row)| rank(row.iter().copied().enumerate(), image, |text| fits(image, text)))
            .collect();
        let to_image: Vec<usize> = (0..pairs.len())
            .map(|text| {
                let column = similarity.iter().map(|row| row.get(text).copied().unwrap_or(f32::NAN));
                rank(column.enumerate(), text, |image| fits(image, text))
            })
            .collect();
        scores.image_to_text_r1 = percent(&to_text, 1);
        scores.image_to_text_r5 = percent(&to_text, 5);
        scores.text_to_image_r1 = percent(&to_image, 1);
        scores.text_to_image_r5 = percent(&to_image, 5);
    }
    Ok(scores)
}

/// L2-normalized features: `[images, embed_dim]`.
fn image_features<'a>(model: &Clip, images: impl Iterator<Item = &'a RgbImage>, device: &Device) -> Tensor<2> {
    let images: Vec<&RgbImage> = images.collect();
    let features = images.chunks(BATCH).map(|chunk| {
        let (width, height) = chunk.first().map_or((0, 0), |image| image.dimensions());
        let pixels: Vec<f32> = chunk.iter().flat_map(|image| normalize(image)).collect();
        let data = TensorData::new(pixels, [chunk.len(), 3, height as usize, width as usize]);
        model.image_encoder.forward(Tensor::<4>::from_data(data, device))
    });
    l2_normalize(Tensor::cat(features.collect(), 0))
}

fn rows(matrix: Tensor<2>) -> Result<Vec<Vec<f32>>, TrainError> {
    let columns = matrix.dims()[1].max(1);
    let values: Vec<f32> = matrix
        .try_into_data()
        .map_err(TrainError::device)?
        .iter::<f32>()
        .collect();
    Ok(values.chunks(columns).map(<[f32]>::to_vec).collect())
}

/// Number of candidates that score at least as high as the correct one, apart from other correct ones.
fn rank(scores: impl Iterator<Item = (usize, f32)> + Clone, right: usize, also_right: impl Fn(usize) -> bool) -> usize {
    let own = scores
        .clone()
        .find(|(index, _)| *index == right)
        .map_or(f32::NAN, |(_, score)| score);
    // NaN must not count as a lower score.
    scores
        .filter(|(index, score)| {
            *index != right && !also_right(*index) && score.partial_cmp(&own) != Some(Ordering::Less)
        })
        .count()
}

fn percent(ranks: &[usize], within: usize) -> f64 {
    let hits = ranks.iter().filter(|rank| **rank < within).count();
    100.0 * hits as f64 / ranks.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_ignore_other_correct_candidates() {
        let scores = [0.1, 0.9, 0.5, 0.7, f32::NAN];
        let rank =
            |right, also: &[usize]| rank(scores.iter().copied().enumerate(), right, |index| also.contains(&index));
        assert_eq!(rank(1, &[4]), 0);
        assert_eq!(rank(2, &[4]), 2);
        assert_eq!(rank(2, &[1, 4]), 1);
        assert_eq!(rank(1, &[]), 1);
        assert_eq!(percent(&[0, 1, 4, 5], 5), 75.0);
    }
}
