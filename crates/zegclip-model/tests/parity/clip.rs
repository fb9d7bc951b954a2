//! Plain CLIP from each published format.

use burn::tensor::FloatDType;
use zegclip_model::{ModelOverrides, load_clip};
use zegclip_weights::WeightFile;

use crate::cases::{Case, OnDevice, cases, values};
use crate::devices;

fn token_sequences(case: &Case) -> Vec<Vec<u32>> {
    let ids = case.tensor("token_ids");
    ids.values
        .chunks_exact(ids.shape[1])
        .map(|row| {
            let row: Vec<u32> = row.iter().map(|id| *id as u32).collect();
            let end = row.iter().position(|id| *id == 49_407).map_or(row.len(), |end| end + 1);
            row[..end].to_vec()
        })
        .collect()
}

#[test]
fn parity_clip_features_from_every_format() {
    for case in cases("clip") {
        let overrides = ModelOverrides {
            vision_heads: Some(case.number("/config/vision_heads")),
            text_heads: Some(case.number("/config/transformer_heads")),
            ..ModelOverrides::default()
        };
        let files = case.json["files"].as_object().expect("files");
        assert!(!files.is_empty());
        for device in devices() {
            for file in files.values().filter_map(|name| name.as_str()) {
                let weights = WeightFile::open(&case.folder.join(file)).unwrap_or_else(|error| panic!("{error}"));
                let clip = load_clip(&weights, &overrides, &device.device, FloatDType::F32)
                    .unwrap_or_else(|error| panic!("{error}"));
                println!("{file} on {}", device.description);
                let image = clip.image_encoder.forward(case.tensor("image").tensor(&device.device));
                let text = clip.text_encoder.forward(&token_sequences(&case));
                case.check("image_features", &values(image.clone()));
                case.check("text_features", &values(text.clone()));
                case.check("logits_per_image", &values(clip.logits_per_image(image, text)));
            }
        }
    }
}
