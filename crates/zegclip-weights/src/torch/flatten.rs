//! From pickled objects to named tensors and plain values.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::contents::{Content, Contents};
use crate::pickle::{Node, Pickle, PickleError, StorageNode, TensorNode, Value};
use crate::source::{Source, Storage};
use crate::view::View;
use crate::{Activation, TensorDefect, WeightError};

/// Limit of nested modules; CLIP has six levels.
const MAX_DEPTH: usize = 64;
/// Limit of `meta` in bytes after references are followed, against small files that expand to large ones.
const MAX_META: usize = 16 << 20;
/// Bytes counted for a value besides its text.
const META_VALUE: usize = 32;
/// Limit of a tensor's name in bytes.
const MAX_NAME: usize = 512;
/// Limit of all tensors' names in bytes; those of nested modules contain the names of the modules around them.
const MAX_NAMES: usize = 16 << 20;
/// Limit of tensors.
const MAX_TENSORS: usize = 100_000;
/// Keys of the state dict in a checkpoint, in the order of search.
const STATE_DICTS: [&str; 8] = [
    "state_dict",
    "model_state_dict",
    "model",
    "module",
    "state_dict_ema",
    "ema_state_dict",
    "model_ema",
    "ema",
];
/// Limit of state dicts inside each other.
const MAX_NESTED: usize = 4;
/// Attributes of OpenAI's archives beside the tensors.
const OPENAI_SCALARS: [&str; 3] = ["context_length", "input_resolution", "vocab_size"];

type Flat = (Vec<(String, View)>, Map<String, Json>);

/// Finds the storages that tensors name, each once.
pub(super) struct Resolve<'s, F> {
    source: &'s Source,
    find: F,
    found: HashMap<String, Arc<Storage>>,
    /// Bytes of names so far.
    names: usize,
}

impl<'s, F: Fn(StorageNode<'_>) -> Result<Storage, WeightError>> Resolve<'s, F> {
    pub(super) fn new(source: &'s Source, find: F) -> Self {
        Self {
            source,
            find,
            found: HashMap::new(),
            names: 0,
        }
    }

    fn view(&mut self, name: &str, tensor: &TensorNode<'_>) -> Result<View, WeightError> {
        let node = tensor.storage;
        let storage = match self.found.get(node.key) {
            Some(storage) => storage.clone(),
            None => {
                let storage = Arc::new((self.find)(node)?);
                self.found.insert(node.key.to_owned(), storage.clone());
                storage
            }
        };
        let defect = |defect| WeightError::Tensor {
            path: self.source.path().to_owned(),
            key: name.to_owned(),
            source: defect,
        };
        let needed = node
            .view_offset
            .checked_add(node.length)
            .and_then(|length| length.checked_mul(node.dtype.size()));
        if needed.is_none_or(|needed| needed > storage.len()) {
            return Err(defect(TensorDefect::ShortStorage {
                elements: node.length,
                bytes: storage.len(),
            }));
        }
        View::new(
            storage,
            node.dtype,
            tensor.offset,
            tensor.shape.clone(),
            tensor.strides.clone(),
        )
        .map_err(defect)
    }

    fn too_much(&self, what: &'static str, limit: usize) -> WeightError {
        WeightError::Pickle {
            path: self.source.path().to_owned(),
            source: PickleError::Limit { what, limit },
        }
    }

    fn check_name(&mut self, name: &str) -> Result<(), WeightError> {
        self.names = self.names.saturating_add(name.len());
        if name.len() > MAX_NAME {
            Err(self.too_much("bytes in a tensor's name", MAX_NAME))
        } else if self.names > MAX_NAMES {
            Err(self.too_much("bytes in the tensors' names", MAX_NAMES))
        } else {
            Ok(())
        }
    }

    fn no_tensors(&self, found: String) -> WeightError {
        WeightError::NoTensors {
            path: self.source.path().to_owned(),
            found,
        }
    }
}

/// A checkpoint: a dict with a state dict and more beside it, or a bare state dict. The state of an optimizer is not read.
pub(super) fn flatten_state_dict<'a, F: Fn(StorageNode<'_>) -> Result<Storage, WeightError>>(
    pickle: &Pickle<'a>,
    resolve: &mut Resolve<'_, F>,
) -> Result<Flat, WeightError> {
    let root = pickle.root();
    let Some(pairs) = pickle.pairs(root) else {
        return Err(resolve.no_tensors("a single value instead of a dict of tensors".into()));
    };
    let mut inner = inner_dict(pickle, root);
    for _ in 1..MAX_NESTED {
        let Some(dict) = inner.filter(|dict| !has_tensors(pickle, *dict)) else {
            break;
        };
        let Some(innermost) = inner_dict(pickle, dict) else {
            break;
        };
        inner = Some(innermost);
    }
    let mut tensors = Vec::new();
    for (key, value) in pickle.pairs(inner.unwrap_or(root)).unwrap_or_default() {
        let (Value::Text(name), Some(Node::Tensor(tensor))) = (key, pickle.node(*value)) else {
            continue;
        };
        if tensors.len() >= MAX_TENSORS {
            return Err(resolve.too_much("tensors", MAX_TENSORS));
        }
        resolve.check_name(name)?;
        tensors.push(((*name).to_owned(), resolve.view(name, tensor)?));
    }
    if tensors.is_empty() {
        let keys = pairs.iter().take(8).map(|(key, _)| match key {
            Value::Text(key) => format!("`{}`", key.chars().take(40).collect::<String>()),
            _ => "a key that is not text".into(),
        });
        let keys: Vec<String> = keys.collect();
        return Err(resolve.no_tensors(if keys.is_empty() {
            "an empty dict".into()
        } else {
            keys.join(", ")
        }));
    }
    let mut budget = MAX_META;
    let mut meta = Map::new();
    let own = if inner.is_some() { pairs } else { &[] };
    let described = pickle
        .get(root, "meta")
        .and_then(|meta| pickle.pairs(meta))
        .unwrap_or_default();
    for (key, value) in own
        .iter()
        .filter(|(_, value)| pickle.node(*value).is_none())
        .chain(described)
    {
        if let Value::Text(key) = key
            && let Some(value) = json(pickle, *value, MAX_DEPTH, &mut budget)
        {
            meta.insert((*key).to_owned(), value);
        }
    }
    if budget == 0 {
        return Err(resolve.too_much("bytes in `meta`", MAX_META));
    }
    Ok((tensors, meta))
}

/// The state dict in a dict without tensors of its own.
fn inner_dict<'a>(pickle: &Pickle<'a>, dict: Value<'a>) -> Option<Value<'a>> {
    let found = |key: &&str| pickle.get(dict, key).filter(|dict| pickle.pairs(*dict).is_some());
    STATE_DICTS.iter().find_map(found)
}

fn has_tensors<'a>(pickle: &Pickle<'a>, dict: Value<'a>) -> bool {
    let pairs = pickle.pairs(dict).unwrap_or_default();
    pairs
        .iter()
        .any(|(_, value)| matches!(pickle.node(*value), Some(Node::Tensor(_))))
}

/// A TorchScript module: its tensor attributes, with dotted names for those of nested modules. Scalar integers (image size,
/// context length and vocabulary size in OpenAI's archives) become plain values. The activation is that of its modules, or
/// OpenAI's where the modules do not show it.
pub(super) fn flatten_module<'a, F: Fn(StorageNode<'_>) -> Result<Storage, WeightError>>(
    pickle: &Pickle<'a>,
    resolve: &mut Resolve<'_, F>,
) -> Result<Contents, WeightError> {
    let mut tensors = Vec::new();
    let mut meta = Map::new();
    let (mut quick_gelu, mut gelu) = (false, false);
    let mut visited = 0;
    let mut pending = vec![(String::new(), 0, pickle.root())];
    while let Some((prefix, depth, value)) = pending.pop() {
        let Some(Node::Module { class, attributes }) = pickle.node(value) else {
            continue;
        };
        quick_gelu |= *class == "QuickGELU";
        gelu |= *class == "GELU";
        if depth >= MAX_DEPTH {
            return Err(resolve.too_much("modules inside each other", MAX_DEPTH));
        }
        for (key, value) in pickle.pairs(*attributes).unwrap_or_default() {
            let Value::Text(key) = key else { continue };
            visited += 1;
            if visited > MAX_TENSORS {
                return Err(resolve.too_much("attributes", MAX_TENSORS));
            }
            let name = format!("{prefix}{key}");
            resolve.check_name(&name)?;
            match pickle.node(*value) {
                Some(Node::Module { .. }) => pending.push((format!("{name}."), depth + 1, *value)),
                Some(Node::Tensor(tensor)) => {
                    let view = resolve.view(&name, tensor)?;
                    if view.shape().is_empty() && !view.dtype().is_float() {
                        meta.insert(name, Json::from(view.scalar_i64()?));
                    } else {
                        tensors.push((name, view));
                    }
                }
                Some(_) => {}
                None => {}
            }
        }
    }
    if tensors.is_empty() {
        return Err(resolve.no_tensors("a TorchScript archive of a module without parameters".into()));
    }
    let openai = OPENAI_SCALARS.iter().all(|name| meta.contains_key(*name));
    let activation = match (quick_gelu, gelu) {
        (true, false) => Some(Activation::QuickGelu),
        (false, true) => Some(Activation::Gelu),
        _ => openai.then_some(Activation::QuickGelu),
    };
    Ok(Contents {
        kind: Content::TorchScript,
        tensors,
        meta,
        activation,
    })
}

/// Plain values as JSON; `None` for tensors and other objects. `budget` is zero once the limit is reached.
fn json<'a>(pickle: &Pickle<'a>, value: Value<'a>, depth: usize, budget: &mut usize) -> Option<Json> {
    let text = if let Value::Text(text) = value { text.len() } else { 0 };
    *budget = budget.saturating_sub(META_VALUE + text);
    if *budget == 0 || depth == 0 {
        return None;
    }
    Some(match value {
        Value::None => Json::Null,
        Value::Bool(value) => value.into(),
        Value::Int(value) => value.into(),
        Value::Float(value) => value.into(),
        Value::Text(text) => text.into(),
        Value::Node(_) => match pickle.node(value)? {
            Node::List(items) | Node::Tuple(items) => items
                .iter()
                .map_while(|item| (*budget > 0).then(|| json(pickle, *item, depth - 1, budget)))
                .flatten()
                .collect(),
            Node::Dict(pairs) => {
                let mut object = Map::new();
                for (key, value) in pairs {
                    if *budget == 0 {
                        break;
                    }
                    let key = match key {
                        Value::Text(key) => {
                            *budget = budget.saturating_sub(key.len());
                            (*key).to_owned()
                        }
                        Value::Int(key) => key.to_string(),
                        _ => continue,
                    };
                    if let Some(value) = json(pickle, *value, depth - 1, budget) {
                        object.insert(key, value);
                    }
                }
                Json::Object(object)
            }
            _ => return None,
        },
        _ => return None,
    })
}
