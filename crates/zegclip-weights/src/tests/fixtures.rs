//! Every recorded weight file.

use serde_json::Value as Json;

use super::support::{assert_equal, cases_with, number};
use crate::{Dtype, Format, WeightFile};

#[test]
fn parity_clip_formats_contain_equal_tensors() {
    for (folder, case) in cases_with("files") {
        let open = |format: &str| WeightFile::open(&folder.join(case["files"][format].as_str().unwrap())).unwrap();
        let (openai, open_clip, hugging_face) = (open("openai"), open("open_clip"), open("hugging_face"));
        assert_eq!(openai.format(), Format::OpenAiTorchScript);
        assert_eq!(open_clip.format(), Format::OpenClip);
        assert_eq!(hugging_face.format(), Format::HuggingFace);
        assert_equal(&openai, &open_clip);
        assert_equal(&openai, &hugging_face);
        assert_eq!(openai.info("backbone.class_embedding").unwrap().dtype, Dtype::F32);
        assert_eq!(openai.info("backbone.conv1.weight").unwrap().dtype, Dtype::F16);
        assert_eq!(openai.meta()["context_length"], case["config"]["context_length"]);
        assert_eq!(openai.meta()["input_resolution"], case["config"]["image_resolution"]);
        assert_eq!(openai.meta()["vocab_size"], case["config"]["vocab_size"]);
        for file in [openai, open_clip, hugging_face] {
            let architecture = file.architecture().unwrap();
            let (vision, text) = (architecture.vision.unwrap(), architecture.text.unwrap());
            let patch = number(&case, "/config/vision_patch_size");
            assert_eq!(vision.width, number(&case, "/config/vision_width"));
            assert_eq!(vision.layers, number(&case, "/config/vision_layers"));
            assert_eq!(vision.patch_size, patch);
            assert_eq!(
                vision.position_grid,
                Some(number(&case, "/config/image_resolution") / patch)
            );
            assert_eq!(vision.embed_dim, Some(number(&case, "/config/embed_dim")));
            assert_eq!(text.width, number(&case, "/config/transformer_width"));
            assert_eq!(text.layers, number(&case, "/config/transformer_layers"));
            assert_eq!(text.context_length, number(&case, "/config/context_length"));
            assert_eq!(text.vocab_size, number(&case, "/config/vocab_size"));
            assert_eq!(text.embed_dim, vision.embed_dim);
            assert_eq!((architecture.prompts, architecture.decoder), (None, None));
        }
    }
}

#[test]
fn parity_checkpoints_determine_architecture_and_classes() {
    for (folder, case) in cases_with("checkpoint") {
        let file = WeightFile::open(&folder.join(case["checkpoint"].as_str().unwrap())).unwrap();
        assert_eq!(file.format(), Format::Mmseg);
        let classes: Vec<&str> = case["config"]["class_names"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Json::as_str)
            .collect();
        assert_eq!(file.classes().unwrap(), classes, "{}", folder.display());
        let architecture = file.architecture().unwrap();
        let vision = architecture.vision.unwrap();
        assert_eq!(vision.width, number(&case, "/config/vision/width"));
        assert_eq!(vision.layers, number(&case, "/config/vision/layers"));
        assert_eq!(vision.patch_size, number(&case, "/config/vision/patch_size"));
        assert_eq!(
            vision.position_grid,
            Some(number(&case, "/config/vision/position_grid"))
        );
        assert_eq!(vision.embed_dim, Some(number(&case, "/config/embed_dim")));
        assert_eq!(
            architecture.text.is_some(),
            case["checkpoint_has_text_encoder"].as_bool().unwrap()
        );
        if let Some(text) = architecture.text {
            assert_eq!(text.width, number(&case, "/config/text/width"));
            assert_eq!(text.layers, number(&case, "/config/text/layers"));
        }
        let count = number(&case, "/config/prompts/count");
        assert_eq!(architecture.prompts.is_some(), count > 0);
        if let Some(prompts) = architecture.prompts {
            let depth = case["config"]["prompts"]["total_d_layer"].as_i64().unwrap();
            assert_eq!(prompts.count, count);
            assert_eq!(prompts.deep_layers, depth.unsigned_abs() as usize);
            assert_eq!(prompts.first_layer, depth >= 0);
            assert!(prompts.norm);
        }
        let decoder = architecture.decoder.unwrap();
        let width = number(&case, "/config/embed_dim");
        assert_eq!(decoder.layers, number(&case, "/config/decoder/layers"));
        assert_eq!((decoder.width, decoder.descriptor_width), (width, 2 * width));
        assert_eq!(decoder.ffn_width, width * number(&case, "/config/decoder/ffn_ratio"));
        for name in file.names() {
            let (shape, values) = file.tensor_f32(name).unwrap();
            assert_eq!(shape.iter().product::<usize>(), values.len());
            assert!(values.iter().all(|value| value.is_finite()), "{name}");
        }
    }
}

#[test]
fn a_description_counts_tensors_and_bytes() {
    let path = super::support::a_checkpoint();
    let description = WeightFile::open(&path).unwrap().describe();
    assert_eq!(description["format"], "mmseg");
    assert_eq!(description["parts"]["decode_head"], true);
    assert_eq!(description["dtypes"]["f32"], description["tensors"]);
    assert_eq!(description["unknown"], Json::Array(vec![]));
    let bytes = description["bytes"].as_u64().unwrap();
    assert_eq!(bytes, 4 * description["parameters"].as_u64().unwrap());
    assert!(bytes < std::fs::metadata(&path).unwrap().len());
    assert!(description.get("architecture_error").is_none());
}
