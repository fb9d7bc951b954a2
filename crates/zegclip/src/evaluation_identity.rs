//! By what a saved evaluation is recognized.

use std::collections::BTreeMap;
use std::path::Path;

use zegclip_data::datasets::Dataset;
use zegclip_data::evaluation::Shard;
use zegclip_data::{DataError, TrainingSetting, Vocabulary};
use zegclip_foundation::Fingerprint;
use zegclip_model::dense_clip::DenseProtocol;

use crate::{Error, Method, Precision};

/// What the scores of an evaluation depend on, apart from the device: an evaluation resumes only from a state with the same
/// identity.
///
/// Names and values are part of saved states, so they do not change: states of earlier versions resume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationIdentity(BTreeMap<String, String>);

/// A file that scores depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputFile {
    /// The model.
    Weights,
    /// CLIP's own weights.
    Clip,
    /// Text features of the class list.
    TextFeatures,
    /// Sizes that the weights do not state.
    ModelConfig,
    /// Which class of the data set is which of the vocabulary.
    ClassTable,
}

impl EvaluationIdentity {
    /// The identity of an evaluation of all images of a split, in single precision, without boundaries or saved labels.
    /// `vocabulary` has the classes that are scored.
    pub fn new(dataset: &Dataset, vocabulary: &Vocabulary, setting: TrainingSetting) -> Self {
        let ids: Vec<&str> = dataset.samples().iter().map(|sample| sample.id()).collect();
        let ids = Fingerprint::of_bytes(ids.join("\n").as_bytes()).crc32;
        let classes = Fingerprint::of_bytes(vocabulary.to_toml().as_bytes()).crc32;
        Self(BTreeMap::new())
            .with("data set", dataset.name())
            .with("split", dataset.split())
            .with("list of images", format!("{} ({ids:08x})", dataset.len()))
            .with("class list", format!("{} ({classes:08x})", vocabulary.name()))
            .with("setting", setting.name())
            .shard(Shard::ALL)
            .precision(Precision::F32)
            .boundary(false)
            .saved_labels(false)
    }

    /// Adds a file: its name, length and CRC-32. A folder counts by its path alone.
    ///
    /// # Errors
    /// [`Error::Data`] if the file cannot be read.
    pub fn file(self, input: InputFile, path: &Path) -> Result<Self, Error> {
        let value = if path.is_dir() {
            path.display().to_string()
        } else {
            let found = Fingerprint::of_file(path).map_err(|source| DataError::Io {
                action: "read",
                path: path.to_owned(),
                source,
            })?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            format!("{name} {}", in_words(found))
        };
        Ok(self.with(input.key(), value))
    }

    /// The demo model instead of a file of weights.
    #[cfg(feature = "demo")]
    #[must_use]
    pub fn demo_model(self) -> Self {
        let found = Fingerprint::of_bytes(crate::demo_model());
        self.with(InputFile::Weights.key(), format!("demo model {}", in_words(found)))
    }

    /// Treatment of classes that the vocabulary lacks, where it is stated.
    #[must_use]
    pub fn unmatched(self, treatment: &str) -> Self {
        self.with("treatment of unmatched classes", treatment)
    }

    /// The shard of the images.
    #[must_use]
    pub fn shard(self, shard: Shard) -> Self {
        self.with("part", shard.to_string())
    }

    /// Type of the numbers that the model computes with.
    #[must_use]
    pub fn precision(self, precision: Precision) -> Self {
        self.with("precision", precision.name())
    }

    /// How masks are made.
    #[must_use]
    pub fn method(self, method: Method) -> Self {
        match method {
            // States of versions before MaskCLIP have no method.
            Method::ZegClip => self,
            method => self.with("method", method.name()),
        }
    }

    /// The settings of a method on plain CLIP.
    #[must_use]
    pub fn protocol(self, protocol: &DenseProtocol) -> Self {
        self.with("settings of the method", format!("{protocol:?}"))
    }

    /// Prompt templates other than those of the class list.
    #[must_use]
    pub fn templates(self, templates: &[String]) -> Self {
        let found = Fingerprint::of_bytes(templates.join("\n").as_bytes()).crc32;
        self.with("templates", format!("{} ({found:08x})", templates.len()))
    }

    /// The least presence of a class that takes pixels.
    #[must_use]
    pub fn min_presence(self, minimum: f32) -> Self {
        self.with("presence", minimum.to_string())
    }

    /// Whether boundaries are scored.
    #[must_use]
    pub fn boundary(self, scored: bool) -> Self {
        self.with("--boundary", yes_or_no(scored))
    }

    /// Whether label maps are written: those of earlier images would be missing otherwise.
    #[must_use]
    pub fn saved_labels(self, saved: bool) -> Self {
        self.with("--save-labels", yes_or_no(saved))
    }

    /// Names and values, as [`Evaluation::identity`](zegclip_data::evaluation::Evaluation::identity) takes them.
    pub fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }
}

impl InputFile {
    const fn key(self) -> &'static str {
        match self {
            Self::Weights => "model",
            Self::Clip => "CLIP",
            Self::TextFeatures => "file of text features",
            Self::ModelConfig => "model configuration",
            Self::ClassTable => "table of classes",
        }
    }
}

/// `(12 bytes, 0123abcd)`
fn in_words(found: Fingerprint) -> String {
    format!("({} bytes, {:08x})", found.length, found.crc32)
}

fn yes_or_no(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> EvaluationIdentity {
        EvaluationIdentity(BTreeMap::new())
    }

    /// As earlier versions wrote them.
    #[test]
    fn names_and_values_do_not_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, "123456789").unwrap();
        let identity = empty()
            .file(InputFile::Weights, &path)
            .unwrap()
            .file(InputFile::Clip, folder.path())
            .unwrap()
            .unmatched("ignore")
            .shard("2/3".parse().unwrap())
            .precision(Precision::F16)
            .method(Method::MaskClip)
            .boundary(true)
            .saved_labels(false);
        let folder = folder.path().display().to_string();
        let expected = [
            ("--boundary", "yes"),
            ("--save-labels", "no"),
            ("CLIP", &folder),
            ("method", "maskclip"),
            ("model", "model.safetensors (9 bytes, cbf43926)"),
            ("part", "2/3"),
            ("precision", "f16"),
            ("treatment of unmatched classes", "ignore"),
        ];
        let found: Vec<(&str, &str)> = identity
            .as_map()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_published_method_has_no_entry() {
        assert_eq!(empty().method(Method::ZegClip), empty());
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = empty().file(InputFile::Weights, Path::new("no-such-file")).unwrap_err();
        assert!(error.to_string().contains("no-such-file"), "{error}");
    }
}
