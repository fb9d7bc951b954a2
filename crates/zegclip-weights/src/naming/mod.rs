//! From the names of each format to the canonical ones.

mod hugging_face;
mod openai;
mod target;

pub(super) use openai::open_clip_name;

use std::collections::BTreeMap;
use std::path::Path;

use self::target::Target;
use crate::contents::{Content, Contents};
use crate::format::{Format, NATIVE};
use crate::view::{Entry, View};
use crate::{TensorDefect, WeightError, names};

/// Prefixes of modules that wrap a model in training code.
const WRAPPERS: [&str; 2] = ["module.", "model."];

/// The format, detected by the tensors' names, and the tensors under canonical names.
pub(super) fn canonical(
    path: &Path,
    contents: &mut Contents,
) -> Result<(Format, BTreeMap<String, Entry>), WeightError> {
    let raw = std::mem::take(&mut contents.tensors);
    let stripped: Vec<(&str, View)> = raw.iter().map(|(name, view)| (strip(name), view.clone())).collect();
    let format = detect(path, &stripped, contents)?;
    let mut entries = BTreeMap::new();
    let mut thirds: BTreeMap<String, [Option<View>; 3]> = BTreeMap::new();
    for (raw, view) in stripped {
        let target = match format {
            Format::OpenAiTorchScript | Format::OpenClip => openai::target(raw),
            Format::HuggingFace => hugging_face::target(raw),
            Format::Mmseg | Format::Native => Target::Named(raw.to_owned()),
        };
        let duplicate = |key: &str| WeightError::Duplicate {
            path: path.to_owned(),
            key: key.to_owned(),
            raw: raw.to_owned(),
        };
        let (key, entry) = match target {
            Target::Named(key) => (key, view.into()),
            Target::Transposed(key) => (key, view.transposed().into()),
            Target::Third(key, third) => {
                let slot = thirds.entry(key.clone()).or_default().get_mut(third);
                if slot.is_some_and(|slot| slot.replace(view).is_some()) {
                    return Err(duplicate(&key));
                }
                continue;
            }
            Target::Dropped => continue,
        };
        if entries.contains_key(&key) {
            return Err(duplicate(&key));
        }
        entries.insert(key, entry);
    }
    for (key, thirds) in thirds {
        let defect = |defect| WeightError::Tensor {
            path: path.to_owned(),
            key: key.clone(),
            source: defect,
        };
        let [Some(query), Some(keys), Some(values)] = thirds else {
            return Err(defect(TensorDefect::MissingProjection));
        };
        let entry = Entry::concatenated([query, keys, values]).map_err(defect)?;
        if entries.contains_key(&key) {
            return Err(WeightError::Duplicate {
                path: path.to_owned(),
                raw: key.clone(),
                key,
            });
        }
        entries.insert(key, entry);
    }
    Ok((format, entries))
}

fn strip(mut name: &str) -> &str {
    while let Some(rest) = WRAPPERS.iter().find_map(|wrapper| name.strip_prefix(wrapper)) {
        name = rest;
    }
    name
}

fn detect(path: &Path, tensors: &[(&str, View)], contents: &Contents) -> Result<Format, WeightError> {
    let any = |prefixes: &[&str]| {
        tensors
            .iter()
            .any(|(name, _)| prefixes.iter().any(|prefix| name.starts_with(prefix)))
    };
    let native = contents.meta.get("format").is_some_and(|format| format == NATIVE);
    let canonical = any(&[names::IMAGE_ENCODER, names::TEXT_ENCODER, names::DECODE_HEAD]);
    Ok(match contents.kind {
        Content::Safetensors if native || canonical => Format::Native,
        Content::StateDict if canonical => Format::Mmseg,
        _ if any(&["vision_model.", "text_model."]) => Format::HuggingFace,
        _ if any(&["visual.", "token_embedding.", "text."]) => match contents.kind {
            Content::TorchScript => Format::OpenAiTorchScript,
            _ => Format::OpenClip,
        },
        _ => {
            let example = tensors.first().map(|(name, _)| (*name).to_owned()).unwrap_or_default();
            return Err(WeightError::UnknownModel {
                path: path.to_owned(),
                example,
            });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_wrappers_are_removed() {
        assert_eq!(strip("module.model.visual.proj"), "visual.proj");
        assert_eq!(strip("backbone.module.proj"), "backbone.module.proj");
    }
}
