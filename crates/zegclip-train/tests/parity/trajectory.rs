use burn::tensor::{Device, Tensor};
use zegclip_model::parameters::export_parameters;
use zegclip_train::{Objective, OptimizerConfig, ScheduleConfig, forward_backward, freeze};

use crate::cases::{Case, OnDevice, cases};
use crate::recorded_model::{labels, model, text_features};

fn check(case: &Case) {
    let device = Device::flex();
    let mut model = model(case, &device);
    let text = text_features(case, &device);
    let images: Tensor<4> = case.tensor("images").tensor(&device);
    let labels = labels(case, "labels");
    let schedule = ScheduleConfig {
        warmup: case.number("/schedule/warmup") as u64,
        warmup_ratio: case.float("/schedule/warmup_ratio"),
        power: case.float("/schedule/power"),
        min_lr: case.float("/schedule/min_lr"),
    };
    let optimizer = OptimizerConfig {
        lr: case.float("/optimiser/lr"),
        lr_multiplier: 1.0,
        weight_decay: case.float("/optimiser/weight_decay"),
        betas: [case.float("/optimiser/betas/0"), case.float("/optimiser/betas/1")],
        epsilon: case.float("/optimiser/eps"),
        ..OptimizerConfig::default()
    };
    let base = optimizer.lr * optimizer.lr_multiplier;
    let mut optimizer = optimizer.build(&model, optimizer.exemption());
    let recorded = case.tensor("losses");
    let rates = case.tensor("rates");
    let relative = case.float("/tolerance/losses_relative");
    for (iteration, expected) in recorded.values.chunks(2).enumerate() {
        let sums = forward_backward(&model, &text, images.clone(), &labels, &Objective::default()).unwrap();
        let (losses, gradients) = sums.finish(&model);
        for (name, ours, expected) in [
            ("mask", losses.mask, expected[0]),
            ("dice", losses.dice.unwrap(), expected[1]),
        ] {
            let difference = (ours - f64::from(expected)).abs() / f64::from(expected.abs());
            println!(
                "{}: step {iteration} {name}: {:.2} % of the tolerance",
                case.name(),
                100.0 * difference / relative
            );
            assert!(
                difference <= relative,
                "{}: step {iteration}: {name} {ours} instead of {expected}",
                case.name()
            );
        }
        let rate = schedule.rate(base, iteration as u64, case.number("/schedule/iterations") as u64);
        let recorded = f64::from(rates.values[iteration]);
        assert!(
            (rate - recorded).abs() <= 1e-6 * recorded,
            "rate {rate} instead of {recorded}"
        );
        model = optimizer.step(rate, model, gradients);
    }
    let finals: Vec<&str> = case.json["tensors"]
        .as_object()
        .unwrap()
        .keys()
        .filter_map(|name| name.strip_prefix("final."))
        .collect();
    assert!(!finals.is_empty());
    let parameters = export_parameters(&freeze::for_inference(&model), "");
    let relative = case.float("/tolerance/final_relative") as f32;
    for name in &finals {
        // Parameters without a gradient may belong to parts that are not run and do not exist here.
        let Some(ours) = parameters.iter().find(|parameter| parameter.name == *name) else {
            assert!(
                name.contains("self_attn") || name.contains("norm1"),
                "{name} is missing"
            );
            continue;
        };
        case.check_within(&format!("final.{name}"), &ours.values, relative, 0.0);
    }
}

#[test]
fn parity_trajectory_of_adamw() {
    for case in cases("trajectory") {
        check(&case);
    }
}
