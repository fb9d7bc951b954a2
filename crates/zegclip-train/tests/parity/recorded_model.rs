//! The model of a case, its labels as the setting allows them, and the text features that training sees.

use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use zegclip_data::{LabelMap, SeenClasses, TrainingLabels, TrainingSetting};
use zegclip_model::{ModelOverrides, ZegClip, load_zegclip, zegclip_config};
use zegclip_train::freeze;
use zegclip_weights::WeightFile;

use crate::cases::{Case, Recorded};

/// The release's marks of pixels without a class: 255, and 200 for padding.
const NO_CLASS: [u16; 2] = [255, 200];

pub(crate) fn model(case: &Case, device: &Device) -> ZegClip {
    let overrides = ModelOverrides {
        image_size: Some(case.number("/config/image_size")),
        stride: Some(case.number("/config/stride")),
        vision_heads: Some(case.number("/config/vision/heads")),
        text_heads: Some(case.number("/config/text/heads")),
        decoder_heads: Some(case.number("/config/decoder/heads")),
        ..ModelOverrides::default()
    };
    let weights = WeightFile::open(&case.file("checkpoint")).unwrap();
    let mut config = zegclip_config(&weights, None, &overrides).unwrap();
    config.decoder.dropout = 0.0;
    if let Some(prompts) = &mut config.prompts {
        prompts.dropout = 0.0;
    }
    let model = load_zegclip(&config, &weights, None, device, FloatDType::F32).unwrap();
    freeze::Trainable::default().apply(model, device)
}

pub(crate) fn seen(case: &Case) -> SeenClasses {
    let list = case.json["config"]["seen"].as_array().unwrap();
    let seen = list.iter().map(|index| index.as_u64().unwrap() as usize);
    SeenClasses::from_seen_indices(case.strings("/config/class_names").len(), seen).unwrap()
}

pub(crate) fn setting(case: &Case) -> TrainingSetting {
    match case.json["setting"].as_str().unwrap() {
        "inductive" => TrainingSetting::Inductive,
        "transductive" => TrainingSetting::Transductive,
        "full" => TrainingSetting::Full,
        other => panic!("setting {other}"),
    }
}

/// Labels of all images after one another.
pub(crate) fn labels(case: &Case, name: &str) -> Vec<u16> {
    let raw: Vec<u16> = case.tensor(name).values.iter().map(|label| *label as u16).collect();
    let raw: Vec<u16> = raw
        .into_iter()
        .map(|label| {
            if NO_CLASS.contains(&label) {
                LabelMap::IGNORE
            } else {
                label
            }
        })
        .collect();
    let map = LabelMap::from_raw(raw.len() as u32, 1, raw).unwrap();
    TrainingLabels::new(setting(case), &seen(case), map)
        .unwrap()
        .as_raw()
        .to_vec()
}

/// Rows of the classes that the setting may name.
pub(crate) fn text_features(case: &Case, device: &Device) -> Tensor<2> {
    let Recorded { shape, values } = case.tensor("text_features");
    let seen = seen(case);
    let keep: Vec<bool> = match setting(case) {
        TrainingSetting::Inductive => seen.flags().collect(),
        TrainingSetting::Transductive | TrainingSetting::Full => vec![true; shape[0]],
    };
    let rows: Vec<f32> = values
        .chunks(shape[1])
        .zip(&keep)
        .filter(|(_, keep)| **keep)
        .flat_map(|(row, _)| row.to_vec())
        .collect();
    let classes = rows.len() / shape[1];
    Tensor::from_data(TensorData::new(rows, [classes, shape[1]]), device)
}
