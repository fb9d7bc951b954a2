//! Batches that several devices share.

use burn::tensor::Device;
use zegclip_model::device;
use zegclip_train::Step;

use crate::farm::{Farm, model_bytes};

#[test]
fn two_devices_are_one_with_twice_the_parts() {
    let farm = Farm::new();
    // Dropout included: the random numbers of a part do not depend on who computes it.
    let overrides = ["setting=transductive", "iterations=4", "optimiser.clip_norm=0.5"];
    let (whole, losses) = farm.train("one", &[&overrides[..], &["accumulation=2"]].concat());
    let config = farm.config(&overrides);
    let mut shared = Vec::new();
    // Interrupted and resumed on the same devices.
    for end in [2, 4] {
        let trainer = farm.trainer("two", &config).unwrap();
        let mut trainer = trainer.with_further_devices(&[Device::flex()]).unwrap();
        let flag = trainer.interrupter();
        trainer
            .run(&mut |step: &Step| {
                shared.push(step.losses.total());
                flag.store(step.iteration == end, std::sync::atomic::Ordering::Relaxed);
            })
            .unwrap();
    }
    assert_eq!(shared, losses);
    assert!(model_bytes(&farm.path("two")) == whole, "other bytes than one device");
}

#[test]
fn a_batch_must_divide() {
    let farm = Farm::new();
    let trainer = farm.trainer("a", &farm.config(&["accumulation=2"])).unwrap();
    let error = trainer
        .with_further_devices(&[Device::flex(), Device::flex()])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`batch_size` = 4: 3 devices with `accumulation` = 2 need a multiple of 6"
    );
}

/// The processor and whatever GPU interface there is, whose numbers never meet in one operator.
#[test]
fn devices_of_different_kinds_give_the_loss_of_one() {
    let Ok(gpu) = device::open("vulkan".parse().unwrap()) else {
        return;
    };
    let farm = Farm::new();
    let overrides = ["iterations=3"];
    let (_, alone) = farm.train("alone", &[&overrides[..], &["accumulation=2"]].concat());
    let trainer = farm.trainer("mixed", &farm.config(&overrides)).unwrap();
    let mut trainer = trainer.with_further_devices(&[gpu.device]).unwrap();
    let mut mixed = Vec::new();
    trainer.run(&mut |step: &Step| mixed.push(step.losses.total())).unwrap();
    for (alone, mixed) in alone.iter().zip(&mixed) {
        assert!((alone - mixed).abs() <= 1e-4 * alone, "{alone} {mixed}");
    }
}
