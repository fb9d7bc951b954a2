//! Writing and reading back.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, json};

use super::support::*;
use crate::{Dtype, Format, IfExists, OutputTensor, WeightError, WeightFile, write_mmseg, write_native};

fn all<'a>(file: &'a WeightFile, dtype: Option<Dtype>) -> Vec<OutputTensor<'a>> {
    file.names().map(|name| file.output(name, dtype).unwrap()).collect()
}

fn names_in(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn native_files_contain_the_tensors_of_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let metadata = BTreeMap::from([
        ("classes".to_owned(), "[\"cat\",\"sky\"]".to_owned()),
        ("note".into(), "a \"b\"\n".into()),
    ]);
    let mut sources = vec![a_checkpoint()];
    for (folder, case) in cases_with("files") {
        sources.extend(
            case["files"]
                .as_object()
                .unwrap()
                .values()
                .map(|name| folder.join(name.as_str().unwrap())),
        );
    }
    for (i, source) in sources.iter().enumerate() {
        let source = WeightFile::open(source).unwrap();
        let [first, second] = [0, 1].map(|copy| folder.path().join(format!("{i}-{copy}.safetensors")));
        write_native(&first, &metadata, all(&source, None), IfExists::Fail).unwrap();
        let mut reversed = all(&source, None);
        reversed.reverse();
        write_native(&second, &metadata, reversed, IfExists::Fail).unwrap();
        assert!(read(&first) == read(&second), "the same input gives the same bytes");
        let native = WeightFile::open(&first).unwrap();
        assert_eq!(native.format(), Format::Native);
        assert_eq!(native.classes().unwrap(), ["cat", "sky"]);
        assert_eq!(native.meta()["note"], "a \"b\"\n");
        assert_equal(&source, &native);
        assert!(native.names().all(|name| native.info(name) == source.info(name)));
        // Hugging Face's own reader takes it too.
        assert_eq!(
            safetensors::SafeTensors::deserialize(&read(&first)).unwrap().len(),
            native.names().count()
        );
    }
}

#[test]
fn precision_can_be_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let source = WeightFile::open(&a_checkpoint()).unwrap();
    for dtype in [Dtype::F16, Dtype::Bf16, Dtype::F64] {
        let path = folder.path().join(dtype.to_string());
        write_native(&path, &BTreeMap::new(), all(&source, Some(dtype)), IfExists::Fail).unwrap();
        let written = WeightFile::open(&path).unwrap();
        let name = "decode_head.q_proj.weight";
        assert_eq!(written.info(name).unwrap().dtype, dtype);
        let precision = if dtype == Dtype::Bf16 {
            1.0 / 256.0
        } else {
            1.0 / 1024.0
        };
        for (a, b) in written
            .tensor_f32(name)
            .unwrap()
            .1
            .iter()
            .zip(source.tensor_f32(name).unwrap().1)
        {
            assert!((a - b).abs() <= precision * b.abs().max(1e-4), "{a} {b}");
        }
    }
}

#[test]
fn mmseg_files_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exported.pth");
    for (case_folder, case) in cases_with("checkpoint") {
        let source = WeightFile::open(&case_folder.join(case["checkpoint"].as_str().unwrap())).unwrap();
        let mut meta = Map::new();
        meta.insert("iter".into(), json!(20_000));
        meta.insert("seed".into(), json!(-5_000_000_000i64));
        meta.insert("lr".into(), json!(2e-5));
        meta.insert("PALETTE".into(), json!([[0, 1, 2], [253, 254, 255]]));
        meta.insert("nested".into(), json!({"a": null, "b": [true, false], "é": "ü"}));
        let classes = source.classes().unwrap();
        write_mmseg(&path, &meta, classes, &all(&source, None), IfExists::Replace).unwrap();
        let exported = WeightFile::open(&path).unwrap();
        assert_eq!(exported.format(), Format::Mmseg);
        assert_eq!(exported.classes(), source.classes());
        assert!(meta.iter().all(|(key, value)| exported.meta()[key] == *value));
        assert_equal(&source, &exported);
    }
    // Tensors have the alignment of PyTorch's archives.
    let bytes = read(&path);
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(&bytes[..])).unwrap();
    for index in 0..zip.len() {
        assert_eq!(zip.by_index(index).unwrap().data_start().unwrap() % 64, 0);
    }
    assert_eq!(names_in(folder.path()), ["exported.pth"]);
}

#[test]
fn failed_writes_leave_no_output() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let one = |name: &str, bytes: usize| OutputTensor::new(name, &[2], Dtype::F32, Cow::Owned(vec![1; bytes]));
    let write = |tensors, if_exists| write_native(&path, &BTreeMap::new(), tensors, if_exists);
    let error = write(vec![one("backbone.a", 8), one("backbone.b", 7)], IfExists::Fail).unwrap_err();
    assert!(matches!(error, WeightError::Tensor { key, .. } if key == "backbone.b"));
    let error = write(vec![one("backbone.a", 8), one("backbone.a", 8)], IfExists::Fail).unwrap_err();
    assert!(matches!(error, WeightError::Duplicate { .. }));
    assert_eq!(names_in(folder.path()), [""; 0]);

    write(vec![one("backbone.a", 8)], IfExists::Fail).unwrap();
    let before = read(&path);
    let error = write(vec![one("backbone.b", 8)], IfExists::Fail).unwrap_err();
    assert!(error.to_string().ends_with("already exists"));
    assert!(read(&path) == before);
    write(vec![one("backbone.b", 8)], IfExists::Replace).unwrap();
    assert!(WeightFile::open(&path).unwrap().contains("backbone.b"));
    assert_eq!(names_in(folder.path()), ["model.safetensors"]);

    let nowhere = folder.path().join("no/such/folder/model.safetensors");
    let error = write_native(&nowhere, &BTreeMap::new(), vec![], IfExists::Fail).unwrap_err();
    assert!(error.to_string().starts_with("cannot write `"), "{error}");
}

#[cfg(unix)]
#[test]
fn outputs_have_the_permissions_of_new_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "").unwrap();
    write_native(&path, &BTreeMap::new(), vec![], IfExists::Fail).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&path), mode(&plain));
}

#[test]
fn missing_and_misshapen_tensors_are_named() {
    let path = a_checkpoint();
    let file = WeightFile::open(&path).unwrap();
    let missing = file.tensor_f32("decode_head.q_proj.weigth").unwrap_err().to_string();
    assert_eq!(
        missing,
        format!(
            "`{}` has no tensor `decode_head.q_proj.weigth` (did you mean `decode_head.q_proj.weight`?)",
            path.display()
        )
    );
    let shape = file.info("decode_head.q_proj.bias").unwrap().shape.clone();
    assert_eq!(
        file.tensor_f32_of("decode_head.q_proj.bias", &shape).unwrap().len(),
        shape[0]
    );
    let error = file
        .tensor_f32_of("decode_head.q_proj.bias", &[3])
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with(&format!("has shape {shape:?}, but the model needs [3]")),
        "{error}"
    );
}
