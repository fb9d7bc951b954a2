//! Batches that several devices share.

use burn::tensor::Device;
use zegclip_model::device;
use zegclip_train::Iteration;

use crate::farm::{Farm, followed, gpu, model_bytes};

#[test]
fn two_devices_are_one_with_twice_the_parts() {
    let farm = Farm::new();
    // With dropout: the random numbers of a micro-batch do not depend on its device.
    let overrides = ["setting=transductive", "iterations=4", "optimizer.clip_norm=0.5"];
    let (whole, losses) = farm.train("one", &[&overrides[..], &["accumulation=2"]].concat());
    let config = farm.config(&overrides);
    let mut shared = Vec::new();
    // Interrupted and resumed on the same devices.
    for end in [2, 4] {
        let training = farm.training("two", &config).unwrap();
        let training = training.with_further_devices(&[Device::flex()]).unwrap();
        let (outcome, iterations) = followed(training, end);
        outcome.unwrap();
        shared.extend(iterations.iter().map(Iteration::loss));
    }
    assert_eq!(shared, losses);
    assert!(model_bytes(&farm.path("two")) == whole, "other bytes than one device");
}

#[test]
fn a_batch_must_divide() {
    let farm = Farm::new();
    let training = farm.training("a", &farm.config(&["accumulation=2"])).unwrap();
    let error = training
        .with_further_devices(&[Device::flex(), Device::flex()])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`batch_size` = 4: must be a multiple of 6 for 3 devices with `accumulation` = 2"
    );
}

/// The CPU and a GPU of any interface, whose tensors are never operands of one operator.
#[test]
fn devices_of_different_kinds_give_the_loss_of_one() {
    let Some(gpu) = gpu() else { return };
    let farm = Farm::new();
    let overrides = ["iterations=3"];
    let (_, alone) = farm.train("alone", &[&overrides[..], &["accumulation=2"]].concat());
    let training = farm.training("mixed", &farm.config(&overrides)).unwrap();
    let training = training.with_further_devices(&[gpu.device]).unwrap();
    let (outcome, iterations) = followed(training, u64::MAX);
    outcome.unwrap();
    assert_eq!(iterations.len(), alone.len());
    for (alone, mixed) in alone.iter().zip(iterations.iter().map(Iteration::loss)) {
        assert!((alone - mixed).abs() <= 1e-4 * alone, "{alone} {mixed}");
    }
}

/// A seed is one model, one order of the data and one dropout on every device.
#[test]
fn every_kind_of_device_gives_the_losses_of_the_cpu() {
    let farm = Farm::new();
    let (_, cpu) = farm.train("cpu", &["iterations=10"]);
    for (name, required) in [
        ("ndarray", "ZEGCLIP_REQUIRE_NDARRAY"),
        ("vulkan", "ZEGCLIP_REQUIRE_GPU"),
    ] {
        let device = match device::open(name.parse().unwrap()) {
            Ok(open) => open.device,
            Err(error) => {
                assert!(std::env::var_os(required).is_none(), "{name}: {error}");
                continue;
            }
        };
        let training = farm
            .training_on(&device, name, &farm.config(&["iterations=10"]))
            .unwrap();
        let (outcome, iterations) = followed(training, u64::MAX);
        outcome.unwrap();
        assert_eq!(iterations.len(), cpu.len());
        let differences = cpu
            .iter()
            .zip(iterations.iter().map(Iteration::loss))
            .map(|(cpu, loss)| {
                let difference = (cpu - loss).abs() / cpu;
                assert!(difference <= 1e-4, "{name}: {loss} instead of {cpu}");
                difference
            });
        println!("{name}: losses within {:.1e}", differences.fold(0.0, f64::max));
    }
}
