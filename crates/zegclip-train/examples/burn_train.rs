//! Trains ZegCLIP with burn-train's own loop, metrics and files: `burn_train DATASET.toml RUN [ITERATIONS]`.

use std::error::Error;
use std::path::Path;

use burn::tensor::Device;
use burn::train::metric::{LearningRateMetric, LossMetric};
use burn::train::{Learner, SupervisedTraining};
use zegclip_train::{Configuration, RunDirectory, SegmentationTraining, TrainConfig, TrainData};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dataset, run, iterations @ ..] = arguments.as_slice() else {
        return Err("usage: burn_train DATASET.toml RUN [ITERATIONS]".into());
    };
    // Images and masks that a small TOML describes; a CLIP with random weights, for want of published ones.
    let settings = [
        format!("data.dataset={dataset}"),
        format!("iterations={}", iterations.first().map_or("100", String::as_str)),
        "model.published_text_features=false".to_owned(),
        "run.evaluation_interval=1".to_owned(),
        "run.evaluation_split=train".to_owned(),
    ];
    let config = TrainConfig::from_file(Path::new("assets/training/overfit-small.toml"), &settings)?;
    let data = TrainData::open(&config)?;
    let directory = RunDirectory::create(Path::new(run), &config)?;
    let zegclip = SegmentationTraining::new(config, data, directory, &Device::flex())?;

    let training = SupervisedTraining::new(run, zegclip.train_loader(), zegclip.validation_loader())
        .metric_train_numeric(LossMetric::new())
        .metric_train_numeric(LearningRateMetric::new())
        .metric_valid_numeric(zegclip_train::hiou())
        .with_default_checkpointers()
        .num_epochs(1)
        .summary();
    let result = training.launch(Learner::new(
        zegclip.task().clone(),
        zegclip.optimizer(),
        zegclip.scheduler(),
    ));
    if let Some(error) = result.error {
        return Err(error.to_string().into());
    }
    Ok(result.model.write_model(&Path::new(run).join("model.safetensors"))?)
}
