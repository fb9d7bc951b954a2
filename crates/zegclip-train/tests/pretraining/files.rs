//! The file that a run ends in, and lists of images and captions.

use std::path::Path;

use burn::tensor::{Device, FloatDType, Tensor};
use zegclip_data::{RgbImage, encode_png};
use zegclip_model::clip::{Clip, TextEncoder, Tokenizer};
use zegclip_model::{ModelOverrides, expand_token_embedding, load_clip, load_text_encoder, text_config};
use zegclip_weights::{IfExists, OutputTensor, WeightFile, write_open_clip};

use zegclip_train::pretrain::PairSource;

use crate::runs::Runs;

fn features(encoder: &TextEncoder, texts: &[&str]) -> Vec<f32> {
    let tokens: Vec<Vec<u32>> = texts
        .iter()
        .map(|text| Tokenizer::clip().encode(text, 77).ids)
        .collect();
    encoder.forward(&tokens).into_data().iter::<f32>().collect()
}

#[test]
fn a_pruned_vocabulary_expands_for_other_programs() {
    let runs = Runs::new();
    runs.finish("a", &[]);
    let device = Device::flex();
    let file = WeightFile::open(&runs.path("a/model.safetensors")).unwrap();
    let clip: Clip = load_clip(&file, &ModelOverrides::default(), &device, FloatDType::F32).unwrap();
    let (config, _) = text_config(&file, &ModelOverrides::default()).unwrap();
    let kept = config.pruned_vocabulary.clone().unwrap();
    assert!((300..2000).contains(&kept.len()), "{}", kept.len());
    assert_eq!(clip.text_encoder.token_embedding.dims(), [kept.len() + 1, 32]);
    assert!(config.unknown_tokens("a photo of two cats on grass").is_empty());
    let spaceship = Tokenizer::clip().encode("spaceship", 77).ids;
    assert_eq!(config.unknown_tokens("spaceship"), spaceship[1..spaceship.len() - 1]);

    let whole = expand_token_embedding(&file, &config, None).unwrap().unwrap();
    let mut tensors: Vec<OutputTensor<'_>> = file
        .names()
        .filter(|name| *name != whole.name())
        .map(|name| file.output(name, None).unwrap())
        .collect();
    tensors.push(whole);
    let path = runs.path("open-clip.pt");
    write_open_clip(&path, tensors, IfExists::Fail).unwrap();
    let open_clip = WeightFile::open(&path).unwrap();
    let overrides = ModelOverrides {
        text_heads: Some(2),
        vision_heads: Some(2),
        ..ModelOverrides::default()
    };
    let encoder = load_text_encoder(&open_clip, &overrides, &device, FloatDType::F32).unwrap();
    assert_eq!(encoder.token_embedding.dims(), [49_408, 32]);
    let texts = ["a photo of a cat", "two spaceships in the sky"];
    assert_eq!(features(&encoder, &texts), features(&clip.text_encoder, &texts));
    let loaded = load_clip(&open_clip, &overrides, &device, FloatDType::F32).unwrap();
    let image = Tensor::<4>::ones([1, 3, 48, 48], &device);
    let outputs = [loaded, clip].map(|clip| clip.image_encoder.forward(image.clone()).into_data());
    assert_eq!(outputs[0], outputs[1]);
}

/// Four images of one color each, and the file that lists them.
fn write_images(folder: &Path) -> String {
    let colors = [
        ("red", [200, 20, 20]),
        ("green", [20, 180, 20]),
        ("blue", [20, 20, 200]),
        ("grey", [90, 90, 90]),
    ];
    let mut lines = String::new();
    for (name, color) in colors {
        let image = RgbImage::from_raw(50, 40, color.repeat(50 * 40)).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), encode_png(&image).unwrap()).unwrap();
        lines += &format!(
            "{{\"image\": \"{name}.png\", \"captions\": [\"all {name}\", \"a {name} wall\"], \"names\": [\"{name}\"], \"id\": 1}}\n"
        );
    }
    let list = folder.join("captions.jsonl");
    std::fs::write(&list, lines).unwrap();
    list.display().to_string()
}

#[test]
fn a_model_learns_images_from_files() {
    let runs = Runs::new();
    let folder = tempfile::tempdir().unwrap();
    let list = write_images(folder.path());
    let source = format!("data.source={list}");
    let validation = format!("data.validation={list}");
    let overrides = [
        source.as_str(),
        validation.as_str(),
        "stages.0.batch_size=4",
        "stages.1.batch_size=4",
        "stages.0.iterations=60",
        "run.evaluation_interval=1000",
    ];
    let losses = runs.finish("a", &overrides);
    assert!(losses[60] < 0.5 * losses[0], "{} {}", losses[0], losses[60]);
    let patches = [&overrides[..], &["loss.patches=0.7"]].concat();
    let losses = runs.finish("b", &patches);
    assert!(losses[60] < 0.5 * losses[0], "{} {}", losses[0], losses[60]);
    let run = runs.training("a", &runs.config(&overrides)).unwrap();
    let lines = run.run_directory().metrics().unwrap();
    let scores = lines.last().unwrap().clip_scores["validation"];
    assert_eq!((scores.top1, scores.image_to_text_r1), (None, 100.0), "{scores:?}");
}

#[test]
fn errors_of_a_pair_list_name_file_and_line() {
    let runs = Runs::new();
    let list = runs.path("list.jsonl");
    let source = format!("data.source={}", list.display());
    let config = runs.config(&[&source]);
    let error = |text: &str| {
        std::fs::write(&list, text).unwrap();
        PairSource::open(&config).unwrap_err().to_string()
    };
    for (text, expected) in [
        ("", "the pair list is empty"),
        (
            "{\"image\": \"a.png\", \"captions\": []}",
            "line 1: the image has no caption",
        ),
        ("\n{\"image\": \"a.png\"}", "line 2: missing field `captions`"),
        ("a.png a cat", "line 1: expected value"),
    ] {
        let error = error(text);
        assert!(error.contains(expected) && error.contains("list.jsonl"), "{error}");
    }
    // The patch-text loss needs names.
    std::fs::write(&list, "{\"image\": \"a.png\", \"captions\": [\"a cat\"]}").unwrap();
    let patches = runs.config(&[&source, "loss.patches=0.5"]);
    let nameless = PairSource::open(&patches).unwrap_err().to_string();
    assert!(nameless.contains("no line has `names`"), "{nameless}");
    std::fs::remove_file(&list).unwrap();
    let missing = PairSource::open(&config).unwrap_err().to_string();
    assert!(
        missing.contains("cannot read") && missing.contains("list.jsonl"),
        "{missing}"
    );
    // A missing image is named when it is read.
    std::fs::write(&list, "{\"image\": \"a.png\", \"captions\": [\"a cat\"]}").unwrap();
    let training = runs.training("a", &config).unwrap();
    let error = training.run().unwrap_err().to_string();
    assert!(error.contains("a.png"), "{error}");
}

#[test]
fn a_run_starts_from_a_file() {
    let runs = Runs::new();
    let losses = runs.finish("a", &["stages.0.iterations=30"]);
    let initial = format!("model.initial={}", runs.path("a/model.safetensors").display());
    // The first batch is new to the model, its classes are not.
    let further = runs.finish("b", &[&initial, "seed=3", "stages.0.image_size=48"]);
    assert!(further[0] < losses[0] - 0.1, "{} {}", further[0], losses[0]);
    let other = runs.config(&[&initial, "model.vision.width=64"]);
    let error = runs.training("c", &other).unwrap_err().to_string();
    assert!(error.contains("conv1") && error.contains("shape"), "{error}");
    // Shapes do not tell these apart.
    for (run, set, property) in [
        ("d", "model.vision.activation=gelu", "vision.activation = quick_gelu"),
        ("e", "model.text.heads=1", "text.heads"),
    ] {
        let error = runs.training(run, &runs.config(&[&initial, set])).unwrap_err();
        assert!(error.is_configuration_error(), "{error}");
        let error = error.to_string();
        assert!(error.contains("model.initial") && error.contains(property), "{error}");
    }
}
