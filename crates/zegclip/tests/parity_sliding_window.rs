//! The sliding window against recordings of the published code.
#![allow(clippy::print_stdout, reason = "a test prints how much of the tolerance it uses")]

use std::path::{Path, PathBuf};

use burn::tensor::{Tensor, TensorData};
use safetensors::SafeTensors;
use serde_json::Value;
use zegclip::{Decoding, DeviceName, Hints, MaskActivation, SegmenterBuilder, decode};

#[cfg(feature = "ndarray")]
const DEVICES: &[DeviceName] = &[DeviceName::Cpu, DeviceName::NdArray];
#[cfg(not(feature = "ndarray"))]
const DEVICES: &[DeviceName] = &[DeviceName::Cpu];

fn root() -> PathBuf {
    std::env::var_os("ZEGCLIP_FIXTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures"),
        PathBuf::from,
    )
}

fn floats(file: &SafeTensors, name: &str) -> (Vec<usize>, Vec<f32>) {
    let view = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    let values = view
        .data()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    (view.shape().to_vec(), values)
}

fn check(name: &str, case: &Value, actual: &[f32], expected: &[f32]) {
    assert_eq!(actual.len(), expected.len(), "{name}");
    let number = |key: &str| case["tolerance"][key].as_f64().expect("a tolerance") as f32;
    let largest = expected.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    let tolerance = number("absolute") + number("relative") * largest;
    let differences = actual.iter().zip(expected).map(|(a, b)| (a - b).abs());
    // `f32::max` would pass over a NaN.
    let difference = differences.fold(
        0f32,
        |worst, next| if next > worst || next.is_nan() { next } else { worst },
    );
    println!("{name}: {:.1} % of the tolerance", 100.0 * difference / tolerance);
    assert!(
        difference <= tolerance,
        "{name}: off by {difference}, allowed {tolerance}"
    );
}

#[test]
fn parity_sliding_window() {
    let mut cases = 0;
    for entry in std::fs::read_dir(root()).expect("the root of the recordings").flatten() {
        let folder = entry.path();
        let Ok(text) = std::fs::read_to_string(folder.join("case.json")) else {
            continue;
        };
        let case: Value = serde_json::from_str(&text).expect("case.json is JSON");
        if case["kind"] != "sliding_window" {
            continue;
        }
        cases += 1;
        let number = |pointer: &str| {
            case.pointer(pointer)
                .and_then(Value::as_u64)
                .unwrap_or_else(|| panic!("{pointer}")) as usize
        };
        let hints = Hints {
            image_size: Some(number("/crop")),
            stride: Some(number("/stride")),
            vision_heads: Some(number("/config/vision/heads")),
            text_heads: Some(number("/config/text/heads")),
            decoder_heads: Some(number("/config/decoder/heads")),
            relation: None,
        };
        let bytes = std::fs::read(folder.join("reference.safetensors")).expect("the tensors");
        let file = SafeTensors::deserialize(&bytes).expect("safetensors");
        let (text_shape, text) = floats(&file, "text_features");
        let (image_shape, image) = floats(&file, "image");
        let size = [image_shape[2], image_shape[3]];
        let seen: Vec<u64> = case["config"]["seen"]
            .as_array()
            .expect("seen")
            .iter()
            .filter_map(Value::as_u64)
            .collect();
        let adjusted = case["setting"] != "transductive";
        let adjustment: Vec<f32> = (0..text_shape[0] as u64)
            .map(|class| if adjusted && seen.contains(&class) { 0.1 } else { 0.0 })
            .collect();
        for (device, batch) in DEVICES.iter().flat_map(|device| [(*device, 1), (*device, 3)]) {
            println!("windows in batches of {batch} on {device}");
            let segmenter = SegmenterBuilder::new(folder.join("checkpoint.pth"))
                .hints(hints.clone())
                .batch(batch)
                .device(device)
                .load()
                .unwrap_or_else(|error| panic!("{error}"));
            let text: Tensor<2> = Tensor::from_data(
                TensorData::new(text.clone(), text_shape.clone()),
                &segmenter.device().device,
            );
            let masks = segmenter
                .window_masks(&image, size, &text)
                .unwrap_or_else(|error| panic!("{error}"));
            let original = [number("/original_size/0"), number("/original_size/1")];
            for (name, output) in [("scores", size), ("original.scores", original)] {
                let decoding = Decoding {
                    resized: size,
                    output,
                    activation: MaskActivation::Sigmoid,
                    adjustment: &adjustment,
                    threshold: None,
                    scores: true,
                };
                let decoded = decode(&masks, &decoding);
                let (_, expected) = floats(&file, name);
                check(name, &case, &decoded.scores.unwrap_or_default(), &expected);
                if name == "scores" {
                    continue;
                }
                let labels = file.tensor("original.labels").expect("labels");
                let labels = labels
                    .data()
                    .chunks_exact(8)
                    .map(|b| i64::from_le_bytes(b.try_into().expect("8 bytes")));
                let pixels = output[0] * output[1];
                for (pixel, (ours, theirs)) in decoded.labels.as_raw().iter().zip(labels).enumerate() {
                    let gap =
                        expected[theirs as usize * pixels + pixel] - expected[usize::from(*ours) * pixels + pixel];
                    assert!(
                        gap.abs() < 1e-4,
                        "pixel {pixel}: {ours} instead of {theirs}, scores {gap} apart"
                    );
                }
            }
        }
    }
    assert!(cases > 0, "no case of kind `sliding_window` under {}", root().display());
}
