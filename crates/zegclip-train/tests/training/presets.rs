//! The configurations that are shipped.

use std::path::Path;

use zegclip_data::TrainingSetting;
use zegclip_model::ZegClipConfig;
use zegclip_train::{Configuration, OptimizerConfig, ScheduleConfig, TrainConfig};

#[test]
fn every_preset_is_the_published_recipe() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/training");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let config = TrainConfig::from_file(&entry.path(), &[]).unwrap_or_else(|error| panic!("{error}"));
        let name = entry.path().file_stem().unwrap().to_string_lossy().into_owned();
        // No recipes of the paper's.
        if ["overfit-small", "demo-inductive"].contains(&name.as_str()) {
            continue;
        }
        if name.starts_with("demo-") {
            // Another data set with its own recipe.
            assert_eq!(config.data.dataset, "scenes");
            assert!(name.ends_with(config.setting.name()), "{name}");
            continue;
        }
        let (data, setting) = name.split_once('-').unwrap();
        assert_eq!(config.setting.name(), setting, "{name}");
        assert_eq!(
            (&config.optimizer, &config.schedule),
            (&OptimizerConfig::default(), &ScheduleConfig::default()),
            "{name}"
        );
        let (iterations, prompts) = match data {
            "voc12" => (20_000, ZegClipConfig::voc().prompts),
            "coco" => (80_000, ZegClipConfig::coco().prompts),
            _ => (40_000, ZegClipConfig::coco().prompts),
        };
        let transductive = config.setting == TrainingSetting::Transductive;
        assert_eq!(
            config.iterations,
            if transductive { iterations / 2 } else { iterations },
            "{name}"
        );
        assert_eq!(config.model.initial.is_some(), transductive, "{name}");
        assert_eq!(config.model.prompts.to_model(), prompts, "{name}");
        assert_eq!(
            (config.loss.focal_weight, config.loss.dice_weight),
            (100.0, 1.0),
            "{name}"
        );
        zegclip_scenes::dataset_spec(&config.data.dataset).unwrap_or_else(|error| panic!("{name}: {error}"));
        names.push(name);
    }
    names.sort();
    let expected = ["coco", "context", "voc12"]
        .map(|data| ["full", "inductive", "transductive"].map(|setting| format!("{data}-{setting}")));
    assert_eq!(names, expected.concat());
}
