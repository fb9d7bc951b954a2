//! A tiny data set on disk and a tiny configuration, for runs of a second.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::tensor::Device;
use zegclip_data::{LabelMap, RgbImage, Vocabulary, encode_label_png};
use zegclip_model::device::{self, OpenDevice};
use zegclip_train::{
    Configuration, Iteration, Outcome, RunDirectory, SegmentationTraining, TrainConfig, TrainData, TrainError,
};

const SIDE: u32 = 40;
const DESCRIPTION: &str = r#"
classes = ["cow", "sheep", "sofa", "grass"]
unseen = ["sofa"]
[splits.train]
images = "photos/*.png"
labels = "masks/*.png"
"#;
const CONFIG: &str = r#"
seed = 5
iterations = 6
batch_size = 4
[model]
image_size = 32
stride = 26
[model.prompts]
count = 2
blocks = 1
dropout = 0.3
[model.decoder]
layers = 2
heads = 2
ffn_ratio = 2
dropout = 0.3
[model.untrained_clip]
embed_dim = 16
vision = { patch_size = 8, width = 32, layers = 2, heads = 2, position_grid = 4 }
text = { width = 16, layers = 1, heads = 2, context_length = 16, vocabulary_size = 49408 }
[data]
threads = 2
[data.pipeline]
crop_size = 32
scale = [96, 40]
[schedule]
warmup = 2
[run]
log_interval = 1
checkpoint_interval = 2
"#;

/// Images and label maps in a temporary folder.
pub(crate) struct Farm {
    pub(crate) folder: tempfile::TempDir,
    /// A device has one random number generator, so runs are sequential.
    _turn: MutexGuard<'static, ()>,
}

impl Farm {
    pub(crate) fn new() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let farm = Self {
            folder: tempfile::tempdir().unwrap(),
            _turn: turn,
        };
        for folder in ["photos", "masks"] {
            std::fs::create_dir(farm.path(folder)).unwrap();
        }
        std::fs::write(farm.path("farm.toml"), DESCRIPTION).unwrap();
        for sample in 0..5 {
            let pixels = (0..SIDE)
                .flat_map(|y| (0..SIDE).flat_map(move |x| color_at(sample, x, y)))
                .collect();
            let image = RgbImage::from_raw(SIDE, SIDE, pixels).unwrap();
            image.save(farm.path(&format!("photos/{sample}.png"))).unwrap();
            farm.write_labels(sample, |x, y| class_at(sample, x, y));
        }
        farm
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write_labels(&self, sample: u32, label: impl Fn(u32, u32) -> u16) {
        let pixels = (0..SIDE)
            .flat_map(|y| (0..SIDE).map(move |x| (x, y)))
            .map(|(x, y)| label(x, y))
            .collect();
        let map = LabelMap::from_raw(SIDE, SIDE, pixels).unwrap();
        let vocabulary = Vocabulary::from_names("cow, sheep, sofa, grass").unwrap();
        let png = encode_label_png(&map, &vocabulary.palette()).unwrap();
        std::fs::write(self.path(&format!("masks/{sample}.png")), png).unwrap();
    }

    pub(crate) fn config(&self, overrides: &[&str]) -> TrainConfig {
        let mut all = vec![format!("data.dataset={}", self.path("farm.toml").display())];
        all.extend(overrides.iter().map(|text| (*text).to_owned()));
        TrainConfig::from_toml(CONFIG, "the test's configuration", &all).unwrap()
    }

    /// As [`config`](Self::config) for overrides that name CLIP's weights instead of sizes.
    pub(crate) fn clip_config(&self, overrides: &[&str]) -> TrainConfig {
        let mut all = vec![format!("data.dataset={}", self.path("farm.toml").display())];
        all.extend(overrides.iter().map(|text| (*text).to_owned()));
        let own: String = CONFIG
            .lines()
            .filter(|line| {
                !["[model.untrained_clip]", "embed_dim", "vision", "text"]
                    .iter()
                    .any(|key| line.starts_with(key))
            })
            .map(|line| format!("{line}\n"))
            .collect();
        TrainConfig::from_toml(&own, "the test's configuration", &all).unwrap()
    }

    /// The losses of a complete run with [`clip_config`](Self::clip_config).
    pub(crate) fn train_clip(&self, run: &str, overrides: &[&str]) -> Vec<f64> {
        self.losses(run, &self.clip_config(overrides))
    }

    /// A training over a run directory, new or not.
    pub(crate) fn training(&self, run: &str, config: &TrainConfig) -> Result<SegmentationTraining, TrainError> {
        self.training_on(&Device::flex(), run, config)
    }

    /// The same on another device.
    pub(crate) fn training_on(
        &self,
        device: &Device,
        run: &str,
        config: &TrainConfig,
    ) -> Result<SegmentationTraining, TrainError> {
        let path = self.path(run);
        let run = if path.join("config.toml").exists() {
            RunDirectory::open(&path)?
        } else {
            RunDirectory::create(&path, config)?
        };
        SegmentationTraining::new(config.clone(), TrainData::open(config)?, run, device)
    }

    /// A complete run: the bytes of its model and the losses of its iterations.
    pub(crate) fn train(&self, run: &str, overrides: &[&str]) -> (Vec<u8>, Vec<f64>) {
        let losses = self.losses(run, &self.config(overrides));
        (model_bytes(&self.path(run)), losses)
    }

    fn losses(&self, run: &str, config: &TrainConfig) -> Vec<f64> {
        let (outcome, iterations) = followed(self.training(run, config).unwrap(), u64::MAX);
        assert_eq!(outcome.unwrap(), Outcome::Finished);
        iterations.iter().map(Iteration::loss).collect()
    }
}

/// A Vulkan adapter. Without one, the test has nothing to compare, or fails if `ZEGCLIP_REQUIRE_GPU` is set.
pub(crate) fn gpu() -> Option<OpenDevice> {
    match device::open("vulkan".parse().unwrap()) {
        Ok(device) => Some(device),
        Err(error) => {
            assert!(!test_support::gpu_required(), "ZEGCLIP_REQUIRE_GPU is set, but {error}");
            println!("nothing is compared: {error}");
            None
        }
    }
}

/// A run that is interrupted in iteration `end`, and its iterations.
pub(crate) fn followed(training: SegmentationTraining, end: u64) -> (Result<Outcome, TrainError>, Vec<Iteration>) {
    let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), training.interrupter());
    let iterations = seen.clone();
    let training = training.on_iteration(move |item| {
        iterations.lock().unwrap().push(item.clone());
        if item.iteration == end {
            stop.stop(Some("the test"));
        }
    });
    let outcome = training.run();
    (outcome, std::mem::take(&mut *seen.lock().unwrap()))
}

pub(crate) fn model_bytes(run: &Path) -> Vec<u8> {
    std::fs::read(run.join("model.safetensors")).unwrap()
}

/// Cow on the left, then what the sample decides, grass below, a sofa in the corner.
pub(crate) fn class_at(sample: u32, x: u32, y: u32) -> u16 {
    match (x * 2 < SIDE, y * 2 < SIDE) {
        (true, true) => 0,
        (false, true) => {
            if sample.is_multiple_of(2) {
                1
            } else {
                2
            }
        }
        (true, false) => 3,
        (false, false) => {
            if sample.is_multiple_of(3) {
                2
            } else {
                3
            }
        }
    }
}

/// A color per class with some variation.
fn color_at(sample: u32, x: u32, y: u32) -> [u8; 3] {
    let value = u32::from(class_at(sample, x, y)) * 60 + (x * 7 + y * 13 + sample) % 30;
    let value = value.min(255) as u8;
    [value, 255 - value, value / 2]
}
