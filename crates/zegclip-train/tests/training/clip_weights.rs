//! Runs that start from CLIP's own weights, in whatever format.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, FloatDType};
use zegclip_data::Vocabulary;
use zegclip_model::clip::Clip;
use zegclip_model::{ModelOverrides, load_clip};
use zegclip_weights::WeightFile;

use crate::farm::Farm;

/// Sizes that fit the recorded tiny CLIP.
const SIZES: [&str; 5] = [
    "model.image_size=64",
    "model.stride=53",
    "data.pipeline.crop_size=64",
    "data.pipeline.scale=[160, 80]",
    "model.decoder.heads=2",
];

fn recorded(name: &str) -> PathBuf {
    test_support::recordings().join("clip-formats").join(name)
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/example/random-clip.safetensors")
}

#[test]
fn every_format_of_clip_trains_to_the_same_model() {
    let farm = Farm::new();
    let train = |run: &str, path: &Path| {
        let clip = format!("model.clip={}", path.display());
        farm.train_clip(run, &[&SIZES[..], &["iterations=3", &clip]].concat())
    };
    let files = [
        "ViT-tiny.pt",
        "open_clip_model.safetensors",
        "hugging_face_model.safetensors",
    ];
    let mut losses = Vec::new();
    for file in files {
        losses.push(train(file, &recorded(file)));
    }
    assert_eq!(losses[0], losses[1]);
    assert_eq!(losses[0], losses[2]);
    let model = |run: &str| WeightFile::open(&farm.path(&format!("{run}/model.safetensors"))).unwrap();
    let [first, second, third] = files.map(model);
    let mut compared = 0;
    for name in first.names() {
        let values = first.tensor_f32(name).unwrap();
        assert!(
            values == second.tensor_f32(name).unwrap() && values == third.tensor_f32(name).unwrap(),
            "{name}"
        );
        compared += 1;
    }
    assert!(compared > 74 && first.parts().text_encoder, "{compared}");
    // The model is also the CLIP that it was made of.
    let clip =
        |file: &WeightFile| load_clip(file, &ModelOverrides::default(), &Device::flex(), FloatDType::F32).unwrap();
    let (before, after) = (clip(&WeightFile::open(&recorded(files[0])).unwrap()), clip(&first));
    let scale = |clip: &Clip| clip.logit_scale.val().into_data();
    scale(&after).assert_eq(&scale(&before), true);
    // The shipped file has the same values, and the width of the heads.
    assert!(train("shipped", &shipped()) != losses[0]);
}

#[test]
fn text_features_are_computed_once_a_run() {
    let farm = Farm::new();
    let clip = format!("model.clip={}", shipped().display());
    let overrides = [&SIZES[..], &["iterations=2", &clip]].concat();
    let config = farm.clip_config(&overrides);
    let training = farm.training("a", &config).unwrap();
    let folder = training.run_directory().text_features_path();
    let files = || {
        let entries = std::fs::read_dir(&folder).unwrap().flatten();
        let mut files: Vec<_> = entries
            .map(|entry| (entry.file_name(), entry.metadata().unwrap().modified().unwrap()))
            .collect();
        files.sort();
        files
    };
    let first = files();
    assert_eq!(first.len(), 1, "the list of seen classes");
    let whole = Vocabulary::from_names("cow, sheep, sofa, grass").unwrap();
    let asked = training.text_features(&whole).unwrap().into_data();
    assert_eq!(files().len(), 2, "a list that an evaluation asks for");
    let asked_again = training.text_features(&whole).unwrap().into_data();
    asked_again.assert_eq(&asked, true);
    let all = files();
    drop(training);
    let training = farm.training("a", &config).unwrap();
    training
        .text_features(&whole)
        .unwrap()
        .into_data()
        .assert_eq(&asked, true);
    assert_eq!(files(), all, "a resumed run computed them again");
}
