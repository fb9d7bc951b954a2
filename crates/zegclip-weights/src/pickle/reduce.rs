//! What the known globals stand for. Nothing is called: a call turns into the node that it would have built.

use super::PickleError;
use super::global::Global;
use super::machine::Machine;
use super::value::{Node, StorageNode, TensorNode, Value};

/// Arguments of a call: `_rebuild_tensor_v2` takes seven, a TorchScript class none.
const MAX_ARGUMENTS: usize = 16;
/// Axes of a tensor.
const MAX_AXES: usize = 16;

/// `callee(*arguments)`.
pub(super) fn call<'a>(machine: &mut Machine<'a>, callee: Value<'a>, arguments: Value<'a>) -> Result<(), PickleError> {
    let Value::Global(global) = callee else {
        return Err(machine.malformed("a call of something that is no function"));
    };
    let Some(Node::Tuple(arguments)) = machine.node(arguments) else {
        return Err(machine.malformed("a call whose arguments are no tuple"));
    };
    if arguments.len() > MAX_ARGUMENTS {
        return Err(machine.malformed("a call with too many arguments"));
    }
    let arguments = arguments.clone();
    machine.count(arguments.len())?;
    let first = arguments.first().copied();
    match global {
        Global::OrderedDict => {
            let pairs = match first {
                None => vec![],
                Some(list) => {
                    ordered_pairs(machine, list).ok_or_else(|| machine.malformed("an OrderedDict of no pairs"))?
                }
            };
            machine.count(2 * pairs.len())?;
            machine.push_node(Node::Dict(pairs))
        }
        Global::Set | Global::Size | Global::FirstArgument => match first {
            Some(value) => machine.push(value),
            None => machine.push_node(Node::Tuple(vec![])),
        },
        Global::RebuildTensor => {
            let tensor = tensor(machine, &arguments)
                .ok_or_else(|| machine.malformed("a tensor without storage, offset, shape and strides"))?;
            machine.push_node(Node::Tensor(tensor))
        }
        Global::RebuildParameter => match first {
            Some(value) if matches!(machine.node(value), Some(Node::Tensor(_))) => machine.push(value),
            _ => Err(machine.malformed("a parameter without a tensor")),
        },
        Global::Inert | Global::NumpyArray => machine.push_node(Node::Inert),
        Global::NumpyType => match first {
            Some(Value::Text(code)) => machine.push_node(Node::NumpyType(code)),
            _ => machine.push_node(Node::Inert),
        },
        Global::NumpyScalar => match numpy_scalar(machine, &arguments) {
            Some(value) => machine.push(value),
            None => machine.push_node(Node::Inert),
        },
        Global::Encode => match (first, arguments.get(1)) {
            (Some(Value::Text(text)), Some(Value::Text("latin1" | "latin-1"))) => {
                machine.count(text.len())?;
                let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
                let bytes = bytes.ok_or_else(|| machine.malformed("text that is not Latin-1"))?;
                machine.push_node(Node::Bytes(bytes))
            }
            _ => Err(machine.malformed("a call of _codecs.encode with other arguments than bytes need")),
        },
        Global::Module(_) => machine.push_node(Node::Module(Value::None)),
        Global::Storage(_) => Err(PickleError::Forbidden {
            global: "torch.Storage".into(),
        }),
    }
}

/// `BUILD`: state for the object on top of the stack.
pub(super) fn build<'a>(machine: &mut Machine<'a>, state: Value<'a>) -> Result<(), PickleError> {
    let target = machine.top()?;
    match machine.node_mut(target) {
        Some(Node::Module(attributes)) => *attributes = state,
        // An OrderedDict's `_metadata`, a parameter's Python attributes, the byte order of a NumPy type: never read.
        Some(Node::Dict(_) | Node::Tensor(_) | Node::NumpyType(_) | Node::Inert) => {}
        _ => return Err(machine.malformed("state for something that has none")),
    }
    Ok(())
}

/// `BINPERSID`: `("storage", class, key, location, elements)`, in legacy files with the place in another storage behind it.
pub(super) fn storage<'a>(machine: &mut Machine<'a>, id: Value<'a>) -> Result<(), PickleError> {
    let Some(Node::Tuple(id)) = machine.node(id) else {
        return Err(machine.malformed("a persistent id that is no tuple"));
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
        return Err(machine.malformed("a persistent id that is no storage"));
    };
    let mut node = StorageNode {
        dtype,
        key,
        length,
        view_offset: 0,
    };
    if let Some(view) = id.get(5).filter(|view| **view != Value::None) {
        let Some(Node::Tuple(view)) = machine.node(*view) else {
            return Err(machine.malformed("a storage's view that is no tuple"));
        };
        node.view_offset = view
            .get(1)
            .and_then(|offset| offset.as_size())
            .ok_or_else(|| machine.malformed("a storage's view without offset"))?;
    }
    machine.push_node(Node::Storage(node))
}

fn ordered_pairs<'a>(machine: &Machine<'a>, list: Value<'a>) -> Option<Vec<(Value<'a>, Value<'a>)>> {
    let (Node::List(items) | Node::Tuple(items)) = machine.node(list)? else {
        return None;
    };
    let pair = |item: &Value<'a>| match machine.node(*item)? {
        Node::List(pair) | Node::Tuple(pair) => Some((*pair.first()?, *pair.get(1)?)),
        _ => None,
    };
    items.iter().map(pair).collect()
}

fn tensor<'a>(machine: &Machine<'a>, arguments: &[Value<'a>]) -> Option<TensorNode<'a>> {
    let Node::Storage(storage) = machine.node(*arguments.first()?)? else {
        return None;
    };
    let sizes = |value: &Value<'a>| match machine.node(*value)? {
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

fn numpy_scalar<'a>(machine: &Machine<'a>, arguments: &[Value<'a>]) -> Option<Value<'a>> {
    let Node::NumpyType(code) = machine.node(*arguments.first()?)? else {
        return None;
    };
    let bytes = match arguments.get(1)? {
        Value::Bytes(bytes) => bytes,
        value => match machine.node(*value)? {
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
