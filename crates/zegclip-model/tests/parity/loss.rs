//! Focal and dice with their gradient.

use burn::tensor::{Device, Tensor};
use zegclip_model::loss::ablation::{dice, focal};
use zegclip_model::loss::{LossConfig, MaskTargets};

use crate::cases::{Case, OnDevice, cases, values};
use crate::devices;

/// Which implementation of the losses is compared.
#[derive(Debug, Clone, Copy)]
enum Implementation {
    /// The kernels, as training computes them.
    Kernels,
    /// The composition of the ablation, at the published γ.
    Composed,
}

/// The recording's two losses, divided by M, and the gradient of their sum.
fn check(case: &Case, device: &Device, implementation: Implementation) {
    let recorded = case.tensor("labels");
    let [batch, rows, columns] = recorded.shape[..] else {
        panic!("labels are {:?}", recorded.shape)
    };
    let masks: Tensor<4> = case.tensor("pred_masks").tensor(&device.clone().autodiff());
    let masks = masks.require_grad();
    let classes = masks.dims()[1];
    let labels: Vec<u16> = recorded.values.iter().map(|label| *label as u16).collect();
    let targets = MaskTargets::from_labels(&labels, [batch, rows, columns], classes, device);
    let config = LossConfig {
        focal_weight: case.float("/weights/focal"),
        dice_weight: case.float("/weights/dice"),
        alpha: case.float("/alpha"),
        gamma: case.float("/gamma"),
        ..LossConfig::default()
    };
    let (mask, dice) = match implementation {
        Implementation::Kernels => {
            assert_eq!(config.gamma, 2.0, "the recording's γ has kernels");
            let terms = config.forward(masks.clone(), &targets);
            (terms.mask, terms.dice.expect("NEL has a dice loss"))
        }
        Implementation::Composed => (
            focal(masks.clone(), &targets, config.alpha, config.gamma) * config.focal_weight,
            dice(masks.clone(), &targets) * config.dice_weight,
        ),
    };
    let pairs = targets.pairs().max(1) as f64;
    let (mask, dice) = (mask / pairs, dice / pairs);
    let relative = case.float("/tolerance/relative") as f32;
    case.check_within("loss_mask", &values(mask.clone()), relative, 0.0);
    case.check_within("loss_dice", &values(dice.clone()), relative, 0.0);
    let gradients = (mask + dice).backward();
    let gradient = masks.grad(&gradients).expect("a gradient");
    let relative = case.float("/tolerance/gradient_relative") as f32;
    case.check_within("grad.pred_masks", &values(gradient), relative, 0.0);
}

#[test]
fn parity_loss_values_and_gradient() {
    for device in devices() {
        for case in cases("loss") {
            for implementation in [Implementation::Composed, Implementation::Kernels] {
                println!("{} on {}, {implementation:?}", case.name(), device.description);
                check(&case, &device.device, implementation);
            }
        }
    }
}
