//! The assembled model: frozen CLIP encoder with prompts, relation descriptor and decoder.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::clip::ImageEncoder;
use crate::config::ZegClipConfig;
use crate::decoder::Decoder;
use crate::prompt::{ImageFeatures, PromptKeyValues, Prompts, encode_image};
use crate::relation::RelationDescriptor;

/// What the release takes from the scores of seen classes in the inductive setting, so that classes without pixel labels
/// get their share.
pub const SEEN_CLASS_ADJUSTMENT: f32 = 0.1;

/// One-stage zero-shot segmentation (paper, figure 2). Text features come from outside, once a class list.
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
    /// A model with the published initial values; weights of CLIP are random too until they are loaded.
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

    /// Class and patch features of images.
    ///
    /// # Shapes
    /// - `image`: `[batch, 3, rows, columns]`, normalised, each side at least one patch
    pub fn encode_image(&self, image: Tensor<4>, folded: Option<&PromptKeyValues>) -> ImageFeatures {
        encode_image(&self.image_encoder, self.prompts.as_ref(), folded, image, |_, _| {})
    }

    /// Masks at patch grid, before σ.
    ///
    /// # Shapes
    /// - `image`: `[batch, 3, rows, columns]`, normalised, each side at least one patch
    /// - `text_features`: `[classes, embed_dim]`
    /// - output: `[batch, classes, height, width]`, one value a patch
    pub fn forward(&self, image: Tensor<4>, text_features: Tensor<2>) -> Tensor<4> {
        self.decode(self.encode_image(image, None), text_features)
    }

    /// Inference: as [`forward`](Self::forward) with the prompts' keys and values computed beforehand.
    pub fn predict(&self, image: Tensor<4>, text_features: Tensor<2>, folded: &Folded) -> Tensor<4> {
        self.decode(self.encode_image(image, folded.prompts.as_ref()), text_features)
    }

    /// What inference computes once and uses for every image.
    pub fn fold(&self) -> Folded {
        Folded {
            prompts: self
                .prompts
                .as_ref()
                .map(|prompts| prompts.key_values(&self.image_encoder)),
        }
    }

    fn decode(&self, features: ImageFeatures, text_features: Tensor<2>) -> Tensor<4> {
        let [height, width] = features.grid;
        let queries = self.relation_descriptor.forward(features.class, text_features);
        let [batch, classes, _] = queries.dims();
        self.decoder
            .forward(queries, features.patches)
            .reshape([batch, classes, height, width])
    }
}

/// Image-independent results of a model in inference.
#[derive(Debug, Clone)]
pub struct Folded {
    prompts: Option<PromptKeyValues>,
}
