//! ResCLIP (Yang et al., "ResCLIP: Residual Attention for Training-free Dense Vision-language Inference", CVPR 2025; arXiv 2411.15851).

use burn::tensor::activation::softmax;
use burn::tensor::{FloatDType, Tensor, TensorData};

use super::benchmark::Benchmark;
use super::encoding::DENSE_POSITIONS;
use super::last_block::LastBlock;
use super::naclip::{NEIGHBORHOOD_STD, neighborhood};
use super::pamr::Pamr;
use super::patch_features::PatchFeatures;
use crate::clip::{ClassToken, ImageEncoder, Tokens, l2_normalize};
use crate::error::ModelError;
use crate::interpolate::resize_bilinear;

/// Blocks of the encoder that the published choice of blocks belongs to.
const PUBLISHED_BLOCKS: usize = 12;

/// NACLIP's attention with two more maps: the attention of middle blocks, and the regions that a first pass finds.
#[derive(Debug, Clone, PartialEq)]
pub struct ResClip {
    /// Standard deviation of the [`neighborhood`] in patches; published: 5.
    pub neighborhood_std: f64,
    /// Residual cross-correlation self-attention; `None` leaves it out.
    pub residual: Option<ResidualAttention>,
    /// Semantic feedback refinement, a second pass that depends on the names; `None` leaves it out.
    pub feedback: Option<FeedbackSettings>,
}

/// How the mean attention of middle blocks enters the weights A of the last one: τ · ((1 − λ) · A + λ · mean).
#[derive(Debug, Clone, PartialEq)]
pub struct ResidualAttention {
    /// The blocks, counted from 0; published: 5 to 8 of 12.
    pub blocks: Vec<usize>,
    /// τ
    pub factor: f64,
    /// λ
    pub share: f64,
}

/// How the regions M of a first pass enter the products S of keys: τ · ((1 − λ) · S + λ · M / max M).
#[derive(Debug, Clone, PartialEq)]
pub struct FeedbackSettings {
    /// τ
    pub factor: f64,
    /// λ
    pub share: f64,
    /// Pixels whose best probability is lower have the first name.
    pub min_probability: f64,
    /// Scale of cosines before their softmax; published: 40.
    pub logit_scale: f64,
    /// Standard deviation, in patches, of the blur of M along the flat list of patches; published: 5.
    pub blur_std: f64,
    /// Refinement of the first pass.
    pub pamr: Pamr,
}

/// An image in the last block, which is computed when the names are known.
#[derive(Debug, Clone)]
pub struct ResClipEncoding {
    settings: ResClip,
    /// Normalized: `[batch, 3, rows, columns]`.
    image: Tensor<4>,
    tokens: Tokens,
    mean_attention: Option<Tensor<4>>,
}

/// What a first pass finds.
#[derive(Debug, Clone)]
pub struct Feedback {
    /// Probabilities of names after refinement: `[batch, names, rows, columns]`.
    pub probabilities: Tensor<4>,
    /// The most frequent name of each patch, image by image: `[batch, height · width]`.
    pub patch_labels: Vec<Vec<usize>>,
    /// M, 0 from and to the class token: `[batch, 1 + patches, 1 + patches]`.
    pub regions: Tensor<3>,
}

impl ResClip {
    /// The parameters published for a benchmark; blocks lie at the same share of the depth as in the published twelve.
    pub fn published(benchmark: Benchmark, blocks: usize) -> Self {
        use Benchmark::{Ade20k, Cityscapes, CocoObject, CocoStuff, Context59, Context60, Voc20, Voc21};
        let (min_probability, [residual_factor, residual_share], [factor, share]) = match benchmark {
            Voc20 => (0.10, [2.0, 0.6], [2.1, 0.6]),
            Voc21 => (0.50, [2.0, 0.3], [2.2, 0.7]),
            Context59 => (0.25, [2.0, 0.4], [1.8, 0.7]),
            Context60 => (0.30, [2.0, 0.3], [1.8, 0.7]),
            CocoObject | CocoStuff => (0.11, [2.0, 0.4], [1.8, 0.7]),
            Ade20k => (0.25, [2.0, 0.3], [2.1, 0.7]),
            Cityscapes => (0.10, [2.0, 0.2], [2.1, 0.6]),
        };
        let blocks = (5..=8).map(|block| match blocks {
            PUBLISHED_BLOCKS => block,
            _ => ((block + 1) * blocks / PUBLISHED_BLOCKS).saturating_sub(1),
        });
        Self {
            neighborhood_std: NEIGHBORHOOD_STD,
            residual: Some(ResidualAttention {
                blocks: blocks.collect(),
                factor: residual_factor,
                share: residual_share,
            }),
            feedback: Some(FeedbackSettings {
                factor,
                share,
                min_probability,
                logit_scale: 40.0,
                blur_std: 5.0,
                pamr: Pamr::default(),
            }),
        }
    }

    /// Encodes images, independently of the names.
    ///
    /// # Shapes
    /// - `image`: `[batch, 3, rows, columns]`, normalized, each side at least one patch
    ///
    /// # Errors
    /// [`ModelError::BlockCount`] for blocks that the encoder lacks.
    pub fn encode(&self, encoder: &ImageEncoder, image: Tensor<4>) -> Result<ResClipEncoding, ModelError> {
        let mut tokens = encoder.embed_resized(image.clone(), ClassToken::Once, DENSE_POSITIONS);
        let wanted = self.residual.as_ref().map_or(&[][..], |residual| &residual.blocks);
        let before_last = encoder.blocks.len().saturating_sub(1);
        if let Some(block) = wanted.iter().find(|block| **block >= before_last) {
            return Err(ModelError::BlockCount {
                needed: block + 2,
                blocks: encoder.blocks.len(),
            });
        }
        let mut sum = None::<Tensor<4>>;
        for (index, block) in encoder.blocks.iter().take(before_last).enumerate() {
            if wanted.contains(&index) {
                let (output, weights) = block.forward_weights(tokens.tokens);
                tokens.tokens = output;
                sum = Some(match sum {
                    Some(sum) => sum + weights,
                    None => weights,
                });
            } else {
                tokens.tokens = block.forward(tokens.tokens, crate::clip::AttentionScope::All);
            }
        }
        Ok(ResClipEncoding {
            settings: self.clone(),
            image,
            tokens,
            mean_attention: sum.map(|sum| sum / wanted.len() as f64),
        })
    }
}

impl ResClipEncoding {
    /// Patches `[height, width]`.
    pub fn grid(&self) -> [usize; 2] {
        self.tokens.grid
    }

    /// Mean attention of the middle blocks: `[batch, heads, tokens, tokens]`.
    pub fn mean_attention(&self) -> Option<&Tensor<4>> {
        self.mean_attention.as_ref()
    }

    /// Patch features in the joint embedding, not of unit length: `[batch, height · width, embed_dim]`. `regions` are those of
    /// [`Feedback`], if there was a first pass.
    ///
    /// # Errors
    /// [`ModelError::BlockCount`] for an encoder without blocks.
    pub fn features(&self, encoder: &ImageEncoder, regions: Option<Tensor<3>>) -> Result<Tensor<3>, ModelError> {
        let grid = self.tokens.grid;
        let last = LastBlock::new(encoder, self.tokens.tokens.clone())
            .ok_or(ModelError::BlockCount { needed: 1, blocks: 0 })?;
        let key = &last.heads.key;
        let dtype = key.dtype();
        let mut products = LastBlock::scaled_products(key, key).cast(FloatDType::F32);
        if let (Some(FeedbackSettings { factor, share, .. }), Some(regions)) = (&self.settings.feedback, regions) {
            let [batch, count, _] = regions.dims();
            let largest = regions
                .clone()
                .reshape([batch, count * count])
                .max_dim(1)
                .reshape([batch, 1, 1]);
            let regions = (regions / largest).reshape([batch, 1, count, count]);
            products = (products * (1.0 - share) + regions * *share) * *factor;
        }
        let near = neighborhood(grid, self.settings.neighborhood_std, &products.device());
        let mut weights = softmax(products + near.unsqueeze::<4>(), 3).cast(dtype);
        if let (Some(ResidualAttention { factor, share, .. }), Some(mean)) =
            (&self.settings.residual, &self.mean_attention)
        {
            weights = (weights * (1.0 - share) + mean.clone() * *share) * *factor;
        }
        let output = last.weighted(weights);
        Ok(encoder.project(output.narrow(1, 1, grid[0] * grid[1])))
    }

    /// The first pass with names. `None` if feedback is left out.
    ///
    /// # Shapes
    /// - `text_features`: `[names, embed_dim]`, of unit length
    ///
    /// # Errors
    /// [`ModelError::Execution`] if the device fails.
    pub fn feedback(&self, encoder: &ImageEncoder, text_features: Tensor<2>) -> Result<Option<Feedback>, ModelError> {
        let Some(settings) = &self.settings.feedback else {
            return Ok(None);
        };
        let features = self.features(encoder, None)?;
        let cosines = self.cosines_of(features, text_features).cast(FloatDType::F32);
        let [_, _, rows, columns] = self.image.dims();
        // The refinement compares colors of pixels, so that it needs the scores of all pixels.
        let scores = settings
            .pamr
            .refine(self.image.clone(), resize_bilinear(cosines, [rows, columns]));
        let probabilities = softmax(scores * settings.logit_scale, 1);
        let labels = self.patch_labels(probabilities.clone(), settings.min_probability, encoder.patch_size())?;
        let tokens = 1 + self.tokens.grid[0] * self.tokens.grid[1];
        let regions: Vec<f32> = labels
            .iter()
            .flat_map(|labels| region_map(labels, self.tokens.grid, settings.blur_std))
            .collect();
        let regions = TensorData::new(regions, [labels.len(), tokens, tokens]);
        Ok(Some(Feedback {
            regions: Tensor::from_data(regions, &probabilities.device()),
            probabilities,
            patch_labels: labels,
        }))
    }

    /// Cosines of patches and names after the second pass: `[batch, names, height, width]`.
    ///
    /// # Shapes
    /// - `text_features`: `[names, embed_dim]`, of unit length
    ///
    /// # Errors
    /// [`ModelError::Execution`] if the device fails.
    pub fn cosines(&self, encoder: &ImageEncoder, text_features: Tensor<2>) -> Result<Tensor<4>, ModelError> {
        let regions = self
            .feedback(encoder, text_features.clone())?
            .map(|feedback| feedback.regions);
        Ok(self.cosines_of(self.features(encoder, regions)?, text_features))
    }

    fn cosines_of(&self, features: Tensor<3>, text_features: Tensor<2>) -> Tensor<4> {
        let patches = PatchFeatures {
            patches: l2_normalize(features),
            grid: self.tokens.grid,
        };
        patches.logits(text_features)
    }

    /// The most frequent name of the pixels of each patch; the first of equally frequent ones. Pixels beyond the last complete
    /// patch do not count.
    fn patch_labels(
        &self,
        probabilities: Tensor<4>,
        min_probability: f64,
        patch: usize,
    ) -> Result<Vec<Vec<usize>>, ModelError> {
        let [_, names, rows, columns] = probabilities.dims();
        let (best, name) = probabilities.max_dim_with_indices(1);
        let best = best.try_into_data().map_err(ModelError::execution)?;
        let name = name.try_into_data().map_err(ModelError::execution)?;
        let sure = best.iter::<f32>().map(|best| f64::from(best) >= min_probability);
        let labels: Vec<usize> = name
            .iter::<i64>()
            .zip(sure)
            .map(|(name, sure)| if sure { name as usize } else { 0 })
            .collect();
        let [height, width] = self.tokens.grid;
        let mut counts = vec![0u32; names];
        let mut most_frequent = |pixels: &[usize], row: usize, column: usize| {
            counts.fill(0);
            for line in pixels.chunks_exact(columns).skip(row * patch).take(patch) {
                for label in &line[column * patch..][..patch] {
                    counts[*label] += 1;
                }
            }
            (0..names).fold(0, |best, name| if counts[name] > counts[best] { name } else { best })
        };
        let of_image = |pixels: &[usize]| {
            let places = (0..height).flat_map(|row| (0..width).map(move |column| (row, column)));
            places.map(|(row, column)| most_frequent(pixels, row, column)).collect()
        };
        Ok(labels.chunks_exact(rows * columns).map(of_image).collect())
    }
}

/// M of one image: `[1 + patches, 1 + patches]`. Computed on the host, since every pair of patches walks along its own line.
fn region_map(labels: &[usize], grid: [usize; 2], blur_std: f64) -> Vec<f32> {
    let (count, width) = (labels.len(), grid[1]);
    let place = |patch: usize| [patch / width, patch % width];
    let largest = grid
        .map(|length| length.saturating_sub(1))
        .into_iter()
        .max()
        .unwrap_or(0);
    let at = |from: usize, to: usize, share: f64| {
        let offset = (to as f64 - from as f64) * share;
        (from as f64 + offset).round_ties_even() as usize
    };
    let mut map = vec![0f32; (count + 1) * (count + 1)];
    let kernel = gaussian_kernel(blur_std);
    let mut row = vec![0f64; count];
    for (from, line) in map.chunks_exact_mut(count + 1).skip(1).enumerate() {
        for (to, value) in row.iter_mut().enumerate() {
            *value = 0.0;
            if labels[from] != labels[to] {
                continue;
            }
            let ([y, x], [end_y, end_x]) = (place(from), place(to));
            let distance = y.abs_diff(end_y).max(x.abs_diff(end_x));
            // As in the release: steps of the largest distance of all pairs, hence only the beginning of the line is checked.
            let straight = (0..=distance).all(|step| {
                let share = step as f64 / largest.max(1) as f64;
                labels[at(y, end_y, share) * width + at(x, end_x, share)] == labels[from]
            });
            *value = if straight {
                1.0
            } else {
                (-(distance as f64) / largest.max(1) as f64).exp()
            };
        }
        let blurred = blur(&row, &kernel);
        let sum: f64 = blurred.iter().sum();
        for (value, blurred) in line.iter_mut().skip(1).zip(blurred) {
            *value = (blurred / sum) as f32;
        }
    }
    map
}

/// ⌊6 · std + 1⌋ samples of a Gaussian, one more if that is even; they add up to 1.
fn gaussian_kernel(std: f64) -> Vec<f64> {
    let length = (6.0 * std + 1.0) as usize | 1;
    let middle = (length / 2) as f64;
    let samples: Vec<f64> = (0..length)
        .map(|place| (-0.5 * ((place as f64 - middle) / std).powi(2)).exp())
        .collect();
    let sum: f64 = samples.iter().sum();
    samples.into_iter().map(|sample| sample / sum).collect()
}

/// Convolution with zeros beyond both ends.
fn blur(values: &[f64], kernel: &[f64]) -> Vec<f64> {
    let middle = kernel.len() / 2;
    (0..values.len())
        .map(|place| {
            let first = place.saturating_sub(middle);
            let last = (place + middle + 1).min(values.len());
            let weights = &kernel[first + middle - place..];
            values[first..last]
                .iter()
                .zip(weights)
                .map(|(value, weight)| value * weight)
                .sum()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_odd_and_sum_to_one() {
        for (std, length) in [(5.0, 31), (1.0, 7), (1.5, 11), (0.9, 7)] {
            let kernel = gaussian_kernel(std);
            assert_eq!(kernel.len(), length, "{std}");
            assert!((kernel.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
        let blurred = blur(&[0.0, 1.0, 0.0, 0.0], &[0.25, 0.5, 0.25]);
        assert_eq!(blurred, [0.25, 0.5, 0.25, 0.0]);
    }

    #[test]
    fn patches_of_another_label_are_not_connected() {
        // Two columns of one label, with a wall between them in all rows but the last.
        let labels = [0, 1, 0, 0, 1, 0, 0, 0, 0];
        let map = region_map(&labels, [3, 3], 0.01);
        let value = |from: usize, to: usize| map[(from + 1) * 10 + to + 1];
        assert_eq!(value(0, 1), 0.0);
        assert_eq!(value(6, 7), value(6, 8));
        assert!(value(0, 2) < value(0, 3), "{} {}", value(0, 2), value(0, 3));
        assert!(map[..10].iter().all(|value| *value == 0.0));
    }
}
