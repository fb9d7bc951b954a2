//! Plain CLIP as a segmenter: features of patches instead of the whole image (MaskCLIP, Zhou et al. 2022).

use burn::tensor::Tensor;

use super::image_encoder::{ClassToken, ImageEncoder, l2_normalise};

impl ImageEncoder {
    /// How well each text fits each patch, as a cosine, without any training for it.
    ///
    /// What a patch says to others in the last block, its value, stays its own there: the block's attention is left out. So
    /// the feature of a patch is one that the class token was trained to collect, and lies where texts do.
    ///
    /// # Shapes
    /// - `image`: `[batch, 3, rows, columns]`, normalised, each side at least one patch
    /// - `text_features`: `[classes, embed_dim]`, of unit length
    /// - output: `[batch, classes, height, width]`, one value a patch, in `[-1, 1]`
    pub fn patch_similarities(&self, image: Tensor<4>, text_features: Tensor<2>) -> Tensor<4> {
        let embedded = self.embed(image, ClassToken::Once);
        let [height, width] = embedded.grid;
        let mut tokens = embedded.tokens;
        if let Some((last, blocks)) = self.blocks.split_last() {
            for block in blocks {
                tokens = block.forward(tokens, None, false);
            }
            tokens = last.forward_values(tokens);
        }
        let patches = l2_normalise(self.project(tokens.narrow(1, 1, height * width)));
        let similarity = text_features.unsqueeze::<3>().matmul(patches.swap_dims(1, 2));
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
    fn with_one_patch_and_values_alone_attention_is_no_loss() {
        // Where every token has the same value, attention gives that value: a constant image at one position.
        let device = Device::flex();
        let mut encoder = encoder(&device);
        let positions = encoder.positional_embedding.val().zeros_like();
        encoder.positional_embedding = encoder.positional_embedding.map(|_| positions);
        let image = Tensor::<4>::ones([1, 3, 12, 12], &device);
        let texts = l2_normalise(Tensor::<2>::random([5, 8], Distribution::Default, &device));
        let similarities = encoder.patch_similarities(image, texts).into_data();
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
