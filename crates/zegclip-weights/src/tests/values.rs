//! Values that a model cannot compute with, and files that change while they are open.

use std::collections::BTreeMap;
use std::path::Path;

use super::support::*;
use crate::{Dtype, IfExists, OutputTensor, WeightError, WeightFile, write_native};

const NAME: &str = "decode_head.q_proj.weight";

fn native(values: &[f32], shape: &[usize], dtype: Dtype) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w");
    // As bytes: values would be checked.
    let bytes = dtype.encode_f32(values).unwrap();
    let tensor = OutputTensor::new(NAME, shape, dtype, bytes.into());
    write_native(&path, &BTreeMap::new(), vec![tensor], IfExists::Fail).unwrap();
    std::fs::read(path).unwrap()
}

/// Every way to the elements of the tensor.
fn errors(file: &WeightFile) -> Vec<Option<String>> {
    let written = file.output(NAME, None).unwrap();
    let converted = file.output(NAME, Some(Dtype::F16)).unwrap();
    let path = Path::new("out");
    [
        file.tensor_f32(NAME).err(),
        file.tensor_f16(NAME).err(),
        file.require_range(NAME, Dtype::F32).err(),
        written.bytes(path).err(),
        converted.bytes(path).err(),
    ]
    .into_iter()
    .map(|error| error.map(|error| error.to_string()))
    .collect()
}

#[test]
fn values_that_are_not_finite_are_refused_wherever_they_are() {
    // More than one task checks.
    let (rows, columns) = (700, 400);
    for dtype in [Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::F64] {
        for (place, value, shown) in [
            (0, f32::NAN, "NaN at [0, 0]"),
            (rows * columns - 1, f32::NEG_INFINITY, "-inf at [699, 399]"),
            (123_456, f32::INFINITY, "inf at [308, 256]"),
        ] {
            let mut values = vec![0.5; rows * columns];
            values[place] = value;
            let file = open(native(&values, &[rows, columns], dtype)).unwrap();
            for message in errors(&file) {
                let expected = format!(
                    "`w.pth`: tensor `{NAME}` has values that are not finite numbers: 1 of 280000, the first is {shown}"
                );
                assert_eq!(message.as_ref(), Some(&expected), "{dtype}");
            }
            let [found] = file.not_finite().unwrap().try_into().unwrap();
            assert_eq!(
                (found.key.as_str(), found.count, found.elements),
                (NAME, 1, rows * columns)
            );
        }
    }
}

#[test]
fn mapped_values_are_checked_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w");
    std::fs::write(&path, native(&[1.0, 2.0, f32::NAN, f32::NAN], &[2, 2], Dtype::F32)).unwrap();
    let file = WeightFile::open(&path).unwrap().stays_mapped();
    for _ in 0..2 {
        let message = file.mapped_f32(NAME).unwrap_err().to_string();
        assert!(message.contains("2 of 4, the first is NaN at [1, 0]"), "{message}");
    }
    std::fs::write(&path, native(&[1.0, 2.0, 3.0, 4.0], &[2, 2], Dtype::F32)).unwrap();
    let file = WeightFile::open(&path).unwrap().stays_mapped();
    assert!(file.mapped_f32(NAME).unwrap().is_some());
    assert!(file.not_finite().unwrap().is_empty());
}

#[test]
fn strided_and_joined_tensors_are_checked() {
    let values = [0.0, f32::NAN, 0.0, 0.0, 0.0, 0.0];
    let transposed = tensor(Dtype::F32, "0", 6, 0, &[2, 3], &[1, 2], b"");
    let file = open_pickle(&pickle(&dict("backbone.x", &transposed)), &bytes_of(&values)).unwrap();
    let message = file.tensor_f32("backbone.x").unwrap_err().to_string();
    assert!(message.contains("1 of 6, the first is NaN at [1, 0]"), "{message}");
    // The elements outside the tensor are not its own.
    let outside = tensor(Dtype::F32, "0", 6, 2, &[4], &[1], b"");
    let file = open_pickle(&pickle(&dict("backbone.x", &outside)), &bytes_of(&values)).unwrap();
    assert_eq!(file.tensor_f32("backbone.x").unwrap().1, [0.0; 4]);

    let part = |name: &str, offset| {
        let one = tensor(Dtype::F32, "0", 6, offset, &[2], &[1], b"");
        [text(&format!("text_model.encoder.layers.0.self_attn.{name}.bias")), one].concat()
    };
    let parts = [
        &b"}("[..],
        &part("q_proj", 2),
        &part("k_proj", 0),
        &part("v_proj", 4),
        b"u",
    ]
    .concat();
    let file = open_pickle(&pickle(&parts), &bytes_of(&values)).unwrap();
    let error = file
        .tensor_f32("text_encoder.transformer.resblocks.0.attn.in_proj_bias")
        .unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("tensor `text_model.encoder.layers.0.self_attn.k_proj.bias` (`text_encoder.transformer.resblocks.0.attn.in_proj_bias`)"),
        "{message}"
    );
    assert!(message.ends_with("1 of 6, the first is NaN at [3]"), "{message}");
}

#[test]
fn values_that_a_type_cannot_hold_are_refused() {
    let values = [1.0, -65_520.0, 1e6, 65_519.9];
    let file = open(native(&values, &[4], Dtype::F32)).unwrap();
    let refused = |dtype| {
        let tensor = file.output(NAME, Some(dtype)).unwrap();
        tensor
            .bytes(Path::new("out"))
            .map(|bytes| bytes.len())
            .map_err(|error| error.to_string())
    };
    let message =
        format!("`w.pth`: tensor `{NAME}` has values that f16 cannot hold: 2 of 4, the first is -65520.0 at [1]");
    assert_eq!(refused(Dtype::F16), Err(message.clone()));
    assert_eq!(file.require_range(NAME, Dtype::F16).unwrap_err().to_string(), message);
    assert_eq!(file.tensor_f16(NAME).unwrap_err().to_string(), message);
    assert_eq!(
        (refused(Dtype::Bf16), refused(Dtype::F32), refused(Dtype::F64)),
        (Ok(8), Ok(16), Ok(32))
    );
    file.require_range(NAME, Dtype::Bf16).unwrap();
    // What becomes zero or loses digits is held.
    let small = open(native(&[1e-30, -1e-8, 65_504.0, 1.0 / 3.0], &[4], Dtype::F32)).unwrap();
    small.require_range(NAME, Dtype::F16).unwrap();
    let halves = small.tensor_f16(NAME).unwrap().1;
    assert!(halves.iter().all(|half| half.is_finite()), "{halves:?}");

    let double = 1e300f64.to_le_bytes();
    let one = tensor(Dtype::F64, "0", 1, 0, &[1], &[1], b"");
    let file = open_pickle(&pickle(&dict("backbone.x", &one)), &double).unwrap();
    let message = file.tensor_f32("backbone.x").unwrap_err().to_string();
    assert!(
        message.contains("values that f32 cannot hold: 1 of 1, the first is 1e300 at [0]"),
        "{message}"
    );
    assert_eq!(
        file.output("backbone.x", None)
            .unwrap()
            .bytes(Path::new("out"))
            .unwrap()
            .len(),
        8
    );

    let computed = OutputTensor::from_f32("x", &[1, 2], (&[1.0, 7e4][..]).into(), Dtype::F16);
    let message = computed.bytes(Path::new("out")).map(|_| ()).unwrap_err().to_string();
    assert!(
        message.contains("`x` has values that f16 cannot hold: 1 of 2, the first is 70000.0 at [0, 1]"),
        "{message}"
    );
}

#[test]
fn masks_of_attention_may_be_infinite() {
    let one = tensor(Dtype::F32, "0", 2, 0, &[2], &[1], b"");
    let pickled = pickle(&dict("text_encoder.transformer.attn_mask", &one));
    let file = open_pickle(&pickled, &bytes_of(&[0.0, f32::NEG_INFINITY])).unwrap();
    assert!(file.not_finite().unwrap().is_empty());
    let mask = file
        .output("text_encoder.transformer.attn_mask", Some(Dtype::F16))
        .unwrap();
    assert_eq!(mask.bytes(Path::new("out")).unwrap().len(), 4);
}

#[test]
fn a_file_that_changes_while_it_is_open_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w");
    let bytes = native(&[1.0; 4096], &[4096], Dtype::F32);
    std::fs::write(&path, &bytes).unwrap();
    let file = WeightFile::open(&path).unwrap();
    let watch = file.watch();
    watch.check().unwrap();
    // Another file under its name leaves the open one as it is.
    let other = folder.path().join("other");
    std::fs::write(&other, &bytes).unwrap();
    std::fs::rename(&other, &path).unwrap();
    watch.check().unwrap();
    assert_eq!(file.tensor_f32(NAME).unwrap().1.len(), 4096);

    let file = WeightFile::open(&path).unwrap();
    let watch = file.watch();
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(100)
        .unwrap();
    for error in [watch.check().unwrap_err(), file.tensor_f32(NAME).unwrap_err()] {
        assert!(matches!(error, WeightError::Changed { .. }), "{error}");
    }
}
