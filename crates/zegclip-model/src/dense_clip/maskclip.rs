//! MaskCLIP (Zhou et al., "Extract Free Dense Labels from CLIP", ECCV 2022; arXiv 2112.01071), section 3.2.

use burn::tensor::Tensor;

use crate::clip::{AttentionScope, ClassToken, ImageEncoder, l2_normalize};

/// Patch features in the joint embedding of images and texts.
#[derive(Debug, Clone)]
pub struct PatchFeatures {
    /// Of unit length, row by row: `[batch, height · width, embed_dim]`.
    pub patches: Tensor<3>,
    /// Patches `[height, width]`.
    pub grid: [usize; 2],
}

impl ImageEncoder {
    /// Cosine similarity of patch and text features, without training.
    ///
    /// # Shapes
    /// - `image`: `[batch, 3, rows, columns]`, normalized, each side at least one patch
    /// - `text_features`: `[classes, embed_dim]`, of unit length
    /// - output: `[batch, classes, height, width]`, one cosine per patch, in `[-1, 1]`
    pub fn maskclip_logits(&self, image: Tensor<4>, text_features: Tensor<2>) -> Tensor<4> {
        self.maskclip_features(image).logits(text_features)
    }

    /// Patch features that [`maskclip_logits`](Self::maskclip_logits) compares with texts.
    ///
    /// The last block has no attention between tokens: each token's value passes through the output projection. The class
    /// token is trained to aggregate these values, so they are in the joint embedding of images and texts.
    ///
    /// # Shapes
    /// - `image`: `[batch, 3, rows, columns]`, normalized, each side at least one patch
    pub fn maskclip_features(&self, image: Tensor<4>) -> PatchFeatures {
        let embedded = self.embed(image, ClassToken::Once);
        let grid = embedded.grid;
        let mut tokens = embedded.tokens;
        if let Some((last, blocks)) = self.blocks.split_last() {
            for block in blocks {
                tokens = block.forward(tokens, AttentionScope::All);
            }
            tokens = last.forward_values(tokens);
        }
        let patches = l2_normalize(self.project(tokens.narrow(1, 1, grid[0] * grid[1]))); // [batch, patches, embed_dim]
        PatchFeatures { patches, grid }
    }
}

impl PatchFeatures {
    /// Cosine similarity of patch and text features.
    ///
    /// # Shapes
    /// - `text_features`: `[classes, embed_dim]`, of unit length
    /// - output: `[batch, classes, height, width]`, one cosine per patch, in `[-1, 1]`
    pub fn logits(self, text_features: Tensor<2>) -> Tensor<4> {
        let [height, width] = self.grid;
        let similarity = text_features.unsqueeze::<3>().matmul(self.patches.swap_dims(1, 2)); // [batch, classes, patches]
        let [batch, classes, _] = similarity.dims();
        similarity.reshape([batch, classes, height, width])
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::config::VisionConfig;

    fn encoder(device: &Device) -> ImageEncoder {
        let config = VisionConfig {
            patch_size: 4,
            width: 16,
            layers: 2,
            heads: 2,
            position_grid: 3,
            ..VisionConfig::vit_b16()
        };
        ImageEncoder::new(&config, 8, device)
    }

    #[test]
    fn patches_of_a_constant_image_without_positions_are_equal() {
        // Attention over equal values gives that value, so every patch has the same feature.
        let device = Device::flex();
        let mut encoder = encoder(&device);
        let positions = encoder.positional_embedding.val().zeros_like();
        encoder.positional_embedding = encoder.positional_embedding.map(|_| positions);
        let image = Tensor::<4>::ones([1, 3, 12, 12], &device);
        let texts = l2_normalize(Tensor::<2>::random([5, 8], Distribution::Default, &device));
        let similarities = encoder.maskclip_logits(image, texts).into_data();
        assert_eq!(similarities.shape().as_slice(), [1, 5, 3, 3]);
        let values: Vec<f32> = similarities.iter::<f32>().collect();
        for class in values.chunks(9) {
            assert!(
                class
                    .iter()
                    .all(|value| (value - class[0]).abs() < 1e-5 && value.abs() <= 1.0 + 1e-5)
            );
        }
        assert!((values[0] - values[9]).abs() > 1e-4, "{values:?}");
    }
}
