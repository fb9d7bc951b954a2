//! Gradient caching gives the gradients of the complete batch.

use burn::optim::GradientsParams;
use burn::tensor::Device;
use zegclip_model::ClipConfig;
use zegclip_model::clip::Clip;
use zegclip_model::parameters::parameter_names;
use zegclip_train::freeze::all_trainable;
use zegclip_train::pretrain::{BatchNames, ClipBatch, ClipObjective, clip_forward_backward};
use zegclip_train::{DecayExemption, Method, OptimizerConfig, gradients_by_name, init_seeded};

const BATCH: usize = 7;
const SIZE: usize = 16;

fn objective(chunk: usize, patch_weight: f64) -> ClipObjective {
    ClipObjective { patch_weight, chunk }
}

fn model(device: &Device) -> Clip {
    let mut config = ClipConfig::vit_b16();
    config.embed_dim = 12;
    config.vision.patch_size = 8;
    config.vision.position_grid = 2;
    config.text.pruned_vocabulary = Some((0..40).collect());
    let (vision, text) = (&mut config.vision, &mut config.text);
    (vision.width, vision.layers, vision.heads) = (16, 2, 2);
    (text.width, text.layers, text.heads, text.context_length) = (16, 2, 2, 9);
    all_trainable(init_seeded(device, 4, |host| Clip::new(&config, host)))
}

fn batch() -> ClipBatch {
    let mut state = 9u64;
    let mut draw = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    };
    let images = (0..BATCH * 3 * SIZE * SIZE)
        .map(|_| draw() as f32 / (1u64 << 31) as f32 - 0.5)
        .collect();
    // Of several lengths, one of them twice.
    let mut tokens: Vec<Vec<u32>> = (0..BATCH)
        .map(|text| (0..2 + text % 5).map(|_| draw() % 45).collect())
        .collect();
    tokens[6] = tokens[1].clone();
    let false_negative_mask = (0..BATCH * BATCH)
        .map(|pair| pair == BATCH + 6 || pair == 6 * BATCH + 1)
        .collect();
    // Three names, one of them a caption too; the last image has none.
    let names = BatchNames {
        tokens: vec![vec![7, 44], tokens[2].clone(), vec![3, 12, 44]],
        present: (0..BATCH * 3)
            .map(|place| place / 3 + 1 < BATCH && place % 7 < 3)
            .collect(),
    };
    ClipBatch {
        images,
        size: SIZE,
        tokens,
        false_negative_mask,
        names,
    }
}

fn values(model: &Clip, gradients: &GradientsParams) -> Vec<(String, Vec<f32>)> {
    gradients_by_name(model, gradients)
        .into_iter()
        .map(|(name, gradient)| (name, gradient.into_data().iter::<f32>().collect()))
        .collect()
}

#[test]
fn chunks_give_the_gradients_of_the_whole() {
    for patches in [0.0, 0.5] {
        compare_chunks(patches);
    }
    // What the patches learn is something else than what the class token learns.
    let device = Device::flex();
    let (model, batch) = (model(&device), batch());
    let loss = |patches| {
        clip_forward_backward(&model, &batch, objective(BATCH, patches), &device)
            .unwrap()
            .losses
            .total()
    };
    let (class, naming, both) = (loss(0.0), loss(1.0), loss(0.25));
    assert!((class - naming).abs() > 1e-4, "{class} {naming}");
    assert!(
        (both - (0.75 * class + 0.25 * naming)).abs() < 1e-5,
        "{both} of {class} and {naming}"
    );
}

fn compare_chunks(patches: f64) {
    let device = Device::flex();
    let (model, batch) = (model(&device), batch());
    let whole = clip_forward_backward(&model, &batch, objective(BATCH, patches), &device).unwrap();
    let expected = values(&model, &whole.gradients);
    let names: Vec<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"logit_scale") && names.contains(&"text_encoder.token_embedding.weight"));
    for chunk in [1, 3, 6] {
        let chunked = clip_forward_backward(&model, &batch, objective(chunk, patches), &device).unwrap();
        assert!(
            (whole.losses.total() - chunked.losses.total()).abs() < 1e-5,
            "{:?} {:?}",
            whole.losses,
            chunked.losses
        );
        let found = values(&model, &chunked.gradients);
        assert!(found.iter().map(|(name, _)| name.as_str()).eq(names.iter().copied()));
        for ((name, whole), (_, chunked)) in expected.iter().zip(&found) {
            let largest = whole.iter().fold(0f32, |largest, value| largest.max(value.abs()));
            for (whole, chunked) in whole.iter().zip(chunked) {
                assert!(
                    (whole - chunked).abs() <= 1e-4 * largest + 1e-7,
                    "{name}: {whole} {chunked}"
                );
            }
        }
    }
}

#[test]
fn a_step_against_the_gradient_lowers_the_loss() {
    let device = Device::flex();
    let (model, batch) = (model(&device), batch());
    let losses_of = |model: &Clip| clip_forward_backward(model, &batch, objective(BATCH, 0.0), &device).unwrap();
    for method in [Method::Adamw, Method::Muon] {
        let config = OptimizerConfig {
            method,
            weight_decay: 0.0,
            ..OptimizerConfig::default()
        };
        let before = losses_of(&model);
        let mut optimizer = config.build(&model, DecayExemption::AllButMatrices);
        let updated = optimizer.step(1e-3, model.clone(), before.gradients);
        let (after, before) = (losses_of(&updated).losses.total(), before.losses.total());
        assert!(after < before, "{method:?}: {after} {before}");
        // Muon updates matrices of weights only, and those need one moment instead of two.
        let state = burn_pack::Reader::from_bytes(optimizer.into_bytes().unwrap()).unwrap();
        let moments = |name: &str| {
            let parameter = parameter_names(&model, "").into_iter().find(|known| known.name == name);
            let prefix = format!("{}.", parameter.expect(name).id.val());
            state
                .tensor_names()
                .into_iter()
                .filter(|key| key.starts_with(&prefix))
                .count()
        };
        let matrices = if method == Method::Muon { 1 } else { 2 };
        assert_eq!(
            moments("backbone.transformer.resblocks.0.attn.in_proj_weight"),
            matrices
        );
        assert_eq!(moments("backbone.proj"), matrices);
        for other in [
            "text_encoder.token_embedding.weight",
            "backbone.ln_post.weight",
            "logit_scale",
        ] {
            assert_eq!(moments(other), 2, "{other}");
        }
    }
}
