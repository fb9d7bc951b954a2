//! How many training samples a second the loader makes.
//!
//! ```text
//! loader_throughput [DATASET [SPLIT]] [--threads N] [--batches N]
//! ```
//!
//! Without a data set, 48 images of 500 × 375 are made of those in the folder `ZEGCLIP_PHOTOS` (default:
//! `assets/photos`) and written as JPEG, with labels of six classes.
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use image::codecs::jpeg::JpegEncoder;
use zegclip_data::datasets::DatasetSpec;
use zegclip_data::transforms::TrainingPipeline;
use zegclip_data::{
    ClassIndex, ImageLimits, LabelMap, Loader, LoaderSettings, TrainingSetting, palette::distinct_color, read_image,
    resize_bilinear, write_label_png,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut positional = Vec::new();
    let (mut threads, mut batches) = (2, 40);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            arguments
                .next()
                .ok_or("a number is missing")?
                .parse::<usize>()
                .map_err(Box::<dyn Error>::from)
        };
        match argument.as_str() {
            "--threads" => threads = number()?,
            "--batches" => batches = number()?,
            _ => positional.push(argument),
        }
    }
    let folder = tempfile::tempdir()?;
    let spec = match positional.first() {
        Some(spec) => DatasetSpec::parse(spec)?,
        None => made_images(folder.path())?,
    };
    let split = positional.get(1).map_or_else(|| spec.training_split(), String::as_str);
    let training_set = Arc::new(spec.open(split)?.into_training(TrainingSetting::Full)?);
    println!("{} samples of {}, {threads} threads", training_set.len(), spec.name());

    stages(&training_set)?;

    let settings = LoaderSettings {
        threads,
        ..LoaderSettings::default()
    };
    let mut loader = Loader::start(training_set, TrainingPipeline::default(), &settings)?;
    // What was made before the clock starts does not count.
    for _ in 0..2 * settings.batches_ahead {
        loader.next().transpose()?;
    }
    let start = Instant::now();
    for batch in loader.by_ref().take(batches) {
        std::hint::black_box(batch?.images.len());
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{:.1} samples/s", (batches * settings.batch_size) as f64 / seconds);
    Ok(())
}

/// Milliseconds of each stage on one thread.
fn stages(training_set: &zegclip_data::datasets::TrainingSet) -> Result<(), Box<dyn Error>> {
    let pipeline = TrainingPipeline::default();
    let [mut load, mut plan, mut apply] = [Duration::ZERO; 3];
    const ROUNDS: usize = 200;
    for round in 0..ROUNDS {
        let start = Instant::now();
        let (image, labels) = training_set.load(round % training_set.len())?;
        load += start.elapsed();
        let start = Instant::now();
        let drawn = pipeline.plan(&labels, 1, round as u64, 0);
        plan += start.elapsed();
        let start = Instant::now();
        std::hint::black_box(pipeline.apply(&drawn, &image, &labels));
        apply += start.elapsed();
    }
    let each = |time: Duration| 1000.0 * time.as_secs_f64() / ROUNDS as f64;
    println!(
        "one sample: read {:.2} ms, plan {:.2} ms, apply {:.2} ms",
        each(load),
        each(plan),
        each(apply)
    );
    Ok(())
}

fn made_images(folder: &Path) -> Result<DatasetSpec, Box<dyn Error>> {
    const SIZE: (u32, u32) = (500, 375);
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/photos");
    let images = PathBuf::from(std::env::var_os("ZEGCLIP_PHOTOS").unwrap_or(default.into()));
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(&images)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jpg") {
            sources.push(read_image(&path, &ImageLimits::default())?);
        }
    }
    let palette: Vec<_> = (0..6).map(distinct_color).collect();
    for (number, source) in sources.iter().cycle().take(48).enumerate() {
        let shift = 5 * number as u32 % 40;
        let part =
            image::imageops::crop_imm(source, shift, shift, source.width() - 40, source.height() - 40).to_image();
        let image = resize_bilinear(&part, SIZE.0, SIZE.1);
        let mut file = std::fs::File::create(folder.join(format!("{number}.jpg")))?;
        JpegEncoder::new_with_quality(&mut file, 90).encode_image(&image)?;
        let labels = LabelMap::from_fn(SIZE.0, SIZE.1, |x, y| ClassIndex::new((x / 170 + 3 * (y / 190)) as u16));
        write_label_png(&folder.join(format!("{number}.png")), &labels, &palette)?;
    }
    let toml = "classes = [\"a\", \"b\", \"c\", \"d\", \"e\", \"f\"]\n[splits.train]\nimages = \"*.jpg\"\nlabels = \"*.png\"\n";
    let path = folder.join("made.toml");
    std::fs::write(&path, toml)?;
    Ok(DatasetSpec::from_toml(&path)?)
}
