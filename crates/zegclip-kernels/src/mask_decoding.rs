//! Labels of pixels from masks of overlapping windows.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Cube, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{FloatDType, IntDType, Shape, Tensor, TensorData};
use burn_cubecl::tensor::CubeTensor;

use crate::bilinear::bilinear_matrix;
use crate::cube;

/// Where masks lie and what becomes of them. All sizes are `[height, width]` in pixels.
#[derive(Debug, Clone)]
pub struct MaskLayout {
    /// First row and column of each window in the resized image. Each pixel lies in a window at least.
    pub windows: Vec<[usize; 2]>,
    /// Size of a window.
    pub window: [usize; 2],
    /// Size of the image that windows lie over.
    pub resized: [usize; 2],
    /// Size of the labels.
    pub output: [usize; 2],
    /// Taken from the score of each class.
    pub seen_class_bias: Vec<f32>,
}

/// The best class of every pixel and its score: the mean over windows of σ of the masks, upsampled to the window, less the
/// bias, resized to the output. All resizing is bilinear; among equal scores the first class wins. On GPUs one pass
/// without an array of `[classes, height, width]`. Not differentiable.
///
/// # Shapes
/// - `masks`: `[windows, classes, height, width]`, before σ
/// - output: class and score, `[2, rows, columns]`, in f32
///
/// # Panics
/// If there are not as many windows or biases as masks have.
pub fn decode_masks(masks: Tensor<4>, layout: MaskLayout) -> Tensor<3> {
    let [windows, classes, ..] = masks.dims();
    assert_eq!(windows, layout.windows.len(), "a place for each window");
    assert_eq!(classes, layout.seen_class_bias.len(), "a bias for each class");
    let masks = masks.cast(FloatDType::F32).into_dispatch();
    Tensor::from_dispatch(<Dispatch as MaskDecodingOperator>::decode(masks, layout))
}

/// [`decode_masks()`] by the kind of device.
///
/// The default composes burn's operators.
#[backend_extension(Flex, Cube, NdArray: cfg(feature = "ndarray"), Autodiff)]
pub trait MaskDecodingOperator: Backend {
    /// [`decode_masks()`]
    fn decode(masks: FloatTensor<Self>, layout: MaskLayout) -> FloatTensor<Self> {
        compose::<Self>(masks, &layout)
    }
}

impl MaskDecodingOperator for Flex {}

impl MaskDecodingOperator for Cube {
    fn decode(masks: CubeTensor, layout: MaskLayout) -> CubeTensor {
        if masks.shape().num_elements() == 0 {
            return compose::<Self>(masks, &layout);
        }
        let device = masks.device();
        let places: Vec<i32> = layout.windows.as_flattened().iter().map(|at| *at as i32).collect();
        let places = Self::int_from_data(TensorData::new(places, [layout.windows.len(), 2]), &device);
        let classes = layout.seen_class_bias.len();
        let seen_class_bias =
            Self::float_from_data(TensorData::new(layout.seen_class_bias.clone(), [classes]), &device);
        // The classes of a cell side by side, so that a unit reads several at once.
        let masks = Self::float_permute(masks, &[0, 2, 3, 1]);
        cube::decode_masks(masks, places, seen_class_bias, &layout)
    }
}

impl<B: MaskDecodingOperator, C: CheckpointStrategy> MaskDecodingOperator for Autodiff<B, C> {
    fn decode(masks: FloatTensor<Self>, layout: MaskLayout) -> FloatTensor<Self> {
        Self::from_inner(B::decode(masks.into_primitive(), layout))
    }
}

/// The same from burn's operators, over arrays of all scores.
fn compose<B: Backend>(masks: FloatTensor<B>, layout: &MaskLayout) -> FloatTensor<B> {
    let device = masks.device();
    let [_, classes, height, width] = masks.shape().dims::<4>();
    let [window_rows, window_columns] = layout.window;
    let [resized_rows, resized_columns] = layout.resized;
    let [rows, columns] = layout.output;
    // Both sides of the product that resizes.
    let matrices = |from: [usize; 2], to: [usize; 2]| {
        let [down, right] = [0, 1].map(|axis| bilinear_matrix::<B>(from[axis], to[axis], &device));
        (down, B::float_swap_dims(right, 2, 3))
    };
    let resize = |values, (down, right)| B::float_matmul(B::float_matmul(down, values), right);
    let to_window = matrices([height, width], layout.window);
    let mut sum = B::float_zeros(
        Shape::new([1, classes, resized_rows, resized_columns]),
        &device,
        FloatDType::F32,
    );
    let mut windows_at = vec![0f32; resized_rows * resized_columns];
    for (index, [top, left]) in layout.windows.iter().copied().enumerate() {
        let mask = B::float_slice(masks.clone(), &[(index..index + 1).into()]);
        let logits = resize(mask, to_window.clone());
        let place = [
            (0..1).into(),
            (0..classes).into(),
            (top..top + window_rows).into(),
            (left..left + window_columns).into(),
        ];
        let before = B::float_slice(sum.clone(), &place);
        sum = B::float_slice_assign(sum, &place, B::float_add(before, B::sigmoid(logits)));
        for row in windows_at.chunks_exact_mut(resized_columns).skip(top).take(window_rows) {
            row[left..left + window_columns]
                .iter_mut()
                .for_each(|count| *count += 1.0);
        }
    }
    let counts = B::float_from_data(
        TensorData::new(windows_at, [1, 1, resized_rows, resized_columns]),
        &device,
    );
    let seen_class_bias = B::float_from_data(
        TensorData::new(layout.seen_class_bias.clone(), [1, classes, 1, 1]),
        &device,
    );
    let scores = B::float_sub(B::float_div(sum, counts), seen_class_bias);
    let scores = resize(scores, matrices(layout.resized, layout.output));
    let (best, labels) = B::float_max_dim_with_indices(scores, 1, IntDType::I32);
    let decoded = B::float_cat(vec![B::int_into_float(labels, FloatDType::F32), best], 1);
    B::float_reshape(decoded, Shape::new([2, rows, columns]))
}
