//! Labels of pixels from masks of overlapping windows.
//!
//! [`decode_window_masks`] works on host memory and supports everything; [`decode_on_device`] leaves masks on a GPU and reads back
//! labels alone.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{ExecutionError, FloatDType, Tensor};
use serde::{Deserialize, Serialize};

mod composed;
mod cpu;
#[cfg(feature = "cube")]
mod cube;
mod names;

pub use names::{NameDecoding, NamePlanes, NameSoftmax, WindowCosines, decode_names};

/// Label of a pixel without a class.
pub const NO_CLASS: u16 = u16::MAX;

/// Largest output that is decoded on a GPU: 128 MiB of labels and scores, a buffer size that every device supports.
const MAX_PIXELS_ON_DEVICE: usize = 1 << 24;

/// What turns masks into scores in `[0, 1]`, as the loss did in training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskActivation {
    /// σ of each class independently (paper, section 3.2).
    #[default]
    Sigmoid,
    /// Softmax over the classes, for models trained by cross-entropy (the paper's baseline). It ignores a shift of all masks,
    /// to which σ is sensitive.
    Softmax,
}

/// Masks of one window, before their activation. All sizes are `[height, width]`.
#[derive(Debug, Clone)]
pub struct WindowMasks {
    /// First row and column of the window in the resized image.
    pub origin: [usize; 2],
    /// Size of the window in pixels.
    pub size: [usize; 2],
    /// Patches.
    pub grid: [usize; 2],
    /// `[height, width, classes]`, with the classes of one patch together.
    pub values: Vec<f32>,
}

/// What is decoded and how. All sizes are `[height, width]` in pixels.
#[derive(Debug, Clone, Copy)]
pub struct MaskDecoding<'a> {
    /// Size of the resized image that the windows cover.
    pub resized: [usize; 2],
    /// Size of the labels, that of the image itself.
    pub output: [usize; 2],
    /// What turns masks into scores.
    pub activation: MaskActivation,
    /// Subtracted from the score of each class, `[classes]`: the calibrated seen-class bias.
    pub seen_class_bias: &'a [f32],
    /// A pixel whose best score is lower has no class.
    pub min_score: Option<f32>,
    /// Whether to return the scores.
    pub scores: bool,
}

/// Result of [`decode_window_masks`].
#[derive(Debug, Clone)]
pub struct DecodedMasks {
    /// The best class of every pixel, `[rows, columns]`; [`NO_CLASS`] where the best score is below the minimum.
    pub labels: Vec<u16>,
    /// Scores `[classes, rows, columns]`, if they were requested.
    pub scores: Option<Vec<f32>>,
}

/// Placement of windows of one size, and the scores' bias. All sizes are `[height, width]` in pixels.
#[derive(Debug, Clone)]
pub struct MaskLayout {
    /// First row and column of each window in the resized image. Every pixel is in at least one window.
    pub origins: Vec<[usize; 2]>,
    /// Size of a window.
    pub window: [usize; 2],
    /// Size of the resized image that the windows cover.
    pub resized: [usize; 2],
    /// Size of the labels.
    pub output: [usize; 2],
    /// Subtracted from the score of each class: `[classes]`.
    pub seen_class_bias: Vec<f32>,
}

impl MaskDecoding<'_> {
    /// Whether [`decode_on_device`] supports it: labels alone, from σ, of an image that is not too large.
    pub fn fits_device(&self) -> bool {
        !self.scores
            && self.activation == MaskActivation::Sigmoid
            && self.output[0] * self.output[1] <= MAX_PIXELS_ON_DEVICE
    }
}

/// Decodes masks in host memory on all threads of the CPU. Scores are `mean over windows of activation(upsampled mask) −
/// seen_class_bias`, in `(−1, 1)`; among equal scores the first class wins.
pub fn decode_window_masks(masks: &[WindowMasks], decoding: &MaskDecoding<'_>) -> DecodedMasks {
    cpu::decode(masks, decoding)
}

/// Labels `[rows, columns]` as [`decode_window_masks`] computes them, on the device of the masks. `origins` are the first row and
/// column of each window, and all windows have the size `window`.
///
/// # Shapes
/// - `masks`: `[windows, classes, height, width]`, before their activation
///
/// # Errors
/// If the device fails.
///
/// # Panics
/// If `decoding` [does not fit](MaskDecoding::fits_device), or the numbers of origins or biases do not match the masks.
pub fn decode_on_device(
    masks: Tensor<4>,
    origins: Vec<[usize; 2]>,
    window: [usize; 2],
    decoding: &MaskDecoding<'_>,
) -> Result<Vec<u16>, ExecutionError> {
    assert!(decoding.fits_device(), "decoding on a device is not supported");
    let [rows, columns] = decoding.output;
    let layout = MaskLayout {
        origins,
        window,
        resized: decoding.resized,
        output: decoding.output,
        seen_class_bias: decoding.seen_class_bias.to_vec(),
    };
    let decoded = decode_masks(masks, layout).try_into_data()?;
    let values: Vec<f32> = decoded.iter::<f32>().collect();
    let (classes, scores) = values.split_at(rows * columns);
    let label = |(class, score): (&f32, &f32)| match decoding.min_score {
        Some(minimum) if *score < minimum => NO_CLASS,
        _ => *class as u16,
    };
    Ok(classes.iter().zip(scores).map(label).collect())
}

/// The best class of every pixel and its score: the mean over windows of σ of the masks, upsampled to the window, minus the class
/// bias, resized to the output. All resizing is bilinear; among equal scores the first class wins. On GPUs it is one pass without
/// an array `[classes, height, width]`. Not differentiable.
///
/// # Shapes
/// - `masks`: `[windows, classes, height, width]`, before σ
/// - output: class and score, `[2, rows, columns]`, in f32
///
/// # Panics
/// If the numbers of origins or biases do not match the masks.
pub fn decode_masks(masks: Tensor<4>, layout: MaskLayout) -> Tensor<3> {
    let [windows, classes, ..] = masks.dims();
    assert_eq!(windows, layout.origins.len(), "an origin for each window");
    assert_eq!(classes, layout.seen_class_bias.len(), "a bias for each class");
    let masks = masks.cast(FloatDType::F32).into_dispatch();
    Tensor::from_dispatch(<Dispatch as MaskDecodingOperator>::decode(masks, layout))
}

/// [`decode_masks()`] by backend. The default composes burn's operators.
#[backend_extension(Flex, Cube: cfg(feature = "cube"), NdArray: cfg(feature = "ndarray"), Autodiff)]
pub trait MaskDecodingOperator: Backend {
    /// [`decode_masks()`]
    fn decode(masks: FloatTensor<Self>, layout: MaskLayout) -> FloatTensor<Self> {
        composed::decode::<Self>(masks, &layout)
    }
}

impl MaskDecodingOperator for Flex {}

impl<B: MaskDecodingOperator, C: CheckpointStrategy> MaskDecodingOperator for Autodiff<B, C> {
    fn decode(masks: FloatTensor<Self>, layout: MaskLayout) -> FloatTensor<Self> {
        Self::from_inner(B::decode(masks.into_primitive(), layout))
    }
}
