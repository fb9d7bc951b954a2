use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::folders::{join_roots, read_json, roots};

/// One recorded case.
pub struct Case {
    /// Its folder; for a case of a single JSON file, that file.
    pub folder: PathBuf,
    /// What `case.json` says.
    pub json: Value,
    bytes: Vec<u8>,
}

/// A recorded tensor in f32.
pub struct Recorded {
    /// The size of each dimension.
    pub shape: Vec<usize>,
    /// The values, the last dimension fastest.
    pub values: Vec<f32>,
}

/// Folders of a root that hold cases of other methods.
const GROUPS: [&str; 2] = ["family", "comparators"];

/// Every case of every root and of its folders `family` and `comparators`, ordered by name within its folder. A further root may hold the very cases of the repository, which
/// then count once.
pub fn all_cases() -> Vec<Case> {
    let mut found: Vec<Case> = Vec::new();
    let folders = roots().into_iter().flat_map(|root| {
        let groups = GROUPS
            .map(|group| root.join(group))
            .into_iter()
            .filter(|group| group.is_dir());
        std::iter::once(root).chain(groups).collect::<Vec<_>>()
    });
    for case in folders.flat_map(|folder| cases_of(&folder)) {
        if !found.iter().any(|known| known.is_copy_of(&case)) {
            found.push(case);
        }
    }
    found
}

/// Every case of a kind; a kind without any fails the test.
pub fn cases(kind: &str) -> Vec<Case> {
    let found: Vec<Case> = all_cases()
        .into_iter()
        .filter(|case| case.json["kind"] == kind)
        .collect();
    assert!(!found.is_empty(), "no case of kind `{kind}` under {}", join_roots());
    found
}

/// Folders with a `case.json`, and JSON files that name a kind themselves.
fn cases_of(root: &Path) -> Vec<Case> {
    let entries = std::fs::read_dir(root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let case = |path: PathBuf| {
        let description = path.join("case.json");
        if description.is_file() {
            return Some(Case {
                json: read_json(&description),
                bytes: std::fs::read(path.join("reference.safetensors")).unwrap_or_default(),
                folder: path,
            });
        }
        if path.extension().is_none_or(|extension| extension != "json") {
            return None;
        }
        let json = read_json(&path);
        json["kind"].is_string().then_some(Case {
            folder: path,
            json,
            bytes: Vec::new(),
        })
    };
    paths.into_iter().filter_map(case).collect()
}

impl Case {
    fn is_copy_of(&self, other: &Self) -> bool {
        self.name() == other.name() && self.json == other.json && self.bytes == other.bytes
    }

    /// The name of its folder.
    pub fn name(&self) -> String {
        let name = self.folder.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// The root that it lies in.
    pub fn root(&self) -> &Path {
        let parent = self.folder.parent().expect("a case lies in a folder");
        let grouped = parent
            .file_name()
            .is_some_and(|name| GROUPS.iter().any(|group| name == *group));
        match parent.parent() {
            Some(root) if grouped => root,
            _ => parent,
        }
    }

    /// The names of its tensors.
    pub fn tensor_names(&self) -> Vec<String> {
        let file = SafeTensors::deserialize(&self.bytes)
            .unwrap_or_else(|error| panic!("{}: reference.safetensors: {error}", self.folder.display()));
        let mut names: Vec<String> = file.names().into_iter().map(str::to_owned).collect();
        names.sort_unstable();
        names
    }

    /// The path of the checkpoint or other file that `case.json` names under `key`.
    pub fn file(&self, key: &str) -> PathBuf {
        let name = self.json[key].as_str();
        self.folder
            .join(name.unwrap_or_else(|| panic!("{}: {key}", self.name())))
    }

    /// A number without sign, by JSON pointer.
    pub fn number(&self, pointer: &str) -> usize {
        let value = self.json.pointer(pointer).and_then(Value::as_u64);
        value.unwrap_or_else(|| panic!("{}: {pointer}", self.name())) as usize
    }

    /// A number with sign, by JSON pointer.
    pub fn signed(&self, pointer: &str) -> i64 {
        let value = self.json.pointer(pointer).and_then(Value::as_i64);
        value.unwrap_or_else(|| panic!("{}: {pointer}", self.name()))
    }

    /// A real number, by JSON pointer.
    pub fn float(&self, pointer: &str) -> f64 {
        let value = self.json.pointer(pointer).and_then(Value::as_f64);
        value.unwrap_or_else(|| panic!("{}: {pointer}", self.name()))
    }

    /// A list of strings, by JSON pointer.
    pub fn strings(&self, pointer: &str) -> Vec<String> {
        let list = self.json.pointer(pointer).and_then(Value::as_array);
        let list = list.unwrap_or_else(|| panic!("{}: {pointer}", self.name()));
        list.iter()
            .filter_map(|value| value.as_str().map(str::to_owned))
            .collect()
    }

    fn view<T>(&self, name: &str, read: impl FnOnce(&TensorView) -> T) -> T {
        let file = SafeTensors::deserialize(&self.bytes)
            .unwrap_or_else(|error| panic!("{}: reference.safetensors: {error}", self.folder.display()));
        let view = file.tensor(name);
        read(&view.unwrap_or_else(|error| panic!("{}: {name}: {error}", self.folder.display())))
    }

    /// A tensor of numbers.
    pub fn tensor(&self, name: &str) -> Recorded {
        self.view(name, |view| {
            let data = view.data();
            let values = match view.dtype() {
                Dtype::F32 => numbers(data, f32::from_le_bytes),
                Dtype::F64 => numbers(data, |bytes| f64::from_le_bytes(bytes) as f32),
                Dtype::I64 => numbers(data, |bytes| i64::from_le_bytes(bytes) as f32),
                other => panic!("{name}: {other:?}"),
            };
            Recorded {
                shape: view.shape().to_vec(),
                values,
            }
        })
    }

    /// A tensor of bytes and its shape.
    pub fn bytes(&self, name: &str) -> (Vec<usize>, Vec<u8>) {
        self.view(name, |view| {
            assert_eq!(view.dtype(), Dtype::U8, "{name}");
            (view.shape().to_vec(), view.data().to_vec())
        })
    }

    /// `|a − b| ≤ absolute + relative · max|b|`, as the case states.
    pub fn check(&self, name: &str, actual: &[f32]) {
        let recorded = self.tensor(name);
        self.check_values(name, actual, &recorded.values);
    }

    /// As [`Self::check`] with expected values of one's own.
    pub fn check_values(&self, name: &str, actual: &[f32], expected: &[f32]) {
        let absolute = self.json.pointer("/tolerance/absolute").and_then(Value::as_f64);
        let relative = self.float("/tolerance/relative") as f32;
        self.compare(name, actual, expected, relative, absolute.unwrap_or_default() as f32);
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
            self.folder.display()
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
            self.folder.display()
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
                self.folder.display()
            );
        }
    }
}

fn numbers<const BYTES: usize>(data: &[u8], number: impl Fn([u8; BYTES]) -> f32) -> Vec<f32> {
    let (chunks, _) = data.as_chunks::<BYTES>();
    chunks.iter().map(|bytes| number(*bytes)).collect()
}

/// The largest difference of two lists; NaN if one of them has a NaN, which `f32::max` would pass over.
fn largest_difference(actual: &[f32], expected: &[f32]) -> f32 {
    let differences = actual.iter().zip(expected).map(|(a, b)| (a - b).abs());
    differences.fold(
        0.0,
        |worst, next| if next > worst || next.is_nan() { next } else { worst },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nan_is_no_agreement() {
        assert_eq!(largest_difference(&[1.0, 2.0, 5.0], &[1.0, 4.0, 6.0]), 2.0);
        for place in 0..3 {
            let mut values = [1.0, 2.0, 5.0];
            values[place] = f32::NAN;
            assert!(largest_difference(&values, &[1.0, 4.0, 6.0]).is_nan());
            assert!(largest_difference(&[1.0, 4.0, 6.0], &values).is_nan());
        }
    }
}
