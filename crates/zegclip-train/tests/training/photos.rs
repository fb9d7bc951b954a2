//! Real images and label maps: a small model overfits an excerpt of COCO-Stuff.

use zegclip_train::TrainConfig;

use crate::farm::Farm;

#[test]
fn a_small_model_learns_real_images() {
    let farm = Farm::new();
    let dataset = format!("data.dataset=coco-stuff={}", test_support::data("coco-mini").display());
    let overrides = [
        dataset.as_str(),
        "iterations=40",
        "model.image_size=64",
        "model.stride=53",
        "data.pipeline.crop_size=64",
        "data.pipeline.scale=[256, 64]",
        "optimizer.lr=2e-4",
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
