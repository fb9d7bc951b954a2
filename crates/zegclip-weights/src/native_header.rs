//! Limits of the sizes that the header of a native file states. A model is built from them before its tensors are read, so
//! that they must be possible whatever the tensors are.

use serde_json::{Map, Value as Json};

use crate::ArchitectureDefect;

/// Limit of layers; the largest published CLIP has 48.
const MAX_LAYERS: u64 = 1024;
/// Limit of widths, counts and sides in pixels; the largest published width is 5120.
const MAX_SIZE: u64 = 1 << 20;
/// Limit of the side of the position grid, to which the stored positions are resized; 512 patches of 16 pixels are 8192.
const MAX_GRID: u64 = 512;
/// Limit of tokens, for which the rows of a pruned embedding are repeated; CLIP has 49408.
const MAX_TOKENS: u64 = 1 << 17;

/// Entries of the header that contain sizes as JSON text.
const ENTRIES: [&str; 3] = ["config", "vision", "text"];
/// Keys whose values count layers, at any depth.
const LAYERS: [&str; 3] = ["layers", "deep", "reverse"];

/// Checks every whole number of the stated sizes. Entries that are not JSON are an error of what reads them.
pub(crate) fn check(metadata: &Map<String, Json>) -> Result<(), ArchitectureDefect> {
    for entry in ENTRIES {
        let text = metadata.get(entry).and_then(Json::as_str);
        if let Some(Ok(sizes)) = text.map(serde_json::from_str::<Json>) {
            check_object(entry, &sizes)?;
            check_heads(entry, &sizes)?;
        }
    }
    Ok(())
}

/// `path` is where the value is, for the error. The parser of JSON limits the depth.
fn check_object(path: &str, value: &Json) -> Result<(), ArchitectureDefect> {
    for (key, value) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        let limit = match key.as_str() {
            key if LAYERS.contains(&key) => MAX_LAYERS,
            "position_grid" => MAX_GRID,
            "vocabulary_size" => MAX_TOKENS,
            _ => MAX_SIZE,
        };
        match value {
            Json::Number(number) if number.as_f64().is_some_and(|number| number > limit as f64) => {
                return Err(ArchitectureDefect::HeaderSize {
                    key: path,
                    value: number.to_string(),
                    limit,
                });
            }
            value => check_object(&path, value)?,
        }
    }
    Ok(())
}

/// Heads of encoders divide the width beside them, those of the decoder the embedding width.
fn check_heads(entry: &str, sizes: &Json) -> Result<(), ArchitectureDefect> {
    let places: &[(&str, &str)] = match entry {
        "config" => &[("/vision/heads", "/vision/width"), ("/decoder/heads", "/embed_dim")],
        _ => &[("/heads", "/width")],
    };
    for (heads_key, width_key) in places {
        let number = |pointer: &str| sizes.pointer(pointer).and_then(Json::as_u64);
        if let (Some(heads), Some(width)) = (number(heads_key), number(width_key))
            && (heads == 0 || width % heads != 0)
        {
            return Err(ArchitectureDefect::HeaderHeads {
                key: format!("{entry}{}", heads_key.replace('/', ".")),
                width,
                heads,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::{Dtype, IfExists, OutputTensor, WeightFile, write_native};

    fn opened(entry: &str, sizes: &Json) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w");
        let tensor = OutputTensor::from_f32("backbone.x", &[1], (&[0.0][..]).into(), Dtype::F32);
        let metadata = BTreeMap::from([(entry.to_owned(), sizes.to_string())]);
        write_native(&path, &metadata, vec![tensor], IfExists::Fail).unwrap();
        WeightFile::open(&path).map(|_| ()).map_err(|error| error.to_string())
    }

    #[test]
    fn impossible_sizes_are_refused_before_a_model_is_made() {
        let config = |heads: u64, layers: u64, decoder_heads: u64| {
            json!({
                "image_size": 512, "stride": 426, "embed_dim": 512,
                "vision": {"patch_size": 16, "width": 768, "layers": layers, "heads": heads, "position_grid": 32},
                "prompts": {"count": 10, "form": {"deep": 11}},
                "decoder": {"layers": 3, "heads": decoder_heads, "ffn_ratio": 4},
            })
        };
        assert_eq!(opened("config", &config(12, 12, 8)), Ok(()));
        for (heads, layers, decoder_heads, expected) in [
            (
                0,
                12,
                8,
                "`config.vision.heads` is 0, which does not divide the width 768",
            ),
            (
                7,
                12,
                8,
                "`config.vision.heads` is 7, which does not divide the width 768",
            ),
            (
                12,
                4_000_000_000,
                8,
                "`config.vision.layers` is 4000000000, above the limit of 1024",
            ),
            (
                12,
                12,
                0,
                "`config.decoder.heads` is 0, which does not divide the width 512",
            ),
        ] {
            let message = opened("config", &config(heads, layers, decoder_heads)).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
        let text = json!({"width": 512, "layers": 12, "heads": 8, "context_length": 77, "vocabulary_size": 49408});
        assert_eq!(opened("text", &text), Ok(()));
        for (key, value) in [
            ("width", u64::MAX),
            ("context_length", 1 << 40),
            ("vocabulary_size", 1 << 18),
            ("layers", 2000),
            ("heads", 3),
        ] {
            let mut text = text.clone();
            text[key] = value.into();
            let message = opened("text", &text).unwrap_err();
            assert!(message.contains(&format!("`text.{key}` is {value}")), "{message}");
        }
        let vision = json!({"patch_size": 16, "width": 768, "layers": 12, "heads": 12, "position_grid": 4096});
        assert!(
            opened("vision", &vision)
                .unwrap_err()
                .contains("`vision.position_grid` is 4096, above the limit of 512")
        );
        let prompts = json!({"prompts": {"count": 10, "form": {"deep": 1e300}}});
        assert!(
            opened("config", &prompts)
                .unwrap_err()
                .contains("`config.prompts.form.deep` is 1e+300")
        );
    }
}
