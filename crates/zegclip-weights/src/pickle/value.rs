//! Values of a pickle: small copyable values, and nodes in one list that refer to each other by index, so that sharing is
//! free, cycles are harmless and drops do not recurse.

use super::global::Global;
use crate::Dtype;

/// Index of a [`Node`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeId(pub(super) u32);

/// A value on the pickle machine's stack.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than eight bytes, little-endian two's complement.
    Long(&'a [u8]),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Global(Global<'a>),
    Node(NodeId),
}

impl Value<'_> {
    /// A non-negative integer.
    pub(crate) fn as_size(self) -> Option<usize> {
        match self {
            Self::Int(value) => usize::try_from(value).ok(),
            _ => None,
        }
    }
}

/// A compound value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node<'a> {
    List(Vec<Value<'a>>),
    Tuple(Vec<Value<'a>>),
    Dict(Vec<(Value<'a>, Value<'a>)>),
    /// An instance of a TorchScript class.
    Module {
        class: &'a str,
        /// The dict of its attributes, `None` before it is known.
        attributes: Value<'a>,
    },
    Storage(StorageNode<'a>),
    Tensor(TensorNode<'a>),
    /// Bytes decoded from text.
    Bytes(Vec<u8>),
    /// A NumPy element type by its code, `f8` for instance.
    NumpyType(&'a str),
    /// A known, harmless object that is not read.
    Inert,
}

/// A persistent id: the location of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct StorageNode<'a> {
    pub(crate) dtype: Dtype,
    pub(crate) key: &'a str,
    /// In elements.
    pub(crate) length: usize,
    /// Offset inside another storage, in elements; only in legacy files.
    pub(crate) view_offset: usize,
}

/// A tensor as `_rebuild_tensor_v2` would make it; everything in elements.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TensorNode<'a> {
    pub(crate) storage: StorageNode<'a>,
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<usize>,
}
