//! Files for tests: recorded ones, and small generated ones.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use zegclip_foundation::RandomStream;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::{Dtype, WeightError, WeightFile};

/// Kinds of cases whose checkpoints are of models that are not read yet.
const OTHER_MODELS: [&str; 7] = [
    "clip_crops",
    "family_model",
    "learned_prompts",
    "maskclip",
    "maskclip_plus",
    "maskformer",
    "maskformer_trajectory",
];

/// Folders of all cases of models that are read whose `case.json` has `entry`, with its content.
pub(super) fn cases_with(entry: &str) -> Vec<(PathBuf, Json)> {
    let cases = test_support::all_cases().into_iter();
    let cases: Vec<_> = cases
        .filter(|case| case.json.get(entry).is_some())
        .filter(|case| {
            !case.json["kind"]
                .as_str()
                .is_some_and(|kind| OTHER_MODELS.contains(&kind))
        })
        .map(|case| (case.folder, case.json))
        .collect();
    assert!(
        !cases.is_empty(),
        "no case with `{entry}` under {}",
        test_support::join_roots()
    );
    cases
}

pub(super) fn number(case: &Json, pointer: &str) -> usize {
    case.pointer(pointer)
        .and_then(Json::as_u64)
        .unwrap_or_else(|| panic!("no number {pointer}")) as usize
}

/// Random places for damage, the same in every run.
pub(super) fn random_places(seed: u64) -> impl FnMut(usize) -> usize {
    let mut stream = RandomStream::from_key([seed]);
    move |limit| stream.below(limit as u64) as usize
}

pub(super) fn zip_archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    zip_with(entries, CompressionMethod::Stored)
}

pub(super) fn zip_with(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method))
            .unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Opens a `torch.save` archive whose description is `pickle`, with one storage `0` of `storage` bytes.
pub(super) fn open_pickle(pickle: &[u8], storage: &[u8]) -> Result<WeightFile, WeightError> {
    open(zip_archive(&[("a/data.pkl", pickle), ("a/data/0", storage)]))
}

pub(super) fn open(bytes: Vec<u8>) -> Result<WeightFile, WeightError> {
    WeightFile::from_bytes("w.pth", bytes)
}

pub(super) fn message(result: Result<WeightFile, WeightError>) -> String {
    result.expect_err("it should have been refused").to_string()
}

pub(super) fn text(text: &str) -> Vec<u8> {
    [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

pub(super) fn int(value: i32) -> Vec<u8> {
    [&b"J"[..], &value.to_le_bytes()].concat()
}

pub(super) fn ints(values: &[i32]) -> Vec<u8> {
    let items: Vec<u8> = values.iter().flat_map(|value| int(*value)).collect();
    [b"(", items.as_slice(), b"t"].concat()
}

/// A dict of one text key.
pub(super) fn dict(key: &str, value: &[u8]) -> Vec<u8> {
    [&b"}"[..], &text(key), value, b"s"].concat()
}

/// A complete pickle of protocol 2.
pub(super) fn pickle(value: &[u8]) -> Vec<u8> {
    [b"\x80\x02", value, b"."].concat()
}

/// A call of `_rebuild_tensor_v2` on the storage `key` with `length` elements. `view` is what legacy files append.
pub(super) fn tensor(
    dtype: Dtype,
    key: &str,
    length: i32,
    offset: i32,
    shape: &[i32],
    strides: &[i32],
    view: &[u8],
) -> Vec<u8> {
    let class = format!("ctorch\n{}\n", dtype.storage_class());
    let id = [
        &b"("[..],
        &text("storage"),
        class.as_bytes(),
        &text(key),
        &text("cpu"),
        &int(length),
        view,
        b"tQ",
    ]
    .concat();
    let hooks = b"\x89ccollections\nOrderedDict\n)R";
    [
        &b"ctorch._utils\n_rebuild_tensor_v2\n("[..],
        &id,
        &int(offset),
        &ints(shape),
        &ints(strides),
        hooks,
        b"tR",
    ]
    .concat()
}

pub(super) fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Every tensor of both files, by name, bit-exactly as `f32`.
pub(super) fn assert_equal(a: &WeightFile, b: &WeightFile) {
    assert_eq!(
        a.names().collect::<Vec<_>>(),
        b.names().collect::<Vec<_>>(),
        "{} {}",
        a.path().display(),
        b.path().display()
    );
    for name in a.names() {
        let (a, b) = (a.tensor_f32(name).unwrap(), b.tensor_f32(name).unwrap());
        assert_eq!(a.0, b.0, "shape of {name}");
        assert!(
            a.1.iter().zip(&b.1).all(|(a, b)| a.to_bits() == b.to_bits()),
            "values of {name}"
        );
    }
}

/// A recorded checkpoint, the smallest one.
pub(super) fn a_checkpoint() -> PathBuf {
    let paths = cases_with("checkpoint")
        .into_iter()
        .map(|(folder, case)| folder.join(case["checkpoint"].as_str().unwrap()));
    paths
        .min_by_key(|path| std::fs::metadata(path).map_or(u64::MAX, |file| file.len()))
        .unwrap()
}

pub(super) fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
