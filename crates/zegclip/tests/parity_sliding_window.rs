//! The sliding window against recordings of the published code.
#![allow(clippy::print_stdout, reason = "a test prints how much of the tolerance it uses")]

use burn::tensor::{Tensor, TensorData};
use serde_json::Value;
use zegclip::{DeviceName, MaskActivation, MaskDecoding, ModelOverrides, Segmenter, decode};

#[cfg(feature = "ndarray")]
const DEVICES: &[DeviceName] = &[DeviceName::Cpu, DeviceName::NdArray];
#[cfg(not(feature = "ndarray"))]
const DEVICES: &[DeviceName] = &[DeviceName::Cpu];

#[test]
fn parity_sliding_window() {
    for case in test_support::cases("sliding_window") {
        let overrides = ModelOverrides {
            image_size: Some(case.number("/crop")),
            stride: Some(case.number("/stride")),
            vision_heads: Some(case.number("/config/vision/heads")),
            text_heads: Some(case.number("/config/text/heads")),
            decoder_heads: Some(case.number("/config/decoder/heads")),
            ..ModelOverrides::default()
        };
        let (text, image) = (case.tensor("text_features"), case.tensor("image"));
        let size = [image.shape[2], image.shape[3]];
        let seen: Vec<u64> = case.json["config"]["seen"]
            .as_array()
            .expect("seen")
            .iter()
            .filter_map(Value::as_u64)
            .collect();
        let adjusted = case.json["setting"] != "transductive";
        let seen_class_bias: Vec<f32> = (0..text.shape[0] as u64)
            .map(|class| if adjusted && seen.contains(&class) { 0.1 } else { 0.0 })
            .collect();
        for (device, batch) in DEVICES.iter().flat_map(|device| [(*device, 1), (*device, 3)]) {
            println!("windows in batches of {batch} on {device}");
            let segmenter = Segmenter::builder()
                .weights(case.file("checkpoint"))
                .model_overrides(overrides.clone())
                .window_batch(batch)
                .device(device)
                .build()
                .unwrap_or_else(|error| panic!("{error}"));
            let text: Tensor<2> = Tensor::from_data(
                TensorData::new(text.values.clone(), text.shape.clone()),
                &segmenter.device().device,
            );
            let masks = segmenter
                .window_masks(&image.values, size, &text)
                .unwrap_or_else(|error| panic!("{error}"));
            let original = [case.number("/original_size/0"), case.number("/original_size/1")];
            for (name, output) in [("scores", size), ("original.scores", original)] {
                let decoding = MaskDecoding {
                    resized: size,
                    output,
                    activation: MaskActivation::Sigmoid,
                    seen_class_bias: &seen_class_bias,
                    min_score: None,
                    scores: true,
                };
                let decoded = decode(&masks, &decoding).expect("the size of the output");
                case.check(name, &decoded.scores.unwrap_or_default());
                if output == original {
                    let labels: Vec<usize> = decoded.labels.as_raw().iter().copied().map(usize::from).collect();
                    case.check_labels("original.labels", &labels, &case.tensor(name));
                }
            }
        }
    }
}
