//! Settings of methods on plain CLIP.

use clap::Args;
use serde::Deserialize;
use zegclip::{DenseOverrides, Pamr};

use super::values::{RefinementName, WindowSide, parse_logit_scale};

/// Each is that of the method, or of the protocol, unless it is given.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(default)]
pub(crate) struct DenseArguments {
    /// Prompt templates: `single` ("a photo of a {}"), `imagenet80`, or a file with one template per line [default: imagenet80
    /// for plain CLIP, else those of the vocabulary]
    #[arg(long, value_name = "single|imagenet80|FILE")]
    pub(crate) templates: Option<String>,
    /// Plain CLIP: short side of the resized image in pixels [default: 336, or one and a half of CLIP's own]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u16).range(1..=16384))]
    pub(crate) short_side: Option<u16>,
    /// Plain CLIP: side of a window in pixels, or `whole` for the whole image at once [default: 224, or CLIP's own]
    #[arg(long, value_name = "PIXELS|whole")]
    pub(crate) window: Option<WindowSide>,
    /// Plain CLIP: pixels from one window to the next [default: half of a window]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u16).range(1..=16384))]
    pub(crate) stride: Option<u16>,
    /// Plain CLIP: factor of cosines before their softmax [default: that of the method, 40 or 50]
    #[arg(long, value_name = "X", value_parser = parse_logit_scale)]
    pub(crate) logit_scale: Option<f64>,
    /// Plain CLIP: refinement of scores by the colors of pixels [default: that of the protocol, else none]
    #[arg(long)]
    pub(crate) refine: Option<RefinementName>,
}

impl DenseArguments {
    /// These settings, and those of `others` that are missing here.
    pub(crate) fn or(self, others: Self) -> Self {
        Self {
            templates: self.templates.or(others.templates),
            short_side: self.short_side.or(others.short_side),
            window: self.window.or(others.window),
            stride: self.stride.or(others.stride),
            logit_scale: self.logit_scale.or(others.logit_scale),
            refine: self.refine.or(others.refine),
        }
    }

    /// The settings that are given.
    pub(crate) fn overrides(&self) -> DenseOverrides {
        DenseOverrides {
            short_side: self.short_side.map(usize::from),
            window: self.window.map(WindowSide::side),
            stride: self.stride.map(usize::from),
            logit_scale: self.logit_scale,
            refinement: self.refine.map(|refinement| match refinement {
                RefinementName::Pamr => Some(Pamr::default()),
                RefinementName::None => None,
            }),
        }
    }
}
