//! Recordings of the reference implementation, as every parity test finds and reads them.

use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};

/// The folder of recordings: `ZEGCLIP_FIXTURES`, else beside the workspace.
pub(crate) fn fixtures() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/fixtures");
    std::env::var_os("ZEGCLIP_FIXTURES").map_or_else(|| default.into(), PathBuf::from)
}

/// One recorded case.
pub(crate) struct Case {
    pub(crate) folder: PathBuf,
    pub(crate) description: serde_json::Value,
    tensors: Vec<u8>,
}

impl Case {
    /// A tensor of bytes and its shape.
    pub(crate) fn bytes(&self, name: &str) -> (Vec<usize>, Vec<u8>) {
        let tensors = SafeTensors::deserialize(&self.tensors).unwrap();
        let tensor = tensors
            .tensor(name)
            .unwrap_or_else(|error| panic!("{}: {name}: {error}", self.folder.display()));
        assert_eq!(tensor.dtype(), Dtype::U8, "{name}");
        (tensor.shape().to_vec(), tensor.data().to_vec())
    }

    /// A tensor of f32 and its shape.
    pub(crate) fn floats(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        let tensors = SafeTensors::deserialize(&self.tensors).unwrap();
        let tensor = tensors
            .tensor(name)
            .unwrap_or_else(|error| panic!("{}: {name}: {error}", self.folder.display()));
        assert_eq!(tensor.dtype(), Dtype::F32, "{name}");
        let values = tensor
            .data()
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        (tensor.shape().to_vec(), values.collect())
    }
}

/// Every case of a kind; fails where there is none, so that no test passes by reading nothing.
pub(crate) fn cases(kind: &str) -> Vec<Case> {
    let root = fixtures();
    let entries = std::fs::read_dir(&root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    let mut folders = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("case.json").exists())
        .collect::<Vec<_>>();
    folders.sort();
    let cases = folders.into_iter().filter_map(|folder| {
        let description: serde_json::Value = read_json(&folder.join("case.json"));
        (description["kind"] == kind).then(|| {
            let tensors = std::fs::read(folder.join("reference.safetensors")).unwrap();
            Case {
                folder,
                description,
                tensors,
            }
        })
    });
    let cases = cases.collect::<Vec<_>>();
    assert!(!cases.is_empty(), "no case of kind `{kind}` under {}", root.display());
    cases
}

pub(crate) fn read_json(path: &Path) -> serde_json::Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
