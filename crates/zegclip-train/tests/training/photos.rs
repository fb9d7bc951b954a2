//! Real photos and label maps: a small model learns the training photos of COCO-Stuff's excerpt.

use std::path::{Path, PathBuf};

use zegclip_train::TrainConfig;

use crate::farm::Farm;

/// The excerpt lies beside the recordings.
fn photos() -> PathBuf {
    let fixtures = std::env::var_os("ZEGCLIP_FIXTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures"),
        PathBuf::from,
    );
    let beside = fixtures.join("../data/coco-mini");
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/coco-mini");
    if beside.is_dir() { beside } else { default }
}

#[test]
fn a_small_model_learns_real_photos() {
    let farm = Farm::new();
    let dataset = format!("data.dataset=coco-stuff={}", photos().display());
    let overrides = [
        dataset.as_str(),
        "iterations=40",
        "model.image_size=64",
        "model.stride=53",
        "data.pipeline.crop_size=64",
        "data.pipeline.scale=[256, 64]",
        "optimiser.lr=2e-4",
        "model.prompts.dropout=0.0",
        "model.decoder.dropout=0.0",
    ];
    let config: TrainConfig = farm.config(&overrides);
    assert_eq!(config.setting.name(), "inductive");
    let (_, losses) = farm.train("photos", &overrides);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let (first, last) = (mean(&losses[..5]), mean(&losses[35..]));
    assert!(last < 0.8 * first, "{first} to {last}");
}
