//! Patch features in the joint embedding of images and texts.

use burn::tensor::Tensor;

/// Patch features in the joint embedding of images and texts.
#[derive(Debug, Clone)]
pub struct PatchFeatures {
    /// Of unit length, row by row: `[batch, height · width, embed_dim]`.
    pub patches: Tensor<3>,
    /// Patches `[height, width]`.
    pub grid: [usize; 2],
}

impl PatchFeatures {
    /// Cosine similarity of patch and text features.
    ///
    /// # Shapes
    /// - `text_features`: `[names, embed_dim]`, of unit length
    /// - output: `[batch, names, height, width]`, one cosine per patch, in `[-1, 1]`
    pub fn logits(self, text_features: Tensor<2>) -> Tensor<4> {
        let [height, width] = self.grid;
        let similarity = text_features.unsqueeze::<3>().matmul(self.patches.swap_dims(1, 2)); // [batch, names, patches]
        let [batch, names, _] = similarity.dims();
        similarity.reshape([batch, names, height, width])
    }
}
