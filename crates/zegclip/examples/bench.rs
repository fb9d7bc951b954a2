//! Measurements of one process for `cargo xtask bench`: one JSON object on stdout.
//!
//! - `bench weights FILE voc|coco|clip` writes a full-size model with random weights;
//! - `bench crop FILE voc20|coco171 RUNS` times a 512×512 crop from pixels to labels;
//! - `bench photo FILE voc20|coco171 WIDTHxHEIGHT RUNS [METHOD]` an image of any size;
//! - `bench text voc20|coco171 RUNS` the text features of a vocabulary;
//! - `bench presence FILE|demo METHOD SCENES MINIMUM,…` scores the demo's test scenes by the least presence of a class.
#![allow(clippy::print_stdout, reason = "an example is a program")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use serde_json::json;
use zegclip::{
    DenseOverrides, DeviceName, Method, RgbImage, SegmentOptions, Segmenter, Vocabulary, ZegClip, ZegClipConfig, device,
};
use zegclip_data::metrics::{Confusion, Scores};
use zegclip_model::clip::{TextEncoder, text_features};
use zegclip_model::parameters::{ExportedParameter, export_parameters};
use zegclip_model::{ClipConfig, NativeMetadata};
use zegclip_scenes::{SceneSettings, Scenes, TestSplit};
use zegclip_weights::{IfExists, write_native};

/// As many, and as long, as the peers encode.
const TEMPLATES: [&str; 15] = [
    "a photo of a {}.",
    "a bad photo of many {}.",
    "a sculpture of a {}.",
    "a photo of the hard to see {}.",
    "a low resolution photo of the {}.",
    "a rendering of a {}.",
    "graffiti of a {}.",
    "a cropped photo of the {}.",
    "a bright photo of a {}.",
    "a photo of a clean {}.",
    "a drawing of a {}.",
    "a close-up photo of the {}.",
    "a black and white photo of a {}.",
    "a photo of one {}.",
    "there is a {} in the scene.",
];

/// Width and height of the demo's scenes.
const SCENE_SIDE: u32 = 128;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["weights", file, preset] => write_random(Path::new(file), preset),
        ["crop", file, vocabulary, runs] => measure(file, vocabulary, (512, 512), runs.parse()?, "zegclip"),
        ["photo", file, vocabulary, size, runs, method @ ..] => {
            let (width, height) = size.split_once('x').ok_or("a size is WIDTHxHEIGHT")?;
            let method = method.first().copied().unwrap_or("zegclip");
            measure(file, vocabulary, (width.parse()?, height.parse()?), runs.parse()?, method)
        }
        ["text", vocabulary, runs] => text(vocabulary, runs.parse()?),
        ["presence", file, method, scenes, minima] => presence(file, method, scenes.parse()?, minima),
        _ => Err(
            "usage: bench weights FILE voc|coco|clip | crop FILE VOCABULARY RUNS | photo FILE VOCABULARY WIDTHxHEIGHT RUNS [METHOD] \
                  | text VOCABULARY RUNS | presence FILE|demo METHOD SCENES MINIMUM,…"
                .into(),
        ),
    }
}

fn write_random(file: &Path, preset: &str) -> Result<(), Box<dyn Error>> {
    let config = match preset {
        "voc" => ZegClipConfig::voc(),
        "coco" => ZegClipConfig::coco(),
        // As large as OpenAI's ViT-B/16.
        "clip" => {
            let mut config = ZegClipConfig::voc();
            (config.image_size, config.stride, config.vision.position_grid) = (224, 112, 14);
            config
        }
        other => return Err(format!("no preset `{other}`").into()),
    };
    let device = device::open(DeviceName::Cpu)?.device;
    device.seed(1);
    let parameters = export_parameters(&ZegClip::new(&config, &device), "");
    let tensors = parameters.iter().map(ExportedParameter::to_output).collect();
    let metadata = NativeMetadata {
        config: Some(config),
        provenance: Some("random values".to_owned()),
        ..NativeMetadata::default()
    };
    write_native(file, &metadata.to_header(), tensors, IfExists::Replace)?;
    Ok(())
}

fn measure(
    file: &str,
    vocabulary: &str,
    (width, height): (u32, u32),
    runs: usize,
    method: &str,
) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let builder = Segmenter::builder().weights(file).device(DeviceName::Cpu);
    let segmenter = builder.method(method_of(method)?).build()?;
    let classes = Vocabulary::built_in(vocabulary)?;
    let loading = started.elapsed().as_secs_f64();
    // An image with structure; its content does not change the time.
    let image = RgbImage::from_fn(width, height, |x, y| pixel(x, y).into());
    let mut seconds = Vec::with_capacity(runs);
    let mut decoding = Vec::with_capacity(runs);
    for run in 0..=runs {
        let started = Instant::now();
        let result = segmenter.segment(&image, &classes)?;
        // The first run warms up.
        if run > 0 {
            seconds.push(started.elapsed().as_secs_f64());
            decoding.push(result.timings().decoding.as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    decoding.sort_by(f64::total_cmp);
    println!(
        "{}",
        json!({
            "engine": "zegclip", "method": method, "vocabulary": vocabulary, "size": format!("{width}x{height}"), "runs": runs,
            "median_s": seconds[runs / 2], "min_s": seconds[0], "max_s": seconds[runs - 1],
            "decoding_s": decoding[runs / 2], "loading_s": loading, "rss_peak_mb": peak_memory_mb(),
        })
    );
    Ok(())
}

/// Scores of test scenes with all names, and how many classes of an image are not in it or are not found, by the least presence of
/// a class (`off`: none).
fn presence(file: &str, method: &str, count: u64, minima: &str) -> Result<(), Box<dyn Error>> {
    let method = method_of(method)?;
    let builder = Segmenter::builder().device(DeviceName::Cpu).method(method);
    let builder = if file == "demo" {
        builder.demo()
    } else {
        builder.weights(file)
    };
    let names = Vocabulary::built_in("demo")?;
    let segmenter = match method {
        Method::ZegClip => builder.build()?,
        // Scenes have the size of this CLIP's last training stage, and its texts were captions.
        _ => {
            let size = DenseOverrides {
                short_side: Some(SCENE_SIDE as usize),
                window: Some(None),
                ..DenseOverrides::default()
            };
            builder
                .dense_overrides(size)
                .templates(names.templates().to_vec())
                .build()?
        }
    };
    for split in TestSplit::ALL {
        let scenes = Scenes::embedded(SceneSettings::test(SCENE_SIDE, 0, split.artists()))?;
        let classes = scenes.vocabulary().clone();
        segmenter.text_features(&classes)?;
        for minimum in minima.split(',') {
            let options = match minimum {
                "off" => SegmentOptions::new(),
                number => SegmentOptions::new().with_min_presence(number.parse()?),
            };
            let mut confusion = Confusion::new(&classes);
            let (mut false_classes, mut missed) = (0, 0);
            let started = Instant::now();
            for index in 0..count {
                let scene = scenes.compose(index);
                let labels = segmenter.segment_with(&scene.image, &classes, &options)?.into_labels();
                confusion.add(&scene.labels, &labels)?;
                let counts = [&scene.labels, &labels].map(|labels| labels.histogram(classes.len()));
                let is_wrong = |there: usize, other: usize| {
                    counts[there]
                        .iter()
                        .zip(&counts[other])
                        .filter(|(there, other)| **there > 0 && **other == 0)
                        .count()
                };
                false_classes += is_wrong(1, 0);
                missed += is_wrong(0, 1);
            }
            let scores = Scores::of(&confusion);
            println!(
                "{}",
                json!({
                    "split": split.name(), "method": method.name(), "presence": minimum, "scenes": count,
                    "pixel_accuracy": scores.pixel_accuracy, "miou_seen": scores.miou_seen,
                    "miou_unseen": scores.miou_unseen, "hiou": scores.hiou,
                    "false_classes": false_classes as f64 / count as f64, "missed_classes": missed as f64 / count as f64,
                    "ms": 1e3 * started.elapsed().as_secs_f64() / count as f64,
                })
            );
        }
    }
    Ok(())
}

fn method_of(name: &str) -> Result<Method, String> {
    let mut all = Method::ALL.into_iter();
    all.find(|method| method.name() == name)
        .ok_or_else(|| format!("no method `{name}`"))
}

/// The names of a vocabulary in fifteen templates, through a text encoder with random weights.
fn text(vocabulary: &str, runs: usize) -> Result<(), Box<dyn Error>> {
    let classes = Vocabulary::built_in(vocabulary)?;
    let names: Vec<Vec<String>> = classes.names().map(|name| vec![name.to_owned()]).collect();
    let templates = TEMPLATES.map(str::to_owned);
    let device = device::open(DeviceName::Cpu)?.device;
    device.seed(1);
    let encoder = TextEncoder::new(&ClipConfig::vit_b16().text, 512, &device);
    let mut seconds = Vec::with_capacity(runs);
    for run in 0..=runs {
        let started = Instant::now();
        let features = text_features(&encoder, &names, &templates)?;
        std::hint::black_box(features.into_data());
        if run > 0 {
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    println!(
        "{}",
        json!({
            "engine": "zegclip", "vocabulary": vocabulary, "templates": templates.len(), "runs": runs,
            "median_s": seconds[runs / 2], "min_s": seconds[0], "max_s": seconds[runs - 1],
            "rss_peak_mb": peak_memory_mb(),
        })
    );
    Ok(())
}

fn pixel(x: u32, y: u32) -> [u8; 3] {
    [(x * 7 + y) as u8, (x ^ y) as u8, (x * y / 64) as u8]
}

/// Largest resident memory of this process, where the system reports it.
fn peak_memory_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}
