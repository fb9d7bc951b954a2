//! Labels of pixels from cosines of names, several of which may stand for one class.

use serde::{Deserialize, Serialize};

use super::{DecodedMasks, WindowMasks, cpu};

/// What the softmax of names runs over. Labels do not depend on it, probabilities do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameSoftmax {
    /// All names; the probability of a class is the largest of its names: SCLIP, ClearCLIP, SC-CLIP.
    #[default]
    OverNames,
    /// The best name of each class: NACLIP, ResCLIP.
    OverClasses,
}

/// Cosines of one window, whose patch grid may span more than the window. All sizes are `[height, width]` in pixels.
#[derive(Debug, Clone)]
pub struct WindowCosines {
    /// Place in the resized image, patches, and cosines `[height, width, names]`.
    pub masks: WindowMasks,
    /// Size that the grid spans; that of the window unless the window was padded.
    pub spanned: [usize; 2],
    /// First row and column of the window in what the grid spans.
    pub offset: [usize; 2],
}

/// Arrays at the resolution of the output, if they are requested.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NamePlanes {
    /// None.
    #[default]
    None,
    /// Mean cosines `[names, rows, columns]`.
    Cosines,
    /// Probabilities `[classes, rows, columns]`; 0 for classes that the area rule drops.
    Probabilities,
}

/// What is decoded and how. All sizes are `[height, width]` in pixels.
#[derive(Debug, Clone, Copy)]
pub struct NameDecoding<'a> {
    /// Size of the resized image that the windows cover.
    pub resized: [usize; 2],
    /// Size of the labels, that of the image itself.
    pub output: [usize; 2],
    /// The class of each name, ascending from 0.
    pub class_of_name: &'a [u16],
    /// Factor of cosines before their softmax.
    pub logit_scale: f32,
    /// What the softmax runs over.
    pub softmax: NameSoftmax,
    /// A pixel whose best class is less probable gets the label [`Self::below`].
    pub min_probability: Option<f32>,
    /// A class with not more than this share of the pixels outside class 0 has no pixels. Class 0 is the background.
    pub min_area: Option<f32>,
    /// Label of pixels below the minimum: 0 where class 0 is the background, else [`NO_CLASS`](super::NO_CLASS).
    pub below: u16,
    /// What to return beside the labels.
    pub planes: NamePlanes,
}

impl WindowCosines {
    /// Cosines of a window without padding.
    pub fn unpadded(masks: WindowMasks) -> Self {
        Self {
            spanned: masks.size,
            offset: [0; 2],
            masks,
        }
    }
}

impl NameDecoding<'_> {
    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.class_of_name.last().map_or(0, |last| usize::from(*last) + 1)
    }
}

/// Decodes cosines in host memory on all threads of the CPU, without an array `[names, rows, columns]` unless it is requested:
/// mean over windows of the upsampled cosines, resized to the output, times the scale, softmax, maximum over the names of each class,
/// best class. All resizing is bilinear; among equal classes the first one wins.
///
/// # Panics
/// If `class_of_name` does not ascend from 0 in steps of at most 1.
pub fn decode_names(windows: &[WindowCosines], decoding: &NameDecoding<'_>) -> DecodedMasks {
    let ascending = decoding.class_of_name.first().is_none_or(|first| *first == 0)
        && decoding
            .class_of_name
            .windows(2)
            .all(|pair| pair[1] - pair[0].min(pair[1]) <= 1 && pair[0] <= pair[1]);
    assert!(ascending, "classes of names ascend from 0");
    let Some(min_area) = decoding.min_area else {
        return cpu::decode_names(windows, decoding, &[]);
    };
    // The rule counts labels before any minimum.
    let counted = NameDecoding {
        min_probability: None,
        planes: NamePlanes::None,
        ..*decoding
    };
    let mut pixels = vec![0usize; decoding.classes()];
    for label in cpu::decode_names(windows, &counted, &[]).labels {
        if let Some(pixels) = pixels.get_mut(usize::from(label)) {
            *pixels += 1;
        }
    }
    let foreground: usize = pixels.iter().skip(1).sum();
    let limit = min_area * foreground as f32;
    let places = pixels.iter().enumerate();
    let dropped: Vec<bool> = places
        .map(|(class, pixels)| class > 0 && *pixels as f32 <= limit)
        .collect();
    cpu::decode_names(windows, decoding, &dropped)
}
