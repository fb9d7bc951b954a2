//! The two models that make masks, each in two steps: the image alone, then the words.

use burn::tensor::Tensor;
use zegclip_model::clip::ImageEncoder;
use zegclip_model::config::MaskActivation;
use zegclip_model::dense_clip::{DenseEncoding, DenseMethod};
use zegclip_model::prompt::{ImageFeatures, PromptKvCache};
use zegclip_model::{ZegClip, ZegClipConfig};

use crate::Error;

/// What makes masks.
#[derive(Debug)]
pub(crate) enum Model {
    ZegClip {
        model: Box<ZegClip>,
        prompts: PromptKvCache,
        activation: MaskActivation,
    },
    Dense {
        encoder: Box<ImageEncoder>,
        method: DenseMethod,
    },
}

/// Features of a batch of windows, independent of words.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "one value per image, which holds tensors anyway"
)]
pub(crate) enum Features {
    ZegClip(ImageFeatures),
    Dense(DenseEncoding),
}

/// The sizes that windows and text features depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Side of a window in pixels.
    pub(crate) image_size: usize,
    /// Pixels from one window to the next.
    pub(crate) stride: usize,
    /// Width of the joint embedding.
    pub(crate) embed_dim: usize,
}

impl Model {
    pub(crate) fn zegclip(model: ZegClip, config: &ZegClipConfig) -> Self {
        Self::ZegClip {
            prompts: model.prepare(),
            model: Box::new(model),
            activation: config.mask_activation,
        }
    }

    /// What turns its masks into scores.
    pub(crate) fn mask_activation(&self) -> MaskActivation {
        match self {
            Self::ZegClip { activation, .. } => *activation,
            Self::Dense { .. } => MaskActivation::Sigmoid,
        }
    }

    /// Features of normalized windows `[batch, 3, rows, columns]`.
    pub(crate) fn encode(&self, image: Tensor<4>) -> Result<Features, Error> {
        match self {
            Self::ZegClip { model, prompts, .. } => Ok(Features::ZegClip(model.encode_image(image, Some(prompts)))),
            Self::Dense { encoder, method } => Ok(Features::Dense(method.encode(encoder, image)?)),
        }
    }

    /// Masks `[batch, classes, height, width]` at patch grid from text features `[classes, embed_dim]`.
    pub(crate) fn decode(&self, features: Features, text_features: Tensor<2>) -> Result<Tensor<4>, Error> {
        match (self, features) {
            (Self::ZegClip { model, .. }, Features::ZegClip(features)) => Ok(model.decode(features, text_features)),
            (Self::Dense { encoder, .. }, Features::Dense(features)) => Ok(features.cosines(encoder, text_features)?),
            _ => Err(Error::ForeignEncoding),
        }
    }
}

impl From<&ZegClipConfig> for Sizes {
    fn from(config: &ZegClipConfig) -> Self {
        Self {
            image_size: config.image_size,
            stride: config.stride,
            embed_dim: config.embed_dim,
        }
    }
}
