//! Models in several files: an index, `{"weight_map": {tensor: file}}`, beside its shards.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path};
use std::sync::Arc;

use serde_json::Map;

use crate::WeightError;
use crate::contents::Contents;
use crate::source::Source;

/// Bytes of an index: one of a hundred thousand tensors needs ten million.
const MAX_INDEX: usize = 64 << 20;

#[derive(serde::Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Reads an index and, with `read`, the shards it names.
pub(crate) fn read_sharded(
    source: &Arc<Source>,
    read: impl Fn(&Arc<Source>) -> Result<Contents, WeightError>,
) -> Result<Contents, WeightError> {
    let failed = |reason: String| WeightError::Index {
        path: source.path().to_owned(),
        reason,
    };
    if source.bytes().len() > MAX_INDEX {
        return Err(failed("it is too large".into()));
    }
    let index: Index = serde_json::from_slice(source.bytes()).map_err(|error| failed(error.to_string()))?;
    let folder = source.path().parent().unwrap_or(Path::new(""));
    let mut shards: HashMap<&str, HashMap<String, _>> = HashMap::new();
    let mut kind = None;
    for shard in index.weight_map.values().map(String::as_str).collect::<BTreeSet<_>>() {
        let mut components = Path::new(shard).components();
        if !matches!(
            (components.next(), components.next()),
            (Some(Component::Normal(_)), None)
        ) {
            return Err(failed(format!("the shard `{shard}` is not a file beside it")));
        }
        let path = folder.join(shard);
        if !path.exists() {
            return Err(WeightError::MissingShard {
                index: source.path().to_owned(),
                shard: shard.to_owned(),
            });
        }
        let contents = read(&Arc::new(Source::open(&path)?))?;
        kind = Some(contents.kind);
        shards.insert(shard, contents.tensors.into_iter().collect());
    }
    let Some(kind) = kind else {
        return Err(failed("it names no shards".into()));
    };
    let mut tensors = Vec::with_capacity(index.weight_map.len());
    for (key, shard) in &index.weight_map {
        let view = shards.get_mut(shard.as_str()).and_then(|tensors| tensors.remove(key));
        let view = view.ok_or_else(|| WeightError::MissingInShard {
            index: source.path().to_owned(),
            shard: shard.clone(),
            key: key.clone(),
        })?;
        tensors.push((key.clone(), view));
    }
    Ok(Contents {
        kind,
        tensors,
        meta: Map::new(),
    })
}
