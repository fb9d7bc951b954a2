//! ZegCLIP (paper, figure 2): frozen CLIP image encoder with prompts, relation descriptor, decoder.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::clip::ImageEncoder;
use crate::config::{Similarity, ZegClipConfig};
use crate::decoder::Decoder;
use crate::prompt::{ImageFeatures, PromptKvCache, PromptedEncoder, Prompts};
use crate::relation::RelationDescriptor;

/// What the release subtracts from the scores of seen classes in the inductive setting: calibrated stacking, a bias towards
/// classes without pixel labels.
pub const SEEN_CLASS_BIAS: f32 = 0.1;

/// One-stage zero-shot segmentation (paper, figure 2). Text features are an input, computed once per class list.
///
/// # Example
/// ```
/// use zegclip_model::burn::tensor::{Device, Tensor};
/// use zegclip_model::{ZegClip, ZegClipConfig};
///
/// let device = Device::flex();
/// let mut config = ZegClipConfig::voc();
/// (config.vision.width, config.vision.heads, config.embed_dim) = (32, 2, 16);
/// let model = ZegClip::new(&config, &device);
/// let (image, text_features) = (Tensor::zeros([2, 3, 64, 96], &device), Tensor::ones([5, 16], &device));
/// assert_eq!(model.forward(image, text_features).dims(), [2, 5, 4, 6]);
/// ```
#[derive(Module, Debug)]
pub struct ZegClip {
    /// CLIP's image encoder.
    pub image_encoder: ImageEncoder,
    /// Its prompts; `None` is the plain encoder.
    pub prompts: Option<Prompts>,
    /// Class queries from class feature and text.
    pub relation_descriptor: RelationDescriptor,
    /// Queries to masks.
    pub decoder: Decoder,
}

impl ZegClip {
    /// A model with the published initial values. Weights of CLIP are random until they are loaded.
    pub fn new(config: &ZegClipConfig, device: &Device) -> Self {
        Self {
            image_encoder: ImageEncoder::new(&config.vision, config.embed_dim, device),
            prompts: config
                .prompts
                .as_ref()
                .map(|prompts| Prompts::new(prompts, &config.vision, device)),
            relation_descriptor: RelationDescriptor::new(config.relation, config.embed_dim, device),
            decoder: Decoder::new(&config.decoder, config.embed_dim, device),
        }
    }

    /// The model with a relation descriptor and a decoder whose initial masks are CLIP's own similarity of patches and texts.
    /// The release starts from random values; with some thousands of images this initialization decides the quality of
    /// unseen classes. Prompts do not change. The descriptor must contain the text.
    #[must_use]
    pub fn with_similarity_init(self, similarity: Similarity) -> Self {
        Self {
            relation_descriptor: self.relation_descriptor.with_identity_text_init(),
            decoder: self.decoder.with_similarity_init(similarity),
            ..self
        }
    }

    /// Class and patch features of images, with the keys and values of the prompts from [`prepare`](Self::prepare) in
    /// inference.
    ///
    /// # Shapes
    /// - `image`: `[batch, 3, rows, columns]`, normalized, each side at least one patch
    /// - output: `patches` `[batch, height · width, embed_dim]`, `class` `[batch, embed_dim]`
    pub fn encode_image(&self, image: Tensor<4>, cache: Option<&PromptKvCache>) -> ImageFeatures {
        PromptedEncoder::new(&self.image_encoder)
            .with_prompts(self.prompts.as_ref())
            .with_cache(cache)
            .forward(image)
    }

    /// Masks at patch grid, before σ.
    ///
    /// # Shapes
    /// - `image`: `[batch, 3, rows, columns]`, normalized, each side at least one patch
    /// - `text_features`: `[classes, embed_dim]`
    /// - output: `[batch, classes, height, width]`, one value a patch
    pub fn forward(&self, image: Tensor<4>, text_features: Tensor<2>) -> Tensor<4> {
        self.decode(self.encode_image(image, None), text_features)
    }

    /// Inference: as [`forward`](Self::forward) with the keys and values of the prompts from [`prepare`](Self::prepare).
    ///
    /// # Shapes
    /// - `image`: `[batch, 3, rows, columns]`, normalized, each side at least one patch
    /// - `text_features`: `[classes, embed_dim]`
    /// - output: `[batch, classes, height, width]`, one value a patch
    pub fn predict(&self, image: Tensor<4>, text_features: Tensor<2>, cache: &PromptKvCache) -> Tensor<4> {
        self.decode(self.encode_image(image, Some(cache)), text_features)
    }

    /// Keys and values of the prompts, which inference computes once for all images. Empty without prompts.
    pub fn prepare(&self) -> PromptKvCache {
        self.prompts
            .as_ref()
            .map(|prompts| prompts.prepare(&self.image_encoder))
            .unwrap_or_default()
    }

    /// Masks at patch grid, before σ, of encoded images. Only this step depends on the texts.
    ///
    /// # Shapes
    /// - `features`: `patches` `[batch, height · width, embed_dim]`, `class` `[batch, embed_dim]`
    /// - `text_features`: `[classes, embed_dim]`
    /// - output: `[batch, classes, height, width]`, one value a patch
    pub fn decode(&self, features: ImageFeatures, text_features: Tensor<2>) -> Tensor<4> {
        let [height, width] = features.grid;
        let queries = self.relation_descriptor.forward(features.class, text_features);
        let [batch, classes, _] = queries.dims();
        self.decoder
            .forward(queries, features.patches) // [batch, classes, patches]
            .reshape([batch, classes, height, width])
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;
    use crate::clip::l2_normalize;
    use crate::config::RelationForm;

    #[test]
    fn models_are_shared_between_threads() {
        fn assert_send_sync<T: Send + Sync>() {}
        assert_send_sync::<ZegClip>();
        assert_send_sync::<PromptKvCache>();
        assert_send_sync::<crate::clip::Clip>();
        assert_send_sync::<crate::ModelError>();
    }

    #[test]
    fn initial_masks_can_be_similarity() {
        let device = Device::flex();
        device.seed(2);
        let similarity = Similarity {
            scale: 30.0,
            threshold: 0.4,
        };
        for (layers, relation) in [(3, RelationForm::ProductText), (1, RelationForm::Text)] {
            let mut config = ZegClipConfig::voc();
            config.relation = relation;
            config.decoder.layers = layers;
            let (width, heads) = (64, 4);
            config.decoder.heads = heads;
            let relation = RelationDescriptor::new(relation, width, &device).with_identity_text_init();
            let decoder = Decoder::new(&config.decoder, width, &device).with_similarity_init(similarity);
            // Norms keep features whose elements sum to 0.
            let features = |shape| {
                let all = Tensor::<3>::random(shape, Distribution::Normal(0.0, 1.0), &device);
                l2_normalize(all.clone() - all.mean_dim(2))
            };
            let (patches, texts) = (features([2, 6, width]), features([1, 5, width]).squeeze_dim::<2>(0));
            let class = features([1, 2, width]).squeeze_dim::<2>(0);
            let masks = decoder.forward(relation.forward(class, texts.clone()), patches.clone());
            let expected = (texts.unsqueeze::<3>().matmul(patches.swap_dims(1, 2)) - 0.4) * 30.0;
            let differences: Vec<f32> = (masks - expected).abs().into_data().iter::<f32>().collect();
            assert_eq!(differences.len(), 2 * 5 * 6);
            // Also fails on NaN.
            assert!(
                differences.iter().all(|difference| *difference < 1e-3),
                "{layers} layers: {differences:?}"
            );
        }
    }
}
