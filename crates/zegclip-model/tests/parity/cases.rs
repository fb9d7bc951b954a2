//! Recorded cases: where they are, what they hold, how far a result may be from them.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;
use serde_json::Value;

/// One folder of recordings.
pub struct Case {
    pub folder: PathBuf,
    pub json: Value,
    bytes: Vec<u8>,
}

/// A recorded tensor in f32.
pub struct Recorded {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// The folder of recordings: `ZEGCLIP_FIXTURES`, else the one beside the repository.
pub fn root() -> PathBuf {
    std::env::var_os("ZEGCLIP_FIXTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures"),
        PathBuf::from,
    )
}

/// Every case of a kind; a root without any fails the test.
pub fn cases(kind: &str) -> Vec<Case> {
    let root = root();
    let entries = std::fs::read_dir(&root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    let found: Vec<Case> = folders
        .into_iter()
        .filter_map(|folder| {
            let text = std::fs::read_to_string(folder.join("case.json")).ok()?;
            let json: Value = serde_json::from_str(&text).expect("case.json is JSON");
            (json["kind"] == kind).then(|| Case {
                bytes: std::fs::read(folder.join("reference.safetensors")).unwrap_or_default(),
                folder,
                json,
            })
        })
        .collect();
    assert!(!found.is_empty(), "no case of kind `{kind}` under {}", root.display());
    found
}

impl Case {
    pub fn name(&self) -> String {
        self.folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }

    pub fn number(&self, pointer: &str) -> usize {
        self.json
            .pointer(pointer)
            .and_then(Value::as_u64)
            .unwrap_or_else(|| panic!("{}: {pointer}", self.name())) as usize
    }

    pub fn signed(&self, pointer: &str) -> i64 {
        self.json
            .pointer(pointer)
            .and_then(Value::as_i64)
            .unwrap_or_else(|| panic!("{}: {pointer}", self.name()))
    }

    pub fn float(&self, pointer: &str) -> f64 {
        self.json
            .pointer(pointer)
            .and_then(Value::as_f64)
            .unwrap_or_else(|| panic!("{}: {pointer}", self.name()))
    }

    pub fn strings(&self, pointer: &str) -> Vec<String> {
        let list = self
            .json
            .pointer(pointer)
            .and_then(Value::as_array)
            .expect("a list of strings");
        list.iter()
            .filter_map(|value| value.as_str().map(str::to_owned))
            .collect()
    }

    pub fn tensor(&self, name: &str) -> Recorded {
        let file = SafeTensors::deserialize(&self.bytes).expect("reference.safetensors");
        let view = file
            .tensor(name)
            .unwrap_or_else(|error| panic!("{}: {name}: {error}", self.name()));
        let data = view.data();
        let values = match view.dtype() {
            safetensors::Dtype::F32 => data
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect(),
            safetensors::Dtype::F64 => data
                .chunks_exact(8)
                .map(|b| f64::from_le_bytes(b.try_into().expect("8 bytes")) as f32)
                .collect(),
            safetensors::Dtype::I64 => data
                .chunks_exact(8)
                .map(|b| i64::from_le_bytes(b.try_into().expect("8 bytes")) as f32)
                .collect(),
            other => panic!("{name}: {other:?}"),
        };
        Recorded {
            shape: view.shape().to_vec(),
            values,
        }
    }

    /// `|a − b| ≤ absolute + relative · max|b|`, as the case states.
    pub fn check(&self, name: &str, actual: &[f32]) {
        let recorded = self.tensor(name);
        self.check_values(name, actual, &recorded.values);
    }

    pub fn check_values(&self, name: &str, actual: &[f32], expected: &[f32]) {
        let absolute = self
            .json
            .pointer("/tolerance/absolute")
            .and_then(Value::as_f64)
            .unwrap_or_default();
        self.compare(
            name,
            actual,
            expected,
            self.float("/tolerance/relative") as f32,
            absolute as f32,
        );
    }

    /// As [`Self::check`] with tolerances that the case states under other names.
    pub fn check_within(&self, name: &str, actual: &[f32], relative: f32, absolute: f32) {
        self.compare(name, actual, &self.tensor(name).values, relative, absolute);
    }

    fn compare(&self, name: &str, actual: &[f32], expected: &[f32], relative: f32, absolute: f32) {
        assert_eq!(
            actual.len(),
            expected.len(),
            "{}: {name}: number of values",
            self.name()
        );
        let largest = expected.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        let tolerance = absolute + relative * largest;
        let difference = largest_difference(actual, expected);
        println!(
            "{}: {name}: {:.1} % of the tolerance",
            self.name(),
            100.0 * difference / tolerance
        );
        assert!(
            difference <= tolerance,
            "{}: {name}: off by {difference}, allowed {tolerance}",
            self.name()
        );
    }

    /// Labels may differ only where the two best recorded scores `[images, classes, pixels]` are closer than 1e-4.
    pub fn check_labels(&self, name: &str, labels: &[usize], scores: &Recorded) {
        let expected = self.tensor(name);
        let (images, classes) = (scores.shape[0], scores.shape[1]);
        let pixels = scores.values.len() / (images * classes);
        assert_eq!(labels.len(), expected.values.len());
        for (index, (label, wanted)) in labels.iter().zip(&expected.values).enumerate() {
            if *label as f32 == *wanted {
                continue;
            }
            let (image, pixel) = (index / pixels, index % pixels);
            let score = |class: usize| scores.values[(image * classes + class) * pixels + pixel];
            let gap = score(*wanted as usize) - score(*label);
            assert!(
                gap.abs() < 1e-4,
                "{}: pixel {index}: {label} instead of {wanted}, scores {gap} apart",
                self.name()
            );
        }
    }
}

impl Recorded {
    pub fn tensor<const D: usize>(&self, device: &Device) -> Tensor<D> {
        Tensor::from_data(TensorData::new(self.values.clone(), self.shape.clone()), device)
    }
}

/// The largest difference of two lists; NaN if one of them has a NaN, which `f32::max` would pass over.
pub fn largest_difference(actual: &[f32], expected: &[f32]) -> f32 {
    let differences = actual.iter().zip(expected).map(|(a, b)| (a - b).abs());
    differences.fold(
        0.0,
        |worst, next| if next > worst || next.is_nan() { next } else { worst },
    )
}

/// Values of a tensor on any device.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}
