//! What the known globals stand for. Nothing is called: a call becomes the node that it would have built.

use super::PickleError;
use super::global::Global;
use super::state::State;
use super::value::{Node, StorageNode, TensorNode, Value};

/// Limit of arguments; `_rebuild_tensor_v2` takes seven.
const MAX_ARGUMENTS: usize = 16;
/// Limit of axes.
const MAX_AXES: usize = 16;

/// `callee(*arguments)`.
pub(super) fn call<'a>(state: &mut State<'a>, callee: Value<'a>, arguments: Value<'a>) -> Result<(), PickleError> {
    let Value::Global(global) = callee else {
        return Err(state.malformed("a call of something that is not a function"));
    };
    let Some(Node::Tuple(arguments)) = state.node(arguments) else {
        return Err(state.malformed("a call whose arguments are not a tuple"));
    };
    if arguments.len() > MAX_ARGUMENTS {
        return Err(state.malformed("a call with too many arguments"));
    }
    let arguments = arguments.clone();
    state.count(arguments.len())?;
    let first = arguments.first().copied();
    match global {
        Global::OrderedDict => {
            let pairs = match first {
                None => vec![],
                Some(list) => ordered_pairs(state, list)
                    .ok_or_else(|| state.malformed("an OrderedDict of something other than pairs"))?,
            };
            state.count(2 * pairs.len())?;
            state.push_node(Node::Dict(pairs))
        }
        Global::Set | Global::Size | Global::FirstArgument => match first {
            Some(value) => state.push(value),
            None => state.push_node(Node::Tuple(vec![])),
        },
        Global::RebuildTensor => {
            let tensor = tensor(state, &arguments)
                .ok_or_else(|| state.malformed("a tensor without storage, offset, shape and strides"))?;
            state.push_node(Node::Tensor(tensor))
        }
        Global::RebuildParameter => match first {
            Some(value) if matches!(state.node(value), Some(Node::Tensor(_))) => state.push(value),
            _ => Err(state.malformed("a parameter without a tensor")),
        },
        Global::Inert | Global::NumpyArray => state.push_node(Node::Inert),
        Global::NumpyType => match first {
            Some(Value::Text(code)) => state.push_node(Node::NumpyType(code)),
            _ => state.push_node(Node::Inert),
        },
        Global::NumpyScalar => match numpy_scalar(state, &arguments) {
            Some(value) => state.push(value),
            None => state.push_node(Node::Inert),
        },
        Global::Encode => match (first, arguments.get(1)) {
            (Some(Value::Text(text)), Some(Value::Text("latin1" | "latin-1"))) => {
                state.count(text.len())?;
                let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
                let bytes = bytes.ok_or_else(|| state.malformed("text that is not Latin-1"))?;
                state.push_node(Node::Bytes(bytes))
            }
            _ => Err(state.malformed("a call of _codecs.encode with unknown arguments")),
        },
        Global::Module(class) => state.push_node(Node::Module {
            class,
            attributes: Value::None,
        }),
        Global::Storage(_) => Err(PickleError::Forbidden {
            global: "torch.Storage".into(),
        }),
    }
}

/// `BUILD`: state for the object on top of the stack.
pub(super) fn build<'a>(state: &mut State<'a>, attributes: Value<'a>) -> Result<(), PickleError> {
    let target = state.top()?;
    match state.node_mut(target) {
        Some(Node::Module { attributes: module, .. }) => *module = attributes,
        // An OrderedDict's `_metadata`, a parameter's Python attributes, the byte order of a NumPy type: never read.
        Some(Node::Dict(_) | Node::Tensor(_) | Node::NumpyType(_) | Node::Inert) => {}
        _ => return Err(state.malformed("state for something that has none")),
    }
    Ok(())
}

/// `BINPERSID`: `("storage", class, key, location, elements)`, in legacy files also the offset in another storage.
pub(super) fn storage<'a>(state: &mut State<'a>, id: Value<'a>) -> Result<(), PickleError> {
    let Some(Node::Tuple(id)) = state.node(id) else {
        return Err(state.malformed("a persistent id that is not a tuple"));
    };
    let (
        Some(Value::Text("storage")),
        Some(&Value::Global(Global::Storage(dtype))),
        Some(&Value::Text(key)),
        Some(length),
    ) = (
        id.first(),
        id.get(1),
        id.get(2),
        id.get(4).and_then(|length| length.as_size()),
    )
    else {
        return Err(state.malformed("a persistent id that is not a storage"));
    };
    let mut node = StorageNode {
        dtype,
        key,
        length,
        view_offset: 0,
    };
    if let Some(view) = id.get(5).filter(|view| **view != Value::None) {
        let Some(Node::Tuple(view)) = state.node(*view) else {
            return Err(state.malformed("a storage's view that is not a tuple"));
        };
        node.view_offset = view
            .get(1)
            .and_then(|offset| offset.as_size())
            .ok_or_else(|| state.malformed("a storage's view without offset"))?;
    }
    state.push_node(Node::Storage(node))
}

fn ordered_pairs<'a>(state: &State<'a>, list: Value<'a>) -> Option<Vec<(Value<'a>, Value<'a>)>> {
    let (Node::List(items) | Node::Tuple(items)) = state.node(list)? else {
        return None;
    };
    let pair = |item: &Value<'a>| match state.node(*item)? {
        Node::List(pair) | Node::Tuple(pair) => Some((*pair.first()?, *pair.get(1)?)),
        _ => None,
    };
    items.iter().map(pair).collect()
}

fn tensor<'a>(state: &State<'a>, arguments: &[Value<'a>]) -> Option<TensorNode<'a>> {
    let Node::Storage(storage) = state.node(*arguments.first()?)? else {
        return None;
    };
    let sizes = |value: &Value<'a>| match state.node(*value)? {
        Node::Tuple(items) | Node::List(items) if items.len() <= MAX_AXES => {
            items.iter().map(|item| item.as_size()).collect::<Option<Vec<_>>>()
        }
        _ => None,
    };
    Some(TensorNode {
        storage: *storage,
        offset: arguments.get(1)?.as_size()?.checked_add(storage.view_offset)?,
        shape: sizes(arguments.get(2)?)?,
        strides: sizes(arguments.get(3)?)?,
    })
}

fn numpy_scalar<'a>(state: &State<'a>, arguments: &[Value<'a>]) -> Option<Value<'a>> {
    let Node::NumpyType(code) = state.node(*arguments.first()?)? else {
        return None;
    };
    let bytes = match arguments.get(1)? {
        Value::Bytes(bytes) => bytes,
        value => match state.node(*value)? {
            Node::Bytes(bytes) => bytes.as_slice(),
            _ => return None,
        },
    };
    Some(match *code {
        "f8" => Value::Float(f64::from_le_bytes(bytes.try_into().ok()?)),
        "f4" => Value::Float(f32::from_le_bytes(bytes.try_into().ok()?).into()),
        "i8" => Value::Int(i64::from_le_bytes(bytes.try_into().ok()?)),
        "i4" => Value::Int(i32::from_le_bytes(bytes.try_into().ok()?).into()),
        "b1" => Value::Bool(bytes.first()? != &0),
        _ => return None,
    })
}
