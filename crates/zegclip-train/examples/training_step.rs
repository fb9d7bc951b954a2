//! Times training steps (forward, backward, update) for `cargo xtask bench`: one JSON object on stdout.
//!
//! `training_step voc|coco BATCH RUNS`: ZegCLIP at full size with 512×512 crops and a frozen image encoder.
//! `training_step small BATCH RUNS`: a CLIP image encoder of width 192 with 6 layers on 8×8 patches, all of it trained.
//! `training_step clip BATCH RUNS`: both encoders of the demo model's CLIP, on images of 48×48 pixels and short captions.
#![allow(clippy::print_stdout, reason = "an example is a program")]

use std::error::Error;
use std::time::Instant;

use burn::optim::GradientsParams;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Distribution, Tensor};
use serde_json::json;
use zegclip_model::clip::{Clip, ImageEncoder, l2_normalize};
use zegclip_model::config::{ClipConfig, TextConfig, VisionConfig};
use zegclip_model::{ZegClip, ZegClipConfig};
use zegclip_train::pretrain::{BatchNames, ClipBatch, ClipObjective, clip_forward_backward};
use zegclip_train::{DecayExemption, Objective, OptimizerConfig, clip_gradients, forward_backward, freeze};

/// Side of a crop in pixels.
const CROP: usize = 512;
/// Warm-up runs, which are not measured.
const WARM_UP: usize = 2;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["small", batch, runs] => small(batch.parse()?, runs.parse()?),
        ["clip", batch, runs] => clip(batch.parse()?, runs.parse()?),
        [preset, batch, runs] => full(preset, batch.parse()?, runs.parse()?),
        _ => Err("usage: training_step voc|coco|small|clip BATCH RUNS".into()),
    }
}

fn full(preset: &str, batch: usize, runs: usize) -> Result<(), Box<dyn Error>> {
    let (config, seen) = match preset {
        "voc" => (ZegClipConfig::voc(), 15),
        "coco" => (ZegClipConfig::coco(), 156),
        other => return Err(format!("no preset `{other}`").into()),
    };
    let device = Device::flex();
    device.seed(1);
    let text = l2_normalize(random([seen, config.embed_dim], &device));
    let images = random([batch, 3, CROP, CROP], &device);
    // Regions of six classes, and an ignored strip.
    let labels: Vec<u16> = (0..batch * CROP * CROP)
        .map(|pixel| match (pixel / CROP % CROP / 32, pixel % CROP / 32) {
            (0, _) => u16::MAX,
            (row, column) => ((row * 7 + column * 3) % 6) as u16,
        })
        .collect();
    let mut model = freeze::Trainable::default().apply(ZegClip::new(&config, &device), &device);
    let mut optimizer = OptimizerConfig::default().build(&model, DecayExemption::Nothing);
    let objective = Objective::default();
    time(preset, batch, runs, || {
        let sums = forward_backward(&model, &text, images.clone(), &labels, &objective)?;
        let (losses, gradients) = sums.finish(&model);
        let gradients = clip_gradients(&model, gradients, None)?;
        model = optimizer.step(1e-4, model.clone(), gradients);
        Ok(losses.total())
    })
}

fn small(batch: usize, runs: usize) -> Result<(), Box<dyn Error>> {
    let config = VisionConfig {
        patch_size: 8,
        width: 192,
        layers: 6,
        heads: 3,
        position_grid: 8,
        ..VisionConfig::vit_b16()
    };
    let device = Device::flex();
    device.seed(1);
    let text = l2_normalize(random([batch, 128], &device));
    let images = random([batch, 3, 64, 64], &device);
    let diagonal = Tensor::<2>::eye(batch, &device);
    let mut model = ImageEncoder::new(&config, 128, &device.clone().autodiff());
    let mut optimizer = OptimizerConfig::default().build(&model, DecayExemption::Nothing);
    time("small", batch, runs, || {
        let features = l2_normalize(model.forward(images.clone()));
        let logits = features.matmul(text.clone().transpose()) * 14.0;
        let loss = (log_softmax(logits, 1) * diagonal.clone()).sum().neg() / batch as f64;
        let gradients = GradientsParams::from_grads(loss.clone().backward(), &model);
        let gradients = clip_gradients(&model, gradients, None)?;
        model = optimizer.step(1e-4, model.clone(), gradients);
        Ok(f64::from(loss.inner().into_scalar::<f32>()))
    })
}

fn clip(batch: usize, runs: usize) -> Result<(), Box<dyn Error>> {
    const SIZE: usize = 48;
    const TOKENS: u32 = 478;
    let config = ClipConfig {
        embed_dim: 128,
        vision: VisionConfig {
            patch_size: 8,
            width: 192,
            layers: 6,
            heads: 3,
            position_grid: SIZE / 8,
            ..VisionConfig::vit_b16()
        },
        text: TextConfig {
            width: 128,
            layers: 4,
            heads: 2,
            vocabulary_size: TOKENS as usize,
            ..TextConfig::base()
        },
    };
    let device = Device::flex();
    device.seed(1);
    let mut model = freeze::all_trainable(Clip::new(&config, &device));
    let mut optimizer = OptimizerConfig::default().build(&model, DecayExemption::AllButMatrices);
    // Captions of 6 to 12 tokens, each with the end token, the largest id, at its end.
    let tokens = (0..batch as u32).map(|caption| {
        let words = (0..5 + caption % 7).map(|word| (caption * 31 + word * 17) % (TOKENS - 1));
        words.chain([TOKENS - 1]).collect()
    });
    let images = random([batch, 3, SIZE, SIZE], &device)
        .into_data()
        .iter::<f32>()
        .collect();
    let batch_of_pairs = ClipBatch {
        images,
        size: SIZE,
        tokens: tokens.collect(),
        false_negative_mask: vec![false; batch * batch],
        names: BatchNames::default(),
    };
    let objective = ClipObjective {
        patch_weight: 0.0,
        chunk: batch,
    };
    time("clip", batch, runs, || {
        let sums = clip_forward_backward(&model, &batch_of_pairs, objective, &device)?;
        let gradients = clip_gradients(&model, sums.gradients, None)?;
        model = optimizer.step(1e-4, model.clone(), gradients);
        Ok(sums.losses.total())
    })
}

fn time(
    work: &str,
    batch: usize,
    runs: usize,
    mut step: impl FnMut() -> Result<f64, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let mut seconds = Vec::with_capacity(runs);
    let mut cpu_times = Vec::with_capacity(runs);
    let mut losses = Vec::new();
    for run in 0..WARM_UP + runs {
        let (started, cpu) = (Instant::now(), cpu_seconds());
        losses.push(step()?);
        if run >= WARM_UP {
            seconds.push(started.elapsed().as_secs_f64());
            cpu_times.push(cpu_seconds() - cpu);
        }
    }
    seconds.sort_by(f64::total_cmp);
    cpu_times.sort_by(f64::total_cmp);
    println!(
        "{}",
        json!({
            "engine": "zegclip", "work": work, "batch": batch, "runs": runs,
            "cpu_min_s": cpu_times[0], "cpu_s": cpu_times[runs / 2], "median_s": seconds[runs / 2], "min_s": seconds[0], "max_s": seconds[runs - 1],
            "first_loss": losses[0], "last_loss": losses[losses.len() - 1], "rss_peak_mb": peak_memory_mb(),
        })
    );
    Ok(())
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

/// CPU time of all threads so far; 0 on systems other than Linux.
fn cpu_seconds() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    nanoseconds.sum::<u64>() as f64 / 1e9
}

/// Peak resident memory of this process, on Linux.
fn peak_memory_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}
