//! Frozen blocks in a smaller type: gradients still reach every prompt, and results stay close.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use zegclip_model::ZegClip;
use zegclip_model::device;
use zegclip_train::{
    FrozenPrecision, Objective, SegmentationTraining, TrainData, forward_backward, freeze, gradients_by_name,
};

use crate::farm::{Farm, class_at, gpu};

const STILL: [&str; 2] = ["model.prompts.dropout=0.0", "model.decoder.dropout=0.0"];

/// The loss of a batch and its gradients with the blocks in a type.
fn loss_and_gradients(
    model: &ZegClip,
    text: &Tensor<2>,
    precision: FrozenPrecision,
) -> (f64, BTreeMap<String, Tensor<1>>) {
    let device = text.device();
    let mut model = freeze::Trainable::default().apply(model.clone(), &device);
    model.image_encoder = freeze::cast_block_weights(model.image_encoder, precision.dtype());
    let pixels: Vec<f32> = (0..2 * 3 * 32 * 32)
        .map(|i| ((i * 37 % 101) as f32 - 50.0) / 25.0)
        .collect();
    let images = Tensor::from_data(TensorData::new(pixels, [2, 3, 32, 32]), &device);
    let labels: Vec<u16> = (0..2 * 32 * 32)
        .map(|i| class_at(i / 1024, i % 32, i / 32 % 32) % 3)
        .collect();
    let sums = forward_backward(&model, text, images, &labels, &Objective::default()).unwrap();
    let (losses, gradients) = sums.finish(&model);
    (losses.total(), gradients_by_name(&model, &gradients))
}

fn length(gradient: Tensor<1>) -> f64 {
    let sum = gradient.powi_scalar(2).sum().into_data();
    sum.iter::<f64>().sum::<f64>().sqrt()
}

/// Relative differences of the loss and of the worst gradient.
fn differences(device: &Device, precision: FrozenPrecision) -> (f64, f64) {
    let farm = Farm::new();
    let config = farm.config(&STILL);
    let data = TrainData::open(&config).unwrap();
    let classes = data.vocabulary().clone();
    let run = zegclip_train::RunDirectory::create(&farm.path("run"), &config).unwrap();
    let training = SegmentationTraining::new(config, data, run, device).unwrap();
    let text = training.text_features(&classes).unwrap();
    let (exact, wanted) = loss_and_gradients(&training.model(), &text, FrozenPrecision::F32);
    let (rounded, found) = loss_and_gradients(&training.model(), &text, precision);
    assert!(wanted.keys().eq(found.keys()), "a parameter lost its gradient");
    assert!(wanted.contains_key("backbone.prompt_embeddings"));
    // The gradient of a key's bias under a softmax is zero up to rounding and therefore not compared.
    let whole: f64 = wanted.values().map(|gradient| length(gradient.clone()).powi(2)).sum();
    let negligible = 1e-4 * whole.sqrt();
    let mut worst = 0f64;
    for (name, wanted) in wanted {
        let found = found[&name].clone();
        let size = length(wanted.clone());
        assert!(size > 0.0 && length(found.clone()) > 0.0, "`{name}` has no gradient");
        let difference = length(wanted - found) / size.max(negligible);
        assert!(difference.is_finite(), "`{name}`: {difference}");
        worst = worst.max(difference);
    }
    assert!(rounded != exact, "nothing was rounded");
    println!(
        "{precision:?} on {device:?}: loss {:.1e}, gradients {worst:.1e}",
        (rounded - exact).abs() / exact
    );
    ((rounded - exact).abs() / exact, worst)
}

#[test]
fn losses_and_gradients_stay_close_on_the_cpu() {
    let (loss, gradient) = differences(&Device::flex(), FrozenPrecision::F16);
    assert!(loss < 1e-3 && gradient < 1e-2, "f16: {loss} {gradient}");
    let (loss, gradient) = differences(&Device::flex(), FrozenPrecision::Bf16);
    assert!(loss < 1e-2 && gradient < 1e-1, "bf16: {loss} {gradient}");
}

#[test]
fn losses_and_gradients_stay_close_on_a_gpu_interface() {
    let Some(gpu) = gpu() else { return };
    if device::supports_f16(&gpu.device) {
        let (loss, gradient) = differences(&gpu.device, FrozenPrecision::F16);
        assert!(loss < 1e-3 && gradient < 1e-2, "f16: {loss} {gradient}");
    }
    // wgpu stores bf16 at most; it does not compute in it.
    let farm = Farm::new();
    let config = farm.config(&["model.frozen_precision=bf16"]);
    let data = TrainData::open(&config).unwrap();
    let run = zegclip_train::RunDirectory::create(&farm.path("run"), &config).unwrap();
    let error = SegmentationTraining::new(config, data, run, &gpu.device)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "`model.frozen_precision` = \"bf16\": the device does not compute in bf16"
    );
}

#[test]
fn the_model_file_keeps_the_encoder_as_it_was() {
    let farm = Farm::new();
    let (_, exact) = farm.train("f32", &STILL);
    for precision in ["f16", "bf16"] {
        let set = format!("model.frozen_precision={precision}");
        let (_, losses) = farm.train(precision, &[&STILL[..], &[&set]].concat());
        assert!(losses != exact, "{precision} rounds nothing");
        for (rounded, exact) in losses.iter().zip(&exact) {
            assert!((rounded - exact).abs() < 1e-2 * exact, "{precision}: {rounded} {exact}");
        }
        let encoder = |run: &str| {
            let path = farm.path(&format!("{run}/model.safetensors"));
            let file = zegclip_weights::WeightFile::open(&path).unwrap();
            file.tensor_f32("backbone.transformer.resblocks.1.mlp.c_fc.weight")
                .unwrap()
        };
        assert!(encoder(precision) == encoder("f32"), "{precision}");
    }
}
