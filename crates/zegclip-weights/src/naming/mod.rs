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

/// Modules that wrap a model in training code: DataParallel, Lightning, `torch.compile`, averages of weights.
const WRAPPERS: [&str; 6] = ["module", "model", "_orig_mod", "ema", "ema_model", "model_ema"];
/// Modules that wrap any part of a model: `torch.compile`, FSDP, activation checkpointing.
const INNER_WRAPPERS: [&str; 3] = ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// Wrappers with other names that a model may have around it, less one.
const MAX_OTHER_WRAPPERS: usize = 4;

/// The format, detected by the tensors' names, and the tensors under canonical names.
pub(super) fn canonical(
    path: &Path,
    contents: &mut Contents,
) -> Result<(Format, BTreeMap<String, Entry>), WeightError> {
    let tensors = std::mem::take(&mut contents.tensors);
    let (format, names) = known_names(path, &tensors, contents)?;
    let mut entries = BTreeMap::new();
    let mut thirds: BTreeMap<String, [Option<(String, View)>; 3]> = BTreeMap::new();
    for ((raw, view), name) in tensors.into_iter().zip(names) {
        let target = match format {
            Format::OpenAiTorchScript | Format::OpenClip => openai::target(&name),
            Format::HuggingFace => hugging_face::target(&name),
            Format::Mmseg | Format::Native => Target::Named(name),
        };
        let (key, view) = match target {
            Target::Named(key) => (key, view),
            Target::Transposed(key) => (key, view.transposed()),
            Target::Third(key, third) => {
                let slot = thirds.entry(key.clone()).or_default().get_mut(third);
                if let Some((first, _)) = slot.and_then(|slot| slot.replace((raw.clone(), view))) {
                    return Err(duplicate(path, key, &first, raw));
                }
                continue;
            }
            Target::Dropped => continue,
        };
        add(path, &mut entries, Entry::new(key, raw, view))?;
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
        add(
            path,
            &mut entries,
            Entry::concatenated(&key, [query, keys, values]).map_err(defect)?,
        )?;
    }
    Ok((format, entries))
}

fn add(path: &Path, entries: &mut BTreeMap<String, Entry>, entry: Entry) -> Result<(), WeightError> {
    if let Some(first) = entries.get(entry.key()) {
        return Err(duplicate(
            path,
            entry.key().to_owned(),
            first.raw(),
            entry.raw().to_owned(),
        ));
    }
    entries.insert(entry.key().to_owned(), entry);
    Ok(())
}

fn duplicate(path: &Path, key: String, first: &str, second: String) -> WeightError {
    WeightError::Duplicate {
        path: path.to_owned(),
        key,
        first: first.to_owned(),
        second,
    }
}

/// The names without wrappers, and the format that they show.
fn known_names(
    path: &Path,
    tensors: &[(String, View)],
    contents: &Contents,
) -> Result<(Format, Vec<String>), WeightError> {
    let mut names: Vec<String> = tensors.iter().map(|(name, _)| unwrapped(name)).collect();
    for _ in 0..MAX_OTHER_WRAPPERS {
        if let Some(format) = detect(&names, contents) {
            return Ok((format, names));
        }
        // A module that all tensors are below wraps the model too, whatever its name is.
        let Some(inner) = below_common_module(&names) else {
            break;
        };
        names = inner.iter().map(|name| unwrapped(name)).collect();
    }
    Err(WeightError::UnknownModel {
        path: path.to_owned(),
        example: tensors.first().map(|(name, _)| name.clone()).unwrap_or_default(),
    })
}

/// The name without the modules that wrap the model or a part of it.
fn unwrapped(name: &str) -> String {
    let modules = name
        .split('.')
        .skip_while(|module| WRAPPERS.contains(module) || INNER_WRAPPERS.contains(module));
    let modules: Vec<&str> = modules.filter(|module| !INNER_WRAPPERS.contains(module)).collect();
    modules.join(".")
}

/// The names without their first module, if all have the same.
fn below_common_module(names: &[String]) -> Option<Vec<String>> {
    let (module, _) = names.first()?.split_once('.')?;
    let below = |name: &String| Some(name.strip_prefix(module)?.strip_prefix('.')?.to_owned());
    names.iter().map(below).collect()
}

fn detect(names: &[String], contents: &Contents) -> Option<Format> {
    let any = |prefixes: &[&str]| {
        names
            .iter()
            .any(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
    };
    let native = contents.meta.get("format").is_some_and(|format| format == NATIVE);
    let canonical = any(&[names::IMAGE_ENCODER, names::TEXT_ENCODER, names::DECODE_HEAD]);
    Some(match contents.kind {
        Content::Safetensors if native || canonical => Format::Native,
        Content::StateDict if canonical => Format::Mmseg,
        _ if any(&["vision_model.", "text_model."]) => Format::HuggingFace,
        _ if any(&["visual.", "token_embedding.", "text."]) => match contents.kind {
            Content::TorchScript => Format::OpenAiTorchScript,
            _ => Format::OpenClip,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_wrappers_are_removed() {
        for (name, expected) in [
            ("module.model.visual.proj", "visual.proj"),
            ("_orig_mod.visual.proj", "visual.proj"),
            ("module._orig_mod.logit_scale", "logit_scale"),
            ("_orig_mod.module.model.ema.visual.proj", "visual.proj"),
            ("model.visual._orig_mod.conv1.weight", "visual.conv1.weight"),
            (
                "_fsdp_wrapped_module.visual.conv1._checkpoint_wrapped_module.weight",
                "visual.conv1.weight",
            ),
            ("backbone.module.proj", "backbone.module.proj"),
            ("models.visual.proj", "models.visual.proj"),
            ("module.", ""),
        ] {
            assert_eq!(unwrapped(name), expected);
        }
    }

    #[test]
    fn a_module_around_all_tensors_is_a_wrapper() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let inner = below_common_module(&names(&["clip.visual.proj", "clip.logit_scale"])).unwrap();
        assert_eq!(inner, ["visual.proj", "logit_scale"]);
        assert_eq!(
            below_common_module(&names(&["clip.visual.proj", "clips.logit_scale"])),
            None
        );
        assert_eq!(below_common_module(&names(&["proj"])), None);
        assert_eq!(below_common_module(&[]), None);
    }
}
