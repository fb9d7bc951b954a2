//! ZegCLIP's forward pass, stage by stage.

use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, FloatDType, Tensor};
use zegclip_model::clip::text_features;
use zegclip_model::config::ZegClipConfig;
use zegclip_model::interpolate::resize_bilinear;
use zegclip_model::prompt::PromptedEncoder;
use zegclip_model::{ModelOverrides, ZegClip, load_text_encoder, load_zegclip, zegclip_config};
use zegclip_weights::WeightFile;

use crate::cases::{Case, OnDevice, cases, values};
use crate::devices;

fn overrides(case: &Case) -> ModelOverrides {
    ModelOverrides {
        image_size: Some(case.number("/config/image_size")),
        stride: Some(case.number("/config/stride")),
        vision_heads: Some(case.number("/config/vision/heads")),
        text_heads: Some(case.number("/config/text/heads")),
        decoder_heads: Some(case.number("/config/decoder/heads")),
        ..ModelOverrides::default()
    }
}

fn load(case: &Case, device: &Device) -> (ZegClip, ZegClipConfig, WeightFile) {
    let weights = WeightFile::open(&case.file("checkpoint")).unwrap_or_else(|error| panic!("{error}"));
    let config = zegclip_config(&weights, None, &overrides(case)).unwrap_or_else(|error| panic!("{error}"));
    let model =
        load_zegclip(&config, &weights, None, device, FloatDType::F32).unwrap_or_else(|error| panic!("{error}"));
    (model, config, weights)
}

/// The model that recordings of training used.
pub(crate) fn load_without_dropout(case: &Case, device: &Device) -> ZegClip {
    let (_, mut config, weights) = load(case, device);
    config.decoder.dropout = 0.0;
    if let Some(prompts) = &mut config.prompts {
        prompts.dropout = 0.0;
    }
    load_zegclip(&config, &weights, None, device, FloatDType::F32).unwrap_or_else(|error| panic!("{error}"))
}

/// Rows of the recorded tokens that the result depends on: the class token and the patches, and prompts only where they
/// are among ours. The release also computes outputs of prompts that the next block replaces or drops.
fn needed_tokens(case: &Case, name: &str, ours: &Tensor<3>) -> Vec<f32> {
    let recorded = case.tensor(name);
    let [batch, tokens, width] = [recorded.shape[0], recorded.shape[1], recorded.shape[2]];
    let extra = tokens - ours.dims()[1];
    let mut kept = Vec::new();
    for image in 0..batch {
        for token in (0..tokens).filter(|token| *token == 0 || *token > extra) {
            kept.extend_from_slice(&recorded.values[(image * tokens + token) * width..][..width]);
        }
    }
    kept
}

/// `max over classes` of scores `[images, classes, pixels]`.
fn arg_max(scores: &[f32], images: usize, classes: usize) -> Vec<usize> {
    let pixels = scores.len() / (images * classes);
    (0..images * pixels)
        .map(|index| {
            let (image, pixel) = (index / pixels, index % pixels);
            let score = |class: usize| scores[(image * classes + class) * pixels + pixel];
            (1..classes).fold(0, |best, class| if score(class) > score(best) { class } else { best })
        })
        .collect()
}

fn check_forward(case: &Case, device: &Device) {
    let (model, config, weights) = load(case, device);
    let expected_deep = case.signed("/config/prompts/total_d_layer");
    let prompts = config.prompts.as_ref().map_or(0, |prompts| prompts.count);
    assert_eq!(
        prompts,
        case.number("/config/prompts/count"),
        "prompts, total_d_layer {expected_deep}"
    );
    let names = case.strings("/config/class_names");
    let recorded_text = case.tensor("text_features");
    if case.json["checkpoint_has_text_encoder"] == true {
        let encoder = load_text_encoder(&weights, &overrides(case), device, FloatDType::F32)
            .unwrap_or_else(|error| panic!("{error}"));
        let classes: Vec<Vec<String>> = names.iter().map(|name| vec![name.clone()]).collect();
        let template = case.json["config"]["template"].as_str().expect("template").to_owned();
        let text = text_features(&encoder, &classes, &[template]).unwrap_or_else(|error| panic!("{error}"));
        case.check("text_features", &values(text));
    }
    let text: Tensor<2> = recorded_text.tensor(device);
    let image: Tensor<4> = case.tensor("image").tensor(device);
    let last = config.vision.layers - 1;
    let encoder = PromptedEncoder::new(&model.image_encoder).with_prompts(model.prompts.as_ref());
    let features = encoder.forward_observed(image.clone(), |block, tokens| {
        let name = block.map_or("vision.after_ln_pre".to_owned(), |block| {
            format!("vision.block_{block}")
        });
        let expected = needed_tokens(case, &name, tokens);
        case.check_values(&name, &values(tokens.clone()), &expected);
        if block == Some(last) {
            let mut normed = tokens.clone();
            if let Some(prompts) = model.prompts.as_ref().filter(|_| expected_deep != 0) {
                normed = prompts.prompt_norm.forward(normed);
            }
            let normed = model.image_encoder.ln_post.forward(normed);
            let expected = needed_tokens(case, "vision.after_ln_post", &normed);
            case.check_values("vision.after_ln_post", &values(normed), &expected);
        }
    });
    case.check(
        "vision.patch_features",
        &values(features.patches.clone().swap_dims(1, 2)),
    );
    case.check("vision.class_feature", &values(features.class.clone()));
    let descriptor = model
        .relation_descriptor
        .descriptor(features.class.clone(), text.clone());
    case.check("relation_descriptor", &values(descriptor));
    let mut queries = model.relation_descriptor.forward(features.class.clone(), text.clone());
    case.check("class_queries", &values(queries.clone()));
    for (index, layer) in model.decoder.layers.iter().enumerate() {
        let scores = layer.cross_attention.scores(queries.clone(), features.patches.clone());
        case.check(&format!("decoder.layer_{index}.scores"), &values(scores));
        queries = layer.forward(queries, features.patches.clone());
        case.check(&format!("decoder.layer_{index}.queries"), &values(queries.clone()));
    }
    let recorded_masks = case.tensor("pred_masks");
    let size = [recorded_masks.shape[2], recorded_masks.shape[3]];
    let masks = resize_bilinear(model.forward(image.clone(), text.clone()), size);
    case.check("pred_masks", &values(masks));
    let masks = resize_bilinear(model.predict(image, text, &model.prepare()), size);
    case.check("pred_masks", &values(masks.clone()));
    let [images, classes, ..] = masks.dims();
    let mut scores = values(sigmoid(masks));
    let seen: Vec<usize> = case.json["config"]["seen"]
        .as_array()
        .expect("seen")
        .iter()
        .filter_map(|index| index.as_u64())
        .map(|index| index as usize)
        .collect();
    let adjustment = case.float("/seen_class_adjustment") as f32;
    for (index, plane) in scores.chunks_exact_mut(size[0] * size[1]).enumerate() {
        if seen.contains(&(index % classes)) && case.json["setting"] != "transductive" {
            plane.iter_mut().for_each(|score| *score -= adjustment);
        }
    }
    case.check("scores", &scores);
    case.check_labels("labels", &arg_max(&scores, images, classes), &case.tensor("scores"));
}

#[test]
fn parity_model_forward() {
    for device in devices() {
        for case in cases("model") {
            println!("{} on {}", case.name(), device.description);
            check_forward(&case, &device.device);
        }
    }
}
