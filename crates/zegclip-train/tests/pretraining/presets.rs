//! The configurations that come with the program, and slips in one's own.

use std::path::Path;

use zegclip_model::ClipConfig;
use zegclip_train::Configuration;
use zegclip_train::pretrain::{CosineSchedule, PretrainConfig};

fn preset(name: &str) -> PretrainConfig {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../assets/pretraining")
        .join(name);
    PretrainConfig::from_file(&path, &[]).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn vit_b16_is_the_published_one() {
    let config = preset("vit-b16.toml");
    let last = config.stages.last().unwrap();
    assert_eq!(config.clip_config(last), ClipConfig::vit_b16());
}

#[test]
fn the_demo_model_is_small() {
    let config = preset("demo.toml");
    assert!(config.model.compact_tokens);
    // Every stage starts where the one before ended.
    let starts: Vec<u64> = (0..config.iterations())
        .map(|iteration| config.stage_of(iteration).unwrap().1)
        .collect();
    assert!(starts.is_sorted() && starts.first() == Some(&0));
    assert_eq!(
        config.stage_of(config.iterations()).unwrap().0,
        config.stages.last().unwrap()
    );
    preset("tiny.toml");
}

#[test]
fn errors_name_the_key() {
    let error = |set: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/pretraining/tiny.toml");
        PretrainConfig::from_file(&path, &[set.to_owned()])
            .unwrap_err()
            .to_string()
    };
    for (set, expected) in [
        (
            "stages.1.chunks=3",
            "unknown key `stages.1.chunks` (did you mean `stages.1.chunk`?)",
        ),
        ("stages.2.chunk=3", "`stages` is a list of 2 elements"),
        ("stages=[]", "`stages` = []: must have at least one stage"),
        (
            "stages.0.batch_size=1",
            "`stages.0.batch_size` = 1: must be in 2..=65536",
        ),
        ("stages.1.chunk=-1", "`stages.1.chunk`: invalid value: integer `-1`"),
        (
            "model.vision.patch_size=0",
            "`model.vision.patch_size` = 0: must be in 1..=16384",
        ),
        (
            "seed=9223372036854775808",
            "`seed` = 9223372036854775808: integers must be below 2^63",
        ),
        (
            "stages.0.image_size=4",
            "`stages.0.image_size` = 4: must be at least the patch size 8",
        ),
        (
            "model.vision.heads=5",
            "`model.vision.heads` = 5: must divide the width 32",
        ),
        ("optimizer.lr=0", "`optimizer.lr` = 0: must be positive"),
        ("data.source=", "`data.source` = \"\""),
        ("model.txt.width=3", "did you mean `model.text`?"),
    ] {
        let error = error(set);
        assert!(error.contains(expected), "{set}: {error}");
    }
}

#[test]
fn the_rate_rises_and_falls() {
    let schedule = CosineSchedule {
        warmup: 4,
        min_lr: 1e-5,
    };
    let rates: Vec<f64> = (0..=20).map(|iteration| schedule.rate(1e-3, iteration, 20)).collect();
    assert_eq!(rates[0], 2.5e-4);
    assert_eq!(rates[3], 1e-3);
    assert!((rates[12] - (1e-3 + 1e-5) / 2.0).abs() < 1e-12);
    assert!((rates[20] - 1e-5).abs() < 1e-15);
    assert!(rates[4..].is_sorted_by(|a, b| a > b));
}
