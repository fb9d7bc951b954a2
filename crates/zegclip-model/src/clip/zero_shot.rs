//! Plain CLIP: similarity of images and texts.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Tensor};

use super::image_encoder::{ImageEncoder, l2_normalize};
use super::text_encoder::TextEncoder;
use crate::config::ClipConfig;

/// `ln(1 / 0.07)`: the initial logarithm of the scale in CLIP's training.
const INITIAL_LOGIT_SCALE: f64 = 2.659_260_036_932_778;

/// Both encoders and the learned scale of their similarity.
#[derive(Module, Debug)]
pub struct Clip {
    /// The image encoder.
    pub image_encoder: ImageEncoder,
    /// The text encoder.
    pub text_encoder: TextEncoder,
    /// Natural logarithm of the scale: `[1]`.
    pub logit_scale: Param<Tensor<1>>,
}

impl Clip {
    /// A model with CLIP's random initial values.
    pub fn new(config: &ClipConfig, device: &Device) -> Self {
        let scale = Initializer::Constant {
            value: INITIAL_LOGIT_SCALE,
        };
        Self {
            image_encoder: ImageEncoder::new(&config.vision, config.embed_dim, device),
            text_encoder: TextEncoder::new(&config.text, config.embed_dim, device),
            logit_scale: scale.init([1], device),
        }
    }

    /// Scaled cosine similarity of images and texts; a softmax over the texts gives CLIP's zero-shot probabilities.
    ///
    /// # Shapes
    /// - `image_features`: `[images, embed_dim]`
    /// - `text_features`: `[texts, embed_dim]`
    /// - output: `[images, texts]`
    pub fn logits_per_image(&self, image_features: Tensor<2>, text_features: Tensor<2>) -> Tensor<2> {
        let similarity = l2_normalize(image_features).matmul(l2_normalize(text_features).transpose());
        similarity * self.logit_scale.val().exp().unsqueeze::<2>()
    }
}
