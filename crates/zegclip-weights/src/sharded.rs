//! Sharded models: an index, `{"weight_map": {tensor: file}}`, beside its shards.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path};
use std::sync::Arc;

use serde_json::Map;

use crate::WeightError;
use crate::contents::Contents;
use crate::source::Source;

/// Limit of an index in bytes; a hundred thousand tensors need ten million.
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
    let path = source.path();
    if source.bytes().len() > MAX_INDEX {
        return Err(WeightError::LargeIndex {
            path: path.to_owned(),
            limit: MAX_INDEX,
        });
    }
    let index: Index = serde_json::from_slice(source.bytes()).map_err(|error| WeightError::Index {
        path: path.to_owned(),
        source: error,
    })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut shards: HashMap<&str, HashMap<String, _>> = HashMap::new();
    let mut kind = None;
    for shard in index.weight_map.values().map(String::as_str).collect::<BTreeSet<_>>() {
        let mut components = Path::new(shard).components();
        if !matches!(
            (components.next(), components.next()),
            (Some(Component::Normal(_)), None)
        ) {
            return Err(WeightError::ShardPath {
                index: path.to_owned(),
                shard: shard.to_owned(),
            });
        }
        let shard_path = folder.join(shard);
        if !shard_path.exists() {
            return Err(WeightError::MissingShard {
                index: path.to_owned(),
                shard: shard.to_owned(),
            });
        }
        let contents = read(&Arc::new(Source::open(&shard_path)?))?;
        kind = Some(contents.kind);
        shards.insert(shard, contents.tensors.into_iter().collect());
    }
    let Some(kind) = kind else {
        return Err(WeightError::EmptyIndex { path: path.to_owned() });
    };
    let mut tensors = Vec::with_capacity(index.weight_map.len());
    for (key, shard) in &index.weight_map {
        let view = shards.get_mut(shard.as_str()).and_then(|tensors| tensors.remove(key));
        let view = view.ok_or_else(|| WeightError::MissingInShard {
            index: path.to_owned(),
            shard: shard.clone(),
            key: key.clone(),
        })?;
        tensors.push((key.clone(), view));
    }
    Ok(Contents {
        kind,
        tensors,
        meta: Map::new(),
        activation: None,
    })
}
