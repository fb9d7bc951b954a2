//! The configuration that Hugging Face and OpenCLIP publish beside their weights.

use std::path::Path;

use serde_json::Value as Json;

/// Its key in [`super::WeightFile::meta`].
pub(crate) const KEY: &str = "config";
/// File names, and the entry that identifies the content.
const FILES: [(&str, &str); 4] = [
    ("open_clip_config.json", "model_cfg"),
    ("config.json", "vision_config"),
    ("config.json", "text_config"),
    ("config.json", "hidden_act"),
];
/// Limit of a configuration in bytes.
const MAX_CONFIG: u64 = 1 << 20;

/// The configuration of the model in the same folder; other files of these names are ignored.
pub(crate) fn beside(weights: &Path) -> Option<Json> {
    let folder = weights.parent()?;
    FILES.iter().find_map(|(name, entry)| {
        let path = folder.join(name);
        let small = std::fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() <= MAX_CONFIG);
        let config: Json = small
            .then(|| serde_json::from_slice(&std::fs::read(path).ok()?).ok())
            .flatten()?;
        config.get(entry)?;
        Some(config)
    })
}
