//! Forms of the formats that no recording has.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;
use zip::CompressionMethod;

use super::support::*;
use crate::{Dtype, Format, WeightFile};

#[test]
fn strided_tensors_are_read_in_row_major_order() {
    let values: Vec<f32> = (0..24).map(|value| value as f32).collect();
    let transposed = tensor(Dtype::F32, "0", 24, 2, &[3, 2], &[1, 4], b"");
    let file = open_pickle(&pickle(&dict("backbone.x", &transposed)), &bytes_of(&values)).unwrap();
    let expected = [2.0, 6.0, 3.0, 7.0, 4.0, 8.0];
    assert_eq!(file.tensor_f32("backbone.x").unwrap(), (vec![3, 2], expected.to_vec()));
    let halves = file.tensor_f16("backbone.x").unwrap().1;
    assert_eq!(halves.iter().map(|half| half.to_f32()).collect::<Vec<_>>(), expected);
    // Also above the size from which conversion is spread over threads, and as a contiguous tensor.
    let (rows, columns) = (700, 300);
    let values: Vec<f32> = (0..rows * columns).map(|value| value as f32).collect();
    let big = tensor(Dtype::F32, "0", rows * columns, 0, &[columns, rows], &[1, columns], b"");
    let file = open_pickle(&pickle(&dict("backbone.x", &big)), &bytes_of(&values)).unwrap();
    let (_, read) = file.tensor_f32("backbone.x").unwrap();
    let expected = (0..columns).flat_map(|column| (0..rows).map(move |row| (row * columns + column) as f32));
    assert!(read.iter().copied().eq(expected));
    let whole = tensor(Dtype::F32, "0", rows * columns, 0, &[rows, columns], &[columns, 1], b"");
    let file = open_pickle(&pickle(&dict("backbone.x", &whole)), &bytes_of(&values)).unwrap();
    assert_eq!(file.tensor_f32("backbone.x").unwrap().1, values);
}

#[test]
fn scalars_and_empty_tensors_are_read() {
    let both = [
        &b"}("[..],
        &text("backbone.one"),
        &tensor(Dtype::F32, "0", 2, 1, &[], &[], b""),
        &text("backbone.none"),
        &tensor(Dtype::F32, "0", 2, 0, &[3, 0], &[1, 1], b""),
        b"u",
    ];
    let file = open_pickle(&pickle(&both.concat()), &bytes_of(&[1.0, 7.5])).unwrap();
    assert_eq!(file.tensor_f32("backbone.one").unwrap(), (vec![], vec![7.5]));
    assert_eq!(file.tensor_f32("backbone.none").unwrap(), (vec![3, 0], vec![]));
}

#[test]
fn tensors_outside_their_storage_are_refused() {
    for (offset, shape, strides) in [
        (0, &[5][..], &[1][..]),
        (3, &[2], &[1]),
        (0, &[2], &[4]),
        (0, &[1 << 30, 1 << 30, 1 << 30], &[0, 0, 0]),
        (0, &[1 << 30], &[0]),
        (0, &[2, 2], &[1]),
    ] {
        let one = tensor(Dtype::F32, "0", 4, offset, shape, strides, b"");
        let message = message(open_pickle(&pickle(&dict("backbone.x", &one)), &bytes_of(&[0.0; 4])));
        assert!(message.starts_with("`w.pth`: tensor `backbone.x` "), "{message}");
    }
    let short = tensor(Dtype::F32, "0", 5, 0, &[4], &[1], b"");
    let message = message(open_pickle(&pickle(&dict("backbone.x", &short)), &bytes_of(&[0.0; 4])));
    assert_eq!(
        message,
        "`w.pth`: tensor `backbone.x` needs a storage of 5 elements, but the file contains 16 bytes"
    );
}

#[test]
fn optimizer_state_and_wrappers_are_left_out() {
    let one = |key| tensor(Dtype::F32, key, 1, 0, &[1], &[1], b"");
    // The storage of the optimizer does not exist: it is not read.
    let optimizer = [
        &b"}"[..],
        &text("state"),
        b"}",
        &int(0),
        &dict("exp_avg", &one("99")),
        b"ss",
    ]
    .concat();
    let numpy = b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\n(X\x02\0\0\0f8K\0K\x01tR(K\x03X\x01\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb";
    let encoded = [
        &b"c_codecs\nencode\n"[..],
        &text("\0\0\0\0\0\0\u{f8}?"),
        &text("latin1"),
        b"\x86R\x86R",
    ]
    .concat();
    let best = [&numpy[..], &encoded].concat();
    let checkpoint = [
        &b"}("[..],
        &text("meta"),
        &[
            &b"}("[..],
            &text("iter"),
            &int(7),
            &text("CLASSES"),
            &text("a"),
            &text("b"),
            b"\x86",
            &text("best"),
            &best,
            b"u",
        ]
        .concat(),
        &text("state_dict"),
        &dict("module.decode_head.q_proj.bias", &one("0")),
        &text("optimizer"),
        &optimizer,
        b"u",
    ];
    let file = open_pickle(&pickle(&checkpoint.concat()), &bytes_of(&[3.0])).unwrap();
    assert_eq!(file.format(), Format::Mmseg);
    assert_eq!(file.names().collect::<Vec<_>>(), ["decode_head.q_proj.bias"]);
    assert_eq!(file.classes().unwrap(), ["a", "b"]);
    assert_eq!(file.meta()["iter"], 7);
    assert_eq!(file.meta()["best"], 1.5);
}

#[test]
fn state_dicts_of_other_projects_are_read() {
    let one = tensor(Dtype::F16, "0", 1, 0, &[1], &[1], b"");
    for (name, format, canonical) in [
        ("module.visual.ln_pre.bias", Format::OpenClip, "backbone.ln_pre.bias"),
        (
            "text_model.final_layer_norm.bias",
            Format::HuggingFace,
            "text_encoder.ln_final.bias",
        ),
    ] {
        let file = open_pickle(&pickle(&dict(name, &one)), &[0, 0x3c]).unwrap();
        assert_eq!(
            (file.format(), file.names().collect::<Vec<_>>()),
            (format, vec![canonical])
        );
        assert_eq!(file.tensor_f32(canonical).unwrap(), (vec![1], vec![1.0]));
    }
    for name in [
        "_orig_mod.visual.ln_pre.bias",
        "module._orig_mod.visual.ln_pre.bias",
        "_orig_mod.module.model.visual._orig_mod.ln_pre.bias",
        "ema.visual.ln_pre.bias",
        "network.clip.visual.ln_pre.bias",
        "_orig_mod.vision_model.pre_layrnorm.bias",
        "net._orig_mod.vision_model.pre_layrnorm.bias",
        "_orig_mod.backbone.ln_pre.bias",
    ] {
        let wrapped = dict(name, &one);
        for pickled in [
            wrapped.clone(),
            dict("state_dict", &wrapped),
            dict("model_ema", &dict("module", &wrapped)),
        ] {
            let file = open_pickle(&pickle(&pickled), &[0, 0x3c]).unwrap();
            assert_eq!(file.names().collect::<Vec<_>>(), ["backbone.ln_pre.bias"], "{name}");
        }
    }
    let file = open_pickle(&pickle(&dict("layer1.0.conv1.weight", &one)), &[0, 0x3c]);
    assert_eq!(
        message(file),
        "`w.pth` contains tensors of a model that is neither CLIP nor ZegCLIP (for example `layer1.0.conv1.weight`)"
    );
    let twice = [
        &b"}("[..],
        &text("backbone.proj"),
        &one,
        &text("module.backbone.proj"),
        &one,
        b"u",
    ]
    .concat();
    assert_eq!(
        message(open_pickle(&pickle(&twice), &[0, 0x3c])),
        "`w.pth` contains `backbone.proj` twice: as `backbone.proj` and as `module.backbone.proj`"
    );
}

/// What `torch.save(.., _use_new_zipfile_serialization=False)` writes.
fn legacy(little_endian: bool, view: &[u8]) -> Vec<u8> {
    let magic = pickle(b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19");
    let system = dict("little_endian", if little_endian { b"\x88" } else { b"\x89" });
    let shape: (&[i32], &[i32]) = (&[2], &[1]);
    let state = dict(
        "state_dict",
        &dict("backbone.x", &tensor(Dtype::F32, "94", 4, 1, shape.0, shape.1, view)),
    );
    let keys = [&b"]"[..], &text("94"), b"a"].concat();
    let mut file = [
        magic,
        pickle(&int(1001)),
        pickle(&system),
        pickle(&state),
        pickle(&keys),
    ]
    .concat();
    file.extend(4u64.to_le_bytes());
    file.extend(bytes_of(&[1.0, 2.0, 3.0, 4.0]));
    file
}

#[test]
fn the_container_before_zip_is_read() {
    let file = open(legacy(true, b"N")).unwrap();
    assert_eq!(file.format(), Format::Mmseg);
    assert_eq!(file.tensor_f32("backbone.x").unwrap(), (vec![2], vec![2.0, 3.0]));
    let viewed = [&b"("[..], &text("95"), &int(1), &int(3), b"t"].concat();
    assert!(message(open(legacy(true, &viewed))).contains("needs a storage of 4 elements"));
    assert!(message(open(legacy(false, b"N"))).contains("big-endian"));
    let whole = legacy(true, b"N");
    for length in 2..whole.len() {
        message(open(whole[..length].to_vec()));
    }
    let other = pickle(&text("hello"));
    assert!(
        message(open(other))
            .starts_with("`w.pth` is not a weight file but a Python pickle that `torch.save` did not write")
    );
}

#[test]
fn archives_that_are_not_pytorch_s_are_named() {
    for (entries, expected) in [
        (
            &[("word/document.xml", &b"x"[..])][..],
            "a zip archive without `data.pkl`",
        ),
        (&[("features.npy", b"x")], "an archive of NumPy arrays (`.npz`)"),
        (
            &[("a/model.json", b"x")],
            "a TorchScript archive of PyTorch 1.3 or older",
        ),
        (&[("a/data.pkl", b"."), ("a/byteorder", b"big")], "big-endian"),
        (&[("a/data.pkl", b"."), ("b/data.pkl", b".")], "`b/data.pkl` twice"),
    ] {
        let message = message(open(zip_archive(entries)));
        assert!(message.contains(expected), "{message}");
    }
    let one = pickle(&dict("backbone.x", &tensor(Dtype::F32, "0", 1, 0, &[1], &[1], b"")));
    let missing = message(open(zip_archive(&[("a/data.pkl", &one)])));
    assert!(
        missing.contains("the storage `data/0` that its description names is missing"),
        "{missing}"
    );
    let mut deflated = zip_with(
        &[("a/data.pkl", &one), ("a/data/0", &[0; 4])],
        CompressionMethod::Stored,
    );
    // The compression method is at offset 10 of a central header.
    let central: Vec<usize> = deflated
        .windows(4)
        .enumerate()
        .filter(|(_, w)| w == b"PK\x01\x02")
        .map(|(at, _)| at)
        .collect();
    deflated[central[1] + 10] = 8;
    let refused = message(open(deflated));
    assert!(refused.contains("entry `data/0` is compressed"), "{refused}");
}

#[test]
fn shards_are_read_through_their_index_or_folder() {
    for (folder, case) in cases_with("files") {
        let whole = WeightFile::open(&folder.join(case["files"]["hugging_face"].as_str().unwrap())).unwrap();
        // The raw tensors again, spread over two files by turns.
        let raw = read(whole.path());
        let parsed = safetensors::SafeTensors::deserialize(&raw).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
        let mut map = BTreeMap::new();
        for (i, shard) in shards.iter().enumerate() {
            let tensors: Vec<_> = parsed.tensors().into_iter().skip(i).step_by(2).collect();
            map.extend(tensors.iter().map(|(name, _)| (name.clone(), *shard)));
            safetensors::serialize_to_file(tensors, None, &directory.path().join(shard)).unwrap();
        }
        let index = directory.path().join("model.safetensors.index.json");
        std::fs::write(&index, json!({"metadata": {}, "weight_map": map}).to_string()).unwrap();
        std::fs::write(
            directory.path().join("config.json"),
            json!({"text_config": {"num_attention_heads": 2}}).to_string(),
        )
        .unwrap();
        assert_equal(&whole, &WeightFile::open(&index).unwrap());
        let by_folder = WeightFile::open(directory.path()).unwrap();
        assert_eq!(by_folder.path(), index);
        assert_eq!(by_folder.architecture().unwrap().text.unwrap().heads, 2);

        map.insert("extra".into(), shards[0]);
        std::fs::write(&index, json!({"weight_map": map}).to_string()).unwrap();
        assert!(
            message(WeightFile::open(&index)).contains("maps `extra` to the shard `model-00001-of-00002.safetensors`")
        );
        std::fs::remove_file(directory.path().join(shards[1])).unwrap();
        assert!(
            message(WeightFile::open(&index))
                .contains("names the shard `model-00002-of-00002.safetensors`, which is not")
        );
        for shard in ["../secret", "/etc/passwd", ""] {
            std::fs::write(&index, json!({"weight_map": {"x": shard}}).to_string()).unwrap();
            assert!(
                message(WeightFile::open(&index)).contains(&format!("the shard `{shard}` is not a file beside it"))
            );
        }
        std::fs::write(&index, "{\"weight_map\": 3}").unwrap();
        assert!(message(WeightFile::open(&index)).contains("is not an index of a sharded model"));
    }
}

#[test]
fn paths_that_hold_no_model_are_named() {
    let folder = tempfile::tempdir().unwrap();
    assert!(message(WeightFile::open(folder.path())).contains("contains none of model.safetensors, "));
    let path = folder.path().join("empty.pt");
    assert!(message(WeightFile::open(&path)).starts_with("cannot read `"));
    std::fs::write(&path, "").unwrap();
    assert!(message(WeightFile::open(&path)).ends_with("is empty"));
    std::fs::write(&path, "{\"epochs\": 3}").unwrap();
    assert!(message(WeightFile::open(&path)).contains("is not an index of a sharded model"));
    #[cfg(unix)]
    assert!(message(WeightFile::open(Path::new("/dev/null"))).contains("is not a file"));
}

#[test]
fn projections_of_queries_keys_and_values_have_to_be_complete() {
    let data = [0; 24];
    let part = |name: &str, shape: [usize; 2]| {
        let bytes = data.get(..4 * shape[0] * shape[1]).unwrap();
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.to_vec(), bytes).unwrap();
        (format!("vision_model.encoder.layers.0.self_attn.{name}.weight"), view)
    };
    for (tensors, expected) in [
        (
            vec![part("q_proj", [2, 2]), part("k_proj", [2, 2])],
            "lacks the projection of",
        ),
        (
            vec![part("q_proj", [2, 2]), part("k_proj", [2, 2]), part("v_proj", [2, 3])],
            "consists of parts of the shapes [4, 2] and [2, 3], which do not fit",
        ),
    ] {
        let bytes = safetensors::serialize(tensors, None).unwrap();
        let message = message(open(bytes));
        assert!(
            message.contains("`backbone.transformer.resblocks.0.attn.in_proj_weight`"),
            "{message}"
        );
        assert!(message.contains(expected), "{message}");
    }
}
