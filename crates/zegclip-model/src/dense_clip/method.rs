//! The methods by name, and images encoded by them.

use std::str::FromStr;

use burn::tensor::Tensor;

use super::benchmark::Benchmark;
use super::encoding::{DENSE_POSITIONS, forward_before_last};
use super::last_block::LastLayer;
use super::patch_features::PatchFeatures;
use super::resclip::{ResClip, ResClipEncoding};
use super::sc_clip::ScClip;
use crate::clip::{ImageEncoder, PositionResize, l2_normalize};
use crate::error::ModelError;

/// A training-free method on plain CLIP, by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DenseMethodName {
    /// MaskCLIP's last block in CLIP as OpenAI trained it, as later papers compare it.
    MaskClip,
    /// MaskCLIP as released: exact GELU, norms with epsilon 1e-6, ImageNet's statistics, which its published figures contain.
    MaskClipRelease,
    /// SCLIP.
    Sclip,
    /// ClearCLIP.
    ClearClip,
    /// NACLIP.
    NaClip,
    /// ResCLIP: two passes a class list.
    ResClip,
    /// SC-CLIP, the best of them.
    #[default]
    ScClip,
}

/// A name that is not a method's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a training-free method")]
pub struct UnknownDenseMethod {
    /// The name.
    pub name: String,
}

/// A training-free method with its parameters.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum DenseMethod {
    /// One pass whose last block differs.
    LastLayer {
        /// What the last block does.
        layer: LastLayer,
        /// How positions are resized.
        positions: PositionResize,
    },
    /// [`ResClip`]
    ResClip(ResClip),
    /// [`ScClip`]
    ScClip(ScClip),
}

/// Images encoded by a method.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[expect(
    clippy::large_enum_variant,
    reason = "one value per image, which holds tensors anyway"
)]
pub enum DenseEncoding {
    /// Features that any names are compared with.
    Patches(PatchFeatures),
    /// The input of a second pass that depends on the names.
    ResClip(ResClipEncoding),
}

impl DenseMethodName {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::MaskClip,
        Self::MaskClipRelease,
        Self::Sclip,
        Self::ClearClip,
        Self::NaClip,
        Self::ResClip,
        Self::ScClip,
    ];

    /// The name of an option, such as `sc-clip`.
    pub fn name(self) -> &'static str {
        match self {
            Self::MaskClip => "maskclip",
            Self::MaskClipRelease => "maskclip-release",
            Self::Sclip => "sclip",
            Self::ClearClip => "clearclip",
            Self::NaClip => "naclip",
            Self::ResClip => "resclip",
            Self::ScClip => "sc-clip",
        }
    }
}

impl std::fmt::Display for DenseMethodName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DenseMethodName {
    type Err = UnknownDenseMethod;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|method| method.name() == name);
        found.ok_or_else(|| UnknownDenseMethod { name: name.to_owned() })
    }
}

impl DenseMethod {
    /// The method with its published parameters for an encoder of `blocks` blocks; those of ResCLIP differ by benchmark.
    pub fn published(name: DenseMethodName, benchmark: Benchmark, blocks: usize) -> Self {
        let last_layer = |layer| Self::LastLayer {
            layer,
            positions: DENSE_POSITIONS,
        };
        match name {
            DenseMethodName::MaskClip => last_layer(LastLayer::maskclip()),
            DenseMethodName::MaskClipRelease => Self::LastLayer {
                layer: LastLayer::maskclip(),
                positions: super::encoding::MASKCLIP_POSITIONS,
            },
            DenseMethodName::Sclip => last_layer(LastLayer::sclip()),
            DenseMethodName::ClearClip => last_layer(LastLayer::clearclip()),
            DenseMethodName::NaClip => last_layer(LastLayer::naclip()),
            DenseMethodName::ResClip => Self::ResClip(ResClip::published(benchmark, blocks)),
            DenseMethodName::ScClip => Self::ScClip(ScClip::for_blocks(blocks)),
        }
    }

    /// Patches that a window needs at least.
    pub fn min_patches(&self) -> usize {
        match self {
            Self::LastLayer { .. } | Self::ResClip(_) => 1,
            Self::ScClip(settings) => settings.neighbors + 1,
        }
    }

    /// Encodes images.
    ///
    /// # Shapes
    /// - `image`: `[batch, 3, rows, columns]`, normalized, each side at least one patch
    ///
    /// # Errors
    /// [`ModelError::TooFewPatches`] below [`min_patches`](Self::min_patches), [`ModelError::BlockCount`] for blocks that the encoder
    /// lacks, [`ModelError::Execution`] if the device fails.
    pub fn encode(&self, encoder: &ImageEncoder, image: Tensor<4>) -> Result<DenseEncoding, ModelError> {
        let (features, grid) = match self {
            Self::LastLayer { layer, positions } => {
                let tokens = forward_before_last(encoder, image, *positions, |_, _| {});
                let grid = tokens.grid;
                (layer.features(encoder, tokens), grid)
            }
            Self::ScClip(settings) => settings.features(encoder, image)?,
            Self::ResClip(settings) => return Ok(DenseEncoding::ResClip(settings.encode(encoder, image)?)),
        };
        Ok(DenseEncoding::Patches(PatchFeatures {
            patches: l2_normalize(features),
            grid,
        }))
    }
}

impl DenseEncoding {
    /// Cosines of patches and names: `[batch, names, height, width]`.
    ///
    /// # Shapes
    /// - `text_features`: `[names, embed_dim]`, of unit length
    ///
    /// # Errors
    /// [`ModelError::Execution`] if the device fails.
    pub fn cosines(self, encoder: &ImageEncoder, text_features: Tensor<2>) -> Result<Tensor<4>, ModelError> {
        match self {
            Self::Patches(features) => Ok(features.logits(text_features)),
            Self::ResClip(encoding) => encoding.cosines(encoder, text_features),
        }
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
            layers: 12,
            heads: 2,
            position_grid: 3,
            ..VisionConfig::vit_b16()
        };
        ImageEncoder::new(&config, 8, device)
    }

    #[test]
    fn names_are_read_back() {
        for name in DenseMethodName::ALL {
            assert_eq!(name.name().parse(), Ok(name));
        }
        assert!("zegclip".parse::<DenseMethodName>().is_err());
    }

    #[test]
    fn batches_equal_single_images_for_every_method() {
        let device = Device::flex();
        let encoder = encoder(&device);
        let texts = l2_normalize(Tensor::<2>::random([5, 8], Distribution::Default, &device));
        let images = Tensor::<4>::random([2, 3, 24, 29], Distribution::Normal(0.0, 1.0), &device);
        for name in DenseMethodName::ALL {
            let method = DenseMethod::published(name, Benchmark::Voc20, 12);
            let cosines = |image: Tensor<4>| {
                let encoding = method.encode(&encoder, image).unwrap();
                encoding.cosines(&encoder, texts.clone()).unwrap()
            };
            let together = cosines(images.clone());
            assert_eq!(together.dims(), [2, 5, 6, 7], "{name}");
            let apart = (0..2)
                .map(|index| cosines(images.clone().narrow(0, index, 1)))
                .collect();
            let difference = (together - Tensor::cat(apart, 0)).abs().max().into_scalar::<f32>();
            assert!(difference < 1e-5, "{name}: {difference}");
        }
    }

    #[test]
    fn windows_with_too_few_patches_are_refused() {
        let device = Device::flex();
        let method = DenseMethod::published(DenseMethodName::ScClip, Benchmark::Voc20, 12);
        let image = Tensor::<4>::random([1, 3, 20, 24], Distribution::Default, &device);
        let error = method.encode(&encoder(&device), image).unwrap_err();
        assert!(
            matches!(
                error,
                ModelError::TooFewPatches {
                    patches: [5, 6],
                    needed: 31
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn blocks_that_an_encoder_lacks_are_named() {
        let device = Device::flex();
        let mut encoder = encoder(&device);
        encoder.blocks.truncate(4);
        let image = Tensor::<4>::random([1, 3, 24, 24], Distribution::Default, &device);
        for name in [DenseMethodName::ScClip, DenseMethodName::ResClip] {
            let method = DenseMethod::published(name, Benchmark::Voc20, 12);
            let error = method.encode(&encoder, image.clone()).unwrap_err();
            assert!(
                matches!(error, ModelError::BlockCount { blocks: 4, .. }),
                "{name}: {error}"
            );
        }
    }
}
