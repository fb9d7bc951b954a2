//! Mask decoding composed from burn's operators, over arrays of all scores: the reference device, and masks without values.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{FloatDType, IntDType, Shape, TensorData};

use super::MaskLayout;
use crate::bilinear::bilinear_matrix;

/// [`decode_masks`](super::decode_masks)
pub(super) fn decode<B: Backend>(masks: FloatTensor<B>, layout: &MaskLayout) -> FloatTensor<B> {
    let device = masks.device();
    let [_, classes, height, width] = masks.shape().dims::<4>();
    let [window_rows, window_columns] = layout.window;
    let [resized_rows, resized_columns] = layout.resized;
    let [rows, columns] = layout.output;
    // The factors on both sides of the product that resizes.
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
    for (index, [top, left]) in layout.origins.iter().copied().enumerate() {
        let mask = B::float_slice(masks.clone(), &[(index..index + 1).into()]);
        let logits = resize(mask, to_window.clone());
        let window = [
            (0..1).into(),
            (0..classes).into(),
            (top..top + window_rows).into(),
            (left..left + window_columns).into(),
        ];
        let before = B::float_slice(sum.clone(), &window);
        sum = B::float_slice_assign(sum, &window, B::float_add(before, B::sigmoid(logits)));
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
