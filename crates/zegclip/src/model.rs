//! The two models that make masks, each in two steps: the image alone, then the words.

use burn::tensor::Tensor;
use zegclip_model::clip::ImageEncoder;
use zegclip_model::config::Activation;
use zegclip_model::config::MaskActivation;
use zegclip_model::dense_clip::{
    DenseEncoding, DenseMethod, DenseMethodName, DenseProtocol, PaddedSize, SlidingWindow, pad_window,
};
use zegclip_model::prompt::{ImageFeatures, PromptKvCache};
use zegclip_model::{ModelError, ZegClip, ZegClipConfig};

use crate::Error;
use crate::presence::PatchScores;

/// Epsilon of norms in MaskCLIP's release.
const MASKCLIP_EPSILON: f64 = 1e-6;

/// What makes masks.
#[derive(Debug)]
pub(crate) enum Model {
    ZegClip {
        model: Box<ZegClip>,
        prompts: PromptKvCache,
        activation: MaskActivation,
    },
    Dense(Box<DenseModel>),
}

/// Plain CLIP with a method and its settings.
#[derive(Debug)]
pub(crate) struct DenseModel {
    pub(crate) encoder: ImageEncoder,
    pub(crate) method: DenseMethod,
    pub(crate) protocol: DenseProtocol,
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
    /// Short side of the resized image in pixels.
    pub(crate) short_side: usize,
    /// Largest long side of the resized image in pixels.
    pub(crate) max_long_side: usize,
    /// `None`: the whole image at once.
    pub(crate) windows: Option<SlidingWindow>,
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
            Self::Dense(_) => MaskActivation::Sigmoid,
        }
    }

    /// Features of normalized windows `[batch, 3, rows, columns]`.
    pub(crate) fn encode(&self, image: Tensor<4>) -> Result<Features, Error> {
        match self {
            Self::ZegClip { model, prompts, .. } => Ok(Features::ZegClip(model.encode_image(image, Some(prompts)))),
            Self::Dense(dense) => Ok(Features::Dense(dense.encode(image)?)),
        }
    }

    /// What masks become before the best patch of a class is found.
    pub(crate) fn patch_scores(&self) -> PatchScores {
        match self {
            Self::ZegClip { activation, .. } => PatchScores {
                scale: 1.0,
                activation: *activation,
            },
            Self::Dense(dense) => PatchScores {
                scale: dense.protocol.logit_scale,
                activation: MaskActivation::Softmax,
            },
        }
    }

    /// Masks `[batch, classes, height, width]` at patch grid from text features `[classes, embed_dim]`.
    pub(crate) fn decode(&self, features: Features, text_features: Tensor<2>) -> Result<Tensor<4>, Error> {
        match (self, features) {
            (Self::ZegClip { model, .. }, Features::ZegClip(features)) => Ok(model.decode(features, text_features)),
            (Self::Dense(dense), Features::Dense(features)) => Ok(features.cosines(&dense.encoder, text_features)?),
            _ => Err(Error::ForeignEncoding),
        }
    }
}

impl DenseModel {
    /// Loads nothing: the method's part of an encoder that is loaded.
    pub(crate) fn new(encoder: ImageEncoder, protocol: DenseProtocol) -> Result<Self, Error> {
        let encoder = match protocol.method {
            // CLIP was trained with neither, but the published figures contain both.
            DenseMethodName::MaskClipRelease => encoder
                .with_activation(Activation::Gelu)
                .with_layer_norm_epsilon(MASKCLIP_EPSILON),
            _ => encoder,
        };
        let method = DenseMethod::published(protocol.method, protocol.benchmark, encoder.blocks.len());
        let dense = Self {
            encoder,
            method,
            protocol,
        };
        if let Some(SlidingWindow { side, .. }) = dense.protocol.windows {
            let patches = dense
                .padded([side; 2])
                .size
                .map(|length| length / dense.encoder.patch_size());
            if patches[0] * patches[1] < dense.method.min_patches() {
                let needed = dense.method.min_patches();
                return Err(ModelError::TooFewPatches { patches, needed }.into());
            }
        }
        Ok(dense)
    }

    /// A window of `[height, width]` pixels with its padding.
    pub(crate) fn padded(&self, size: [usize; 2]) -> PaddedSize {
        self.protocol.padding.padded(size, self.encoder.patch_size())
    }

    fn encode(&self, image: Tensor<4>) -> Result<DenseEncoding, Error> {
        let [_, _, rows, columns] = image.dims();
        let image = pad_window(image, self.padded([rows, columns]));
        Ok(self.method.encode(&self.encoder, image)?)
    }
}

impl From<(&DenseProtocol, usize)> for Sizes {
    fn from((protocol, embed_dim): (&DenseProtocol, usize)) -> Self {
        Self {
            short_side: protocol.short_side,
            max_long_side: protocol.max_long_side,
            windows: protocol.windows,
            embed_dim,
        }
    }
}

impl From<&ZegClipConfig> for Sizes {
    fn from(config: &ZegClipConfig) -> Self {
        Self {
            short_side: config.image_size,
            max_long_side: usize::MAX,
            windows: Some(SlidingWindow {
                side: config.image_size,
                stride: config.stride,
            }),
            embed_dim: config.embed_dim,
        }
    }
}
