//! Every ablation of the paper trains exactly its own parameters.

use std::collections::BTreeMap;
use std::path::Path;

use zegclip_model::config::MaskActivation;
use zegclip_model::{ModelOverrides, zegclip_config};
use zegclip_weights::WeightFile;

use crate::farm::Farm;

/// Shape and values of every parameter in a model file.
type Parameters = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn parameters(path: &Path) -> Parameters {
    let file = WeightFile::open(path).unwrap();
    file.names()
        .map(|name| (name.to_owned(), file.tensor_f32(name).unwrap()))
        .collect()
}

/// A run of two iterations, the second of which has a learning rate.
struct Trained {
    before: Parameters,
    after: Parameters,
    losses: Vec<f64>,
}

fn train(farm: &Farm, run: &str, overrides: &[&str]) -> Trained {
    let overrides = [&["iterations=2"], overrides].concat();
    let initial = farm.path(&format!("{run}-initial.safetensors"));
    let training = farm.training(run, &farm.config(&overrides)).unwrap();
    training.task().write_model(&initial).unwrap();
    drop(training);
    let (_, losses) = farm.train(run, &overrides);
    assert!(
        losses.iter().all(|loss| loss.is_finite() && *loss > 0.0),
        "{run}: {losses:?}"
    );
    Trained {
        before: parameters(&initial),
        after: parameters(&farm.path(&format!("{run}/model.safetensors"))),
        losses,
    }
}

fn is_prompt(name: &str) -> bool {
    name.starts_with("backbone.prompt") || name.starts_with("backbone.deep_prompt")
}

/// Of the second, last decoder layer only the scores are used.
fn is_used_in_decoder(name: &str) -> bool {
    name.starts_with("decode_head.q_proj")
        || name.starts_with("decode_head.decoder_1.layers.0.")
        || name.starts_with("decode_head.decoder_1.layers.1.multihead_attn.q.")
        || name.starts_with("decode_head.decoder_1.layers.1.multihead_attn.k.")
}

/// Exactly the parameters that `wanted` names have changed.
fn check(run: &str, trained: &Trained, wanted: impl Fn(&str) -> bool) {
    assert!(trained.before.keys().eq(trained.after.keys()), "{run}");
    assert!(
        trained.before.keys().any(|name| name.starts_with("text_encoder.")),
        "{run}"
    );
    for (name, before) in &trained.before {
        assert_eq!(trained.after[name] != *before, wanted(name), "{run}: `{name}`");
    }
}

fn prompts_of(trained: &Trained) -> Vec<&str> {
    let names = trained.after.keys().map(String::as_str);
    names
        .filter(|name| is_prompt(name))
        .map(|name| &name["backbone.".len()..])
        .collect()
}

const SHARED: [&str; 4] = [
    "prompt_norm.bias",
    "prompt_norm.weight",
    "prompt_proj.bias",
    "prompt_proj.weight",
];

#[test]
fn prompts_and_decoder_are_trained() {
    let farm = Farm::new();
    let published = train(&farm, "published", &[]);
    check("published", &published, |name| {
        is_prompt(name) || is_used_in_decoder(name)
    });
    let mut expected = ["deep_prompt_embeddings", "prompt_embeddings"].to_vec();
    expected.extend(SHARED);
    assert_eq!(prompts_of(&published), expected);

    let fix = train(&farm, "fix", &["model.prompts.form=none"]);
    check("fix", &fix, is_used_in_decoder);
    assert!(prompts_of(&fix).is_empty());

    let shallow = train(&farm, "shallow", &["model.prompts.form=shallow"]);
    // The release has the norm but does not apply it there.
    check("shallow", &shallow, |name| {
        (is_prompt(name) && !name.contains("prompt_norm")) || is_used_in_decoder(name)
    });
    assert_eq!(prompts_of(&shallow)[0], "prompt_embeddings");

    let reverse = train(
        &farm,
        "reverse",
        &["model.prompts.form=reverse", "model.prompts.blocks=1"],
    );
    check("reverse", &reverse, |name| is_prompt(name) || is_used_in_decoder(name));
    assert_eq!(prompts_of(&reverse)[0], "deep_prompt_embeddings");
    assert_eq!(prompts_of(&reverse).len(), 5);

    let count = train(&farm, "count", &["model.prompts.count=7"]);
    assert_eq!(count.after["backbone.deep_prompt_embeddings"].0, [1, 7, 32]);
    let losses = [&published, &fix, &shallow, &reverse, &count].map(|trained| trained.losses[0].to_bits());
    let distinct: std::collections::BTreeSet<u64> = losses.into_iter().collect();
    assert_eq!(distinct.len(), losses.len(), "two forms of prompts compute the same");
}

#[test]
fn fine_tuning_trains_the_image_encoder_too() {
    let farm = Farm::new();
    let all = |name: &str| name.starts_with("backbone.") || is_used_in_decoder(name);
    check("ft", &train(&farm, "ft", &["model.train_image_encoder=true"]), all);
    let without_prompts = ["model.train_image_encoder=true", "model.prompts.form=none"];
    check("ft without prompts", &train(&farm, "ft-fix", &without_prompts), all);
}

#[test]
fn every_form_of_the_relation_descriptor_trains() {
    let farm = Farm::new();
    let mut losses = std::collections::BTreeSet::new();
    for (form, parts) in [
        ("text", 1),
        ("product", 1),
        ("difference", 1),
        ("product_text", 2),
        ("difference_text", 2),
        ("product_difference", 2),
        ("product_difference_text", 3),
    ] {
        let trained = train(&farm, form, &[&format!("model.relation={form}")]);
        check(form, &trained, |name| is_prompt(name) || is_used_in_decoder(name));
        assert_eq!(trained.after["decode_head.q_proj.weight"].0, [16, parts * 16], "{form}");
        losses.insert(trained.losses[0].to_bits());
    }
    assert_eq!(losses.len(), 7, "two forms compute the same");
}

#[test]
fn every_loss_trains_the_same_parameters() {
    let farm = Farm::new();
    let mut losses = Vec::new();
    let (sigmoid, softmax) = (MaskActivation::Sigmoid, MaskActivation::Softmax);
    for (form, activation) in [
        ("nel", sigmoid),
        ("cross_entropy", softmax),
        ("binary_cross_entropy", sigmoid),
    ] {
        let trained = train(&farm, form, &[&format!("loss.form={form}")]);
        check(form, &trained, |name| is_prompt(name) || is_used_in_decoder(name));
        let file = WeightFile::open(&farm.path(&format!("{form}/model.safetensors"))).unwrap();
        let config = zegclip_config(&file, None, &ModelOverrides::default()).unwrap();
        assert_eq!(config.mask_activation, activation, "{form}");
        losses.push(trained.losses[0]);
    }
    assert!(losses[0] != losses[1] && losses[1] != losses[2], "{losses:?}");
    let halved = train(&farm, "halved", &["loss.focal_weight=50.0", "loss.dice_weight=0.5"]);
    assert!((halved.losses[0] - losses[0] / 2.0).abs() < 1e-4 * losses[0]);
}

#[test]
fn checkpointing_of_activations_changes_nothing() {
    let farm = Farm::new();
    let kept = train(&farm, "kept", &[]);
    let again = train(&farm, "again", &["activation_checkpointing=true"]);
    for (name, (_, kept)) in &kept.after {
        let difference = kept
            .iter()
            .zip(&again.after[name].1)
            .map(|(a, b)| (a - b).abs())
            .fold(0f32, |worst, next| if next <= worst { worst } else { next });
        assert!(difference < 1e-6, "`{name}`: {difference}");
    }
}

#[test]
fn norms_are_decayed_as_published_or_not() {
    let farm = Farm::new();
    // A decay that cannot be overlooked.
    let decayed = train(&farm, "decayed", &["optimizer.weight_decay=0.9"]);
    let spared = train(
        &farm,
        "spared",
        &["optimizer.weight_decay=0.9", "optimizer.decay_norms=false"],
    );
    for (name, after) in &decayed.after {
        let norm = name.contains("prompt_norm.weight") || name.contains("layers.0.norm") && name.ends_with("weight");
        assert_eq!(spared.after[name] != *after, norm, "`{name}`");
    }
}
