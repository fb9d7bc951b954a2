//! SC-CLIP (Bai et al., "Self-Calibrated CLIP for Training-Free Open-Vocabulary Segmentation", 2024; arXiv 2411.15869).

use burn::tensor::activation::softmax;
use burn::tensor::{FloatDType, Tensor, TensorData};
use zegclip_kernels::attention;

use super::encoding::{DENSE_POSITIONS, forward_before_last};
use super::last_block::LastBlock;
use super::outliers::local_outliers;
use crate::clip::{ImageEncoder, QueryKeyValue, l2_normalize};
use crate::error::ModelError;

/// Blocks of the encoder that the published choice of blocks belongs to.
const PUBLISHED_BLOCKS: usize = 12;

/// A logit whose weight after the softmax is 0 to all digits.
const NEVER: f64 = -1e30;

/// Anomalous patches are repaired, patches are averaged with like ones, and the features of middle blocks take part.
///
/// Blocks are counted from 0; "after" a block is its output.
#[derive(Debug, Clone, PartialEq)]
pub struct ScClip {
    /// The block after which patches are compared for the calibration of the last one; published: 8 of 12.
    pub similarity_block: usize,
    /// The block after which patches are compared for the last aggregation; published: 3 of 12.
    pub aggregation_block: usize,
    /// Blocks whose outputs are summed for the second pass; published: 3 to 9 of 12.
    pub fused_blocks: Vec<usize>,
    /// Smaller cosines of patches count as 0; published: 0.4.
    pub min_similarity: f64,
    /// Share of the class token that is added; published: 0.3.
    pub class_share: f64,
    /// Nearest neighbors of a patch in its outlier factor; published: 30. Images need more patches than that.
    pub neighbors: usize,
    /// Share of the patches that are anomalous; published: 0.05.
    pub outlier_share: f64,
    /// Factor of similarities before their softmax; published: 3.
    pub sharpness: f64,
}

/// What the calibration finds in the blocks before the last one.
#[derive(Debug, Clone)]
pub struct Calibration {
    /// Indices of the anomalous patches of each image.
    pub outliers: Vec<Vec<usize>>,
    /// Cosines of repaired patches: `[batch, patches, patches]`, f32.
    pub similarity: Tensor<3>,
    /// What enters the last block, repaired and averaged with like patches: `[batch, patches, width]`, f32.
    pub aggregated: Tensor<3>,
}

/// Outputs of some blocks, class token included: `[batch, tokens, width]`.
struct Hidden {
    similarity: Tensor<3>,
    aggregation: Tensor<3>,
    fused: Tensor<3>,
    last: Tensor<3>,
    grid: [usize; 2],
}

impl ScClip {
    /// The published parameters; blocks lie at the same share of the depth as in the published twelve.
    pub fn for_blocks(blocks: usize) -> Self {
        let at = |block: usize| match blocks {
            PUBLISHED_BLOCKS => block,
            // The output of block 8 is that of the first 9 of 12.
            _ => (((block + 1) * blocks + PUBLISHED_BLOCKS / 2) / PUBLISHED_BLOCKS).saturating_sub(1),
        };
        Self {
            similarity_block: at(8),
            aggregation_block: at(3),
            fused_blocks: (at(3)..=at(9)).collect(),
            min_similarity: 0.4,
            class_share: 0.3,
            neighbors: 30,
            outlier_share: 0.05,
            sharpness: 3.0,
        }
    }

    /// Patch features in the joint embedding, not of unit length, and the patches `[height, width]`.
    ///
    /// # Shapes
    /// - `image`: `[batch, 3, rows, columns]`, normalized
    /// - output: `[batch, height · width, embed_dim]`
    ///
    /// # Errors
    /// [`ModelError::TooFewPatches`] unless an image has more patches than neighbors; [`ModelError::BlockCount`] for blocks that the
    /// encoder lacks; [`ModelError::Execution`] if the device fails.
    pub fn features(&self, encoder: &ImageEncoder, image: Tensor<4>) -> Result<(Tensor<3>, [usize; 2]), ModelError> {
        let hidden = self.hidden(encoder, image)?;
        let calibration = self.calibrate(&hidden)?;
        let dtype = hidden.last.dtype();
        let class_token = |tokens: &Tensor<3>| tokens.clone().narrow(1, 0, 1).cast(FloatDType::F32) * self.class_share;
        let similarity = calibration.similarity;
        let [batch, count, _] = similarity.dims();
        let mean = similarity
            .clone()
            .reshape([batch, count * count])
            .mean_dim(1)
            .reshape([batch, 1, 1]);
        let logits = (similarity - mean) * self.sharpness;
        let below = logits.clone().lower_elem(0.0);
        let like = softmax(logits.mask_fill(below, NEVER), 2); // [batch, patches, patches]
        let calibrated = |tokens: Tensor<3>| {
            let last = LastBlock::new(encoder, tokens.cast(dtype))?;
            let QueryKeyValue { key, value, .. } = last.heads.clone();
            let [batch, heads, count, head_dim] = value.dims();
            // One matrix of weights for all heads, so that the heads can stay side by side.
            let merged = value.clone().swap_dims(1, 2).reshape([batch, count, heads * head_dim]);
            let by_likeness = like
                .clone()
                .matmul(merged.cast(FloatDType::F32))
                .cast(dtype)
                .reshape([batch, count, heads, head_dim])
                .swap_dims(1, 2);
            let by_keys = attention(key.clone(), key, value, None, false);
            Some(last.project((by_likeness + by_keys) * 0.5).cast(FloatDType::F32))
        };
        let fused = patches_of(&hidden.fused).cast(FloatDType::F32);
        let (Some(first), Some(second)) = (calibrated(calibration.aggregated), calibrated(fused)) else {
            return Err(self.no_such_block(encoder));
        };
        let sum = first + class_token(&hidden.last) + second + class_token(&hidden.fused);
        let early = l2_normalize(patches_of(&hidden.aggregation).cast(FloatDType::F32));
        let output = self.shares(cosines(early)).matmul(sum);
        Ok((encoder.project(output.cast(dtype)), hidden.grid))
    }

    /// What the calibration of images finds.
    ///
    /// # Errors
    /// As [`features`](Self::features).
    pub fn calibration(&self, encoder: &ImageEncoder, image: Tensor<4>) -> Result<Calibration, ModelError> {
        self.calibrate(&self.hidden(encoder, image)?)
    }

    fn hidden(&self, encoder: &ImageEncoder, image: Tensor<4>) -> Result<Hidden, ModelError> {
        let (mut similarity, mut aggregation, mut fused) = (None, None, None::<Tensor<3>>);
        let mut take = |block: usize, output: &Tensor<3>| {
            if block == self.similarity_block {
                similarity = Some(output.clone());
            }
            if block == self.aggregation_block {
                aggregation = Some(output.clone());
            }
            if self.fused_blocks.contains(&block) {
                fused = Some(match fused.take() {
                    Some(sum) => sum + output.clone(),
                    None => output.clone(),
                });
            }
        };
        let tokens = forward_before_last(encoder, image, DENSE_POSITIONS, |block, input| {
            if let Some(before) = block.checked_sub(1) {
                take(before, input);
            }
        });
        if let Some(before_last) = encoder.blocks.len().checked_sub(2) {
            take(before_last, &tokens.tokens);
        }
        let (Some(similarity), Some(aggregation), Some(fused)) = (similarity, aggregation, fused) else {
            return Err(self.no_such_block(encoder));
        };
        Ok(Hidden {
            similarity,
            aggregation,
            fused,
            last: tokens.tokens,
            grid: tokens.grid,
        })
    }

    fn no_such_block(&self, encoder: &ImageEncoder) -> ModelError {
        let fused = self.fused_blocks.iter().copied().max().unwrap_or(0);
        ModelError::BlockCount {
            // The last block is not among those whose outputs are read.
            needed: self.similarity_block.max(self.aggregation_block).max(fused) + 2,
            blocks: encoder.blocks.len(),
        }
    }

    /// Outliers are found on the host: their sorts are of a few hundred numbers a patch, and their result is a matrix for all images.
    fn calibrate(&self, hidden: &Hidden) -> Result<Calibration, ModelError> {
        let last = patches_of(&hidden.last).cast(FloatDType::F32);
        let [batch, count, width] = last.dims();
        if count <= self.neighbors {
            return Err(ModelError::TooFewPatches {
                patches: hidden.grid,
                needed: self.neighbors + 1,
            });
        }
        let device = last.device();
        let data = last.clone().try_into_data().map_err(ModelError::execution)?;
        let values: Vec<f32> = data.iter::<f32>().collect();
        let outliers: Vec<Vec<usize>> = values
            .chunks_exact(count * width)
            .map(|image| local_outliers(image, count, self.neighbors, self.outlier_share))
            .collect();
        let repairs: Vec<f32> = outliers
            .iter()
            .flat_map(|outliers| repair(outliers, hidden.grid))
            .collect();
        let repairs: Tensor<3> = Tensor::from_data(TensorData::new(repairs, [batch, count, count]), &device);
        let compared = patches_of(&hidden.similarity).cast(FloatDType::F32);
        let similarity = cosines(l2_normalize(repairs.clone().matmul(compared)));
        let aggregated = self.shares(similarity.clone()).matmul(repairs.matmul(last));
        Ok(Calibration {
            outliers,
            similarity,
            aggregated,
        })
    }

    /// Cosines as shares of each patch in a mean; small ones count as 0.
    fn shares(&self, cosines: Tensor<3>) -> Tensor<3> {
        let small = cosines.clone().lower_elem(self.min_similarity);
        let kept = cosines.mask_fill(small, 0.0);
        let sum = kept.clone().sum_dim(2) + 1e-6;
        kept / sum
    }
}

fn patches_of(tokens: &Tensor<3>) -> Tensor<3> {
    let [_, count, _] = tokens.dims();
    tokens.clone().narrow(1, 1, count - 1)
}

/// Products of all pairs: `[batch, patches, patches]`.
fn cosines(patches: Tensor<3>) -> Tensor<3> {
    patches.clone().matmul(patches.swap_dims(1, 2))
}

/// The matrix `[patches, patches]` that replaces outliers by the mean of those of their eight neighbors that are none. An outlier
/// among outliers stays.
fn repair(outliers: &[usize], grid: [usize; 2]) -> Vec<f32> {
    let [height, width] = grid;
    let count = height * width;
    let mut matrix = vec![0f32; count * count];
    for (patch, row) in matrix.chunks_exact_mut(count).enumerate() {
        if outliers.binary_search(&patch).is_ok() {
            let (y, x) = (patch / width, patch % width);
            let rows = y.saturating_sub(1)..(y + 2).min(height);
            let around = rows.flat_map(|y| (x.saturating_sub(1)..(x + 2).min(width)).map(move |x| y * width + x));
            let sound: Vec<usize> = around.filter(|place| outliers.binary_search(place).is_err()).collect();
            if !sound.is_empty() {
                for place in &sound {
                    row[*place] = 1.0 / sound.len() as f32;
                }
                continue;
            }
        }
        row[patch] = 1.0;
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_take_the_mean_of_sound_neighbors() {
        // 3 × 4 patches; 5 and 6 are side by side, 0 is a corner.
        let matrix = repair(&[0, 5, 6], [3, 4]);
        let row = |patch: usize| &matrix[patch * 12..][..12];
        let places = |patch: usize| -> Vec<usize> { (0..12).filter(|place| row(patch)[*place] > 0.0).collect() };
        assert_eq!(places(0), [1, 4]);
        assert_eq!(places(5), [1, 2, 4, 8, 9, 10]);
        assert_eq!(places(3), [3]);
        assert!(
            matrix
                .chunks(12)
                .all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-6)
        );
        // All of them.
        let all: Vec<usize> = (0..6).collect();
        assert_eq!(repair(&all, [2, 3]), repair(&[], [2, 3]));
    }

    #[test]
    fn blocks_of_other_depths_lie_at_the_same_share() {
        let published = ScClip::for_blocks(12);
        assert_eq!((published.similarity_block, published.aggregation_block), (8, 3));
        assert_eq!(published.fused_blocks, [3, 4, 5, 6, 7, 8, 9]);
        let large = ScClip::for_blocks(24);
        assert_eq!((large.similarity_block, large.aggregation_block), (17, 7));
        assert_eq!(large.fused_blocks, (7..=19).collect::<Vec<_>>());
    }
}
