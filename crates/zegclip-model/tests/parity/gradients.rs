//! Both losses and the gradient of every trainable parameter, under the names of the release.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, FloatDType, Gradients, Tensor};
use zegclip_model::ZegClip;
use zegclip_model::loss::{LossConfig, MaskTargets};
use zegclip_model::parameters::{ParameterName, parameter_names};

use crate::cases::{Case, OnDevice, cases};
use crate::devices;
use crate::model::load_without_dropout;

/// The release's mark of a pixel without a class.
const NO_CLASS: u16 = 255;

/// Makes parameters leaves of the backward pass.
struct Track;

impl ModuleMapper for Track {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        Param::initialized(param.id, param.val().autodiff().require_grad())
    }
}

/// Gradients in the layout of checkpoints.
struct Collect<'a> {
    names: BTreeMap<ParamId, ParameterName>,
    gradients: &'a Gradients,
    found: BTreeMap<String, Vec<f32>>,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = param.val().grad(self.gradients) else {
            return;
        };
        let parameter = &self.names[&param.id];
        let gradient = if parameter.transposed {
            gradient.swap_dims(0, 1)
        } else {
            gradient
        };
        let values = gradient.cast(FloatDType::F32).into_data().iter::<f32>().collect();
        self.found.insert(parameter.name.clone(), values);
    }
}

/// Position of each class in the list that the setting trains on.
fn positions(case: &Case) -> Vec<Option<u16>> {
    let classes = case.strings("/config/class_names").len();
    let all = case.json["setting"] != "inductive";
    let seen: Vec<u64> = case.json["config"]["seen"]
        .as_array()
        .expect("seen")
        .iter()
        .filter_map(|index| index.as_u64())
        .collect();
    let mut next = 0;
    (0..classes)
        .map(|class| {
            let trained = all || seen.contains(&(class as u64));
            next += u16::from(trained);
            trained.then(|| next - 1)
        })
        .collect()
}

/// The text features of the classes that the setting trains on.
fn text_features(case: &Case, positions: &[Option<u16>], device: &Device) -> Tensor<2> {
    let rows: Tensor<2> = case.tensor("text_features").tensor(device);
    let kept = (0..positions.len())
        .filter(|class| positions[*class].is_some())
        .map(|class| rows.clone().narrow(0, class, 1));
    Tensor::cat(kept.collect(), 0)
}

fn check(case: &Case, device: &Device) {
    let model = load_without_dropout(case, device);
    let model = ZegClip {
        image_encoder: model.image_encoder,
        prompts: model.prompts.map(|prompts| prompts.map(&mut Track)),
        relation_descriptor: model.relation_descriptor.map(&mut Track),
        decoder: model.decoder.map(&mut Track),
    };
    let positions = positions(case);
    let labels = case.tensor("train.labels");
    let [batch, rows, columns] = [
        labels.shape[0],
        labels.shape[labels.shape.len() - 2],
        labels.shape[labels.shape.len() - 1],
    ];
    let labels: Vec<u16> = labels
        .values
        .iter()
        .map(|label| positions.get(*label as usize).copied().flatten().unwrap_or(NO_CLASS))
        .collect();
    let text = text_features(case, &positions, device);
    let targets = MaskTargets::from_labels(&labels, [batch, rows, columns], text.dims()[0], device);
    let masks = model.forward(case.tensor("image").tensor(device), text);
    let terms = LossConfig::default().forward(masks, &targets);
    let normalizer = terms.normalizer.max(1) as f64;
    let loss = |value: Tensor<1>| vec![(value / normalizer).into_scalar::<f32>()];
    case.check("train.loss_mask", &loss(terms.mask.clone()));
    case.check(
        "train.loss_dice",
        &loss(terms.dice.clone().expect("NEL has a dice loss")),
    );

    let gradients = (terms.total() / normalizer).backward();
    let names = parameter_names(&model, "")
        .into_iter()
        .map(|parameter| (parameter.id, parameter))
        .collect();
    let mut visitor = Collect {
        names,
        gradients: &gradients,
        found: BTreeMap::new(),
    };
    model.visit(&mut visitor);
    let found = visitor.found;
    let tensors = case.json["tensors"].as_object().expect("tensors");
    let recorded: Vec<&str> = tensors
        .keys()
        .filter_map(|name| name.strip_prefix("train.grad."))
        .collect();
    assert!(!recorded.is_empty());
    for name in &recorded {
        let gradient = found
            .get(*name)
            .unwrap_or_else(|| panic!("{}: `{name}` has no gradient", case.name()));
        case.check(&format!("train.grad.{name}"), gradient);
    }
    for name in found.keys() {
        assert!(
            recorded.contains(&name.as_str()),
            "{}: `{name}` has a gradient, the release gives it none",
            case.name()
        );
    }
    for name in case.strings("/train/without_gradient") {
        assert!(
            !found.contains_key(&name),
            "{}: `{name}` must have no gradient",
            case.name()
        );
    }
}

fn trained_cases() -> Vec<Case> {
    let trained: Vec<Case> = cases("model")
        .into_iter()
        .filter(|case| case.json["train"].is_object())
        .collect();
    assert!(!trained.is_empty(), "no model case with gradients");
    trained
}

#[test]
fn parity_model_gradients() {
    for device in devices().iter().filter(|device| !device.gpu) {
        for case in trained_cases() {
            println!("{} on {}", case.name(), device.description);
            check(&case, &device.device);
        }
    }
}

/// One case is enough: every operator of the backward pass is in it, and a software driver compiles each for seconds.
#[test]
fn parity_model_gradients_on_a_gpu_interface() {
    let Some(gpu) = devices().into_iter().find(|device| device.gpu) else {
        return;
    };
    let smallest = trained_cases()
        .into_iter()
        .min_by_key(|case| case.tensor("image").values.len());
    check(&smallest.expect("a case"), &gpu.device);
}
