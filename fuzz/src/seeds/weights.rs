//! Weight files by the crate's writers, and headers of other projects.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, json};
use zegclip_weights::{Dtype, IfExists, OutputTensor, WeightError, write_mmseg, write_native, write_open_clip};

use crate::scratch::Scratch;

/// A tensor of each kind from which sizes of the model are derived.
const TENSORS: [(&str, &[usize]); 14] = [
    ("backbone.conv1.weight", &[4, 3, 2, 2]),
    ("backbone.class_embedding", &[4]),
    ("backbone.positional_embedding", &[5, 4]),
    ("backbone.proj", &[4, 2]),
    ("backbone.transformer.resblocks.0.attn.in_proj_weight", &[12, 4]),
    ("backbone.transformer.resblocks.0.mlp.c_fc.weight", &[8, 4]),
    ("backbone.prompt_embeddings", &[1, 2, 4]),
    ("text_encoder.token_embedding.weight", &[6, 2]),
    ("text_encoder.positional_embedding", &[3, 2]),
    ("text_encoder.text_projection", &[2, 2]),
    ("text_encoder.transformer.resblocks.0.mlp.c_fc.weight", &[4, 2]),
    ("decode_head.q_proj.weight", &[2, 4]),
    ("decode_head.decoder_1.layers.0.linear1.weight", &[4, 2]),
    ("logit_scale", &[1]),
];

fn tensors(dtype: Dtype) -> Vec<OutputTensor<'static>> {
    let tensor = |(name, shape): &(&str, &[usize])| {
        let values = vec![0.5; shape.iter().product()];
        OutputTensor::from_f32(*name, shape, Cow::Owned(values), dtype)
    };
    TENSORS.iter().map(tensor).collect()
}

fn written(write: impl FnOnce(&Path) -> Result<(), WeightError>) -> Vec<u8> {
    let scratch = Scratch::new("seed");
    let path = scratch.path("w");
    write(&path).unwrap_or_else(|error| panic!("{error}"));
    super::read(&path)
}

fn classes() -> Vec<String> {
    vec!["cat".to_owned(), "dog".to_owned()]
}

pub(crate) fn native() -> Vec<u8> {
    let config = json!({"heads": 2, "layers": 1, "width": 4, "activation": "quick_gelu"});
    let metadata = BTreeMap::from([
        ("classes".to_owned(), json!(classes()).to_string()),
        ("config".to_owned(), config.to_string()),
    ]);
    written(|path| write_native(path, &metadata, tensors(Dtype::F16), IfExists::Replace))
}

/// Archives of checkpoints.
pub(crate) fn archives() -> Vec<Vec<u8>> {
    let small = written(|path| {
        let few: Vec<_> = tensors(Dtype::F16).into_iter().take(3).collect();
        write_mmseg(path, &Map::new(), &classes(), &few, IfExists::Replace)
    });
    let mut archives = vec![small];
    archives.extend(
        super::pickles::state_dicts()
            .iter()
            .map(|pickle| super::pickles::state_dict_archive(pickle)),
    );
    archives.extend(
        super::pickles::modules()
            .iter()
            .map(|pickle| super::pickles::torch_script_archive(pickle)),
    );
    archives.push(super::pickles::archive(&[
        ("a.npy", b"\x93NUMPY"),
        ("model.json", b"{}"),
    ]));
    archives
}

/// A safetensors file of f16 zeros with these names and shapes.
fn safetensors(tensors: &[(&str, &[usize])]) -> Vec<u8> {
    let mut header = Map::new();
    let mut offset = 0;
    for (name, shape) in tensors {
        let end = offset + 2 * shape.iter().product::<usize>();
        header.insert(
            (*name).to_owned(),
            json!({"dtype": "F16", "shape": shape, "data_offsets": [offset, end]}),
        );
        offset = end;
    }
    let header = json!(header).to_string().into_bytes();
    [&(header.len() as u64).to_le_bytes()[..], &header, &vec![0; offset]].concat()
}

pub(crate) fn hugging_face() -> Vec<u8> {
    safetensors(&[
        ("vision_model.embeddings.class_embedding", &[4]),
        ("vision_model.embeddings.patch_embedding.weight", &[4, 3, 2, 2]),
        ("vision_model.embeddings.position_embedding.weight", &[5, 4]),
        ("vision_model.encoder.layers.0.self_attn.q_proj.weight", &[4, 4]),
        ("vision_model.encoder.layers.0.self_attn.k_proj.weight", &[4, 4]),
        ("vision_model.encoder.layers.0.self_attn.v_proj.weight", &[4, 4]),
        ("vision_model.encoder.layers.0.mlp.fc1.weight", &[8, 4]),
        ("text_model.embeddings.token_embedding.weight", &[6, 2]),
        ("text_model.embeddings.position_embedding.weight", &[3, 2]),
        ("text_model.encoder.layers.0.mlp.fc1.weight", &[4, 2]),
        ("visual_projection.weight", &[2, 4]),
        ("text_projection.weight", &[2, 2]),
    ])
}

/// Files in safetensors format.
pub(crate) fn safetensors_files() -> Vec<Vec<u8>> {
    let open_clip = written(|path| write_open_clip(path, tensors(Dtype::Bf16), IfExists::Replace));
    let other = safetensors(&[("a", &[]), ("b", &[0, 3]), ("c", &[2, 0, 1])]);
    vec![native(), open_clip, hugging_face(), other]
}

/// Configurations beside weights, of Hugging Face and OpenCLIP.
pub(crate) fn configurations() -> Vec<Vec<u8>> {
    let hugging_face = json!({
        "vision_config": {"num_attention_heads": 2, "hidden_act": "quick_gelu", "hidden_size": 4, "image_size": 4},
        "text_config": {"num_attention_heads": 1, "hidden_act": "gelu"},
    });
    let open_clip = json!({"model_cfg": {
        "embed_dim": 2, "quick_gelu": false,
        "vision_cfg": {"head_width": 2, "layers": 1, "width": 4, "patch_size": 2, "image_size": 4},
        "text_cfg": {"heads": 1, "context_length": 3, "vocab_size": 6, "width": 2, "layers": 1},
    }});
    [hugging_face, open_clip]
        .iter()
        .map(|config| config.to_string().into_bytes())
        .collect()
}

/// Indices of sharded models whose only shard is `shard.safetensors`.
pub(crate) fn indices() -> Vec<Vec<u8>> {
    let name = "vision_model.embeddings.class_embedding";
    let index = json!({
        "metadata": {"total_size": 8},
        "weight_map": {name: "shard.safetensors", "visual_projection.weight": "shard.safetensors"},
    });
    vec![index.to_string().into_bytes(), b"{\"weight_map\": {}}".to_vec()]
}

pub(crate) const JSON_TOKENS: [&[u8]; 24] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"null",
    b"true",
    b"\"\"",
    b"\"\\u0000\"",
    b"\"\\ud800\"",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"4000000000",
    b"\"dtype\":\"F16\"",
    b"\"shape\":[0,18446744073709551615]",
    b"\"data_offsets\":[0,0]",
    b"\"__metadata__\":{}",
    b"\"F8_E4M3\"",
    b"\"I64\"",
    b"\"BOOL\"",
    b"\"../\"",
    b"\"format\":\"zegclip\"",
];
