//! Both implementations of mask decoding on the CPU: the kernel, and the composition that other devices are compared with.

mod common;

use burn::tensor::{Device, Tensor, TensorData};
use common::values;
use test_support::numbers;
use zegclip_kernels::{
    MaskActivation, MaskDecoding, MaskLayout, NO_CLASS, WindowMasks, decode_masks, decode_on_device,
    decode_window_masks,
};

const BIAS: [f32; 6] = [0.1, 0.0, 0.1, 0.0, 0.1, 0.0];
/// Height and width of a window in pixels.
const WINDOW: [usize; 2] = [64, 64];

/// Masks of a window on 8 × 8 patches, `[height, width, classes]`.
fn mask_values(window: usize) -> Vec<f32> {
    numbers(8 * 8 * BIAS.len(), window as u64 + 1)
        .into_iter()
        .map(|value| 4.0 * value)
        .collect()
}

fn window_masks(origins: &[[usize; 2]]) -> Vec<WindowMasks> {
    let masks = |(window, origin): (usize, &[usize; 2])| WindowMasks {
        origin: *origin,
        size: WINDOW,
        grid: [8, 8],
        values: mask_values(window),
    };
    origins.iter().enumerate().map(masks).collect()
}

/// The same masks, `[windows, classes, height, width]`.
fn tensor(windows: usize) -> Tensor<4> {
    let all: Vec<f32> = (0..windows).flat_map(mask_values).collect();
    Tensor::<4>::from_data(TensorData::new(all, [windows, 8, 8, BIAS.len()]), &Device::flex()).permute([0, 3, 1, 2])
}

fn decoding(resized: [usize; 2], output: [usize; 2], min_score: Option<f32>) -> MaskDecoding<'static> {
    MaskDecoding {
        resized,
        output,
        activation: MaskActivation::Sigmoid,
        seen_class_bias: &BIAS,
        min_score,
        scores: false,
    }
}

#[test]
fn the_kernel_and_the_composition_agree() {
    for (origins, resized, output, min_score) in [
        (vec![[0, 0]], [64, 64], [64, 64], None),
        (
            vec![[0, 0], [0, 53], [0, 81], [11, 0], [11, 53], [11, 81]],
            [75, 145],
            [58, 117],
            Some(0.7),
        ),
        (vec![[0, 0], [0, 37]], [64, 101], [150, 37], None),
    ] {
        let decoding = decoding(resized, output, min_score);
        assert!(decoding.fits_device());
        let kernel = decode_window_masks(&window_masks(&origins), &decoding);
        assert!(kernel.scores.is_none());
        let composed = decode_on_device(tensor(origins.len()), origins, WINDOW, &decoding).expect("labels");
        assert_eq!(kernel.labels, composed);
        assert_eq!(min_score.is_some(), composed.contains(&NO_CLASS));
    }
}

#[test]
fn best_scores_are_those_of_the_kernel() {
    let (origins, resized, output) = (vec![[0, 0], [0, 26]], [64, 90], [40, 60]);
    let with_scores = MaskDecoding {
        scores: true,
        ..decoding(resized, output, None)
    };
    let kernel = decode_window_masks(&window_masks(&origins), &with_scores);
    let scores = kernel.scores.expect("scores");
    let pixels = output[0] * output[1];
    let best: Vec<f32> = (0..pixels)
        .map(|pixel| scores[usize::from(kernel.labels[pixel]) * pixels + pixel])
        .collect();
    let layout = MaskLayout {
        origins: origins.clone(),
        window: WINDOW,
        resized,
        output,
        seen_class_bias: BIAS.to_vec(),
    };
    let composed = values(decode_masks(tensor(origins.len()), layout).narrow(0, 1, 1));
    test_support::assert_close("best scores", &composed, &best, 1e-5);
}

#[test]
fn scores_and_softmax_do_not_fit_a_device() {
    let labels = decoding([64, 64], [64, 64], None);
    let scores = MaskDecoding { scores: true, ..labels };
    let softmax = MaskDecoding {
        activation: MaskActivation::Softmax,
        ..labels
    };
    assert!(!scores.fits_device() && !softmax.fits_device());
}
