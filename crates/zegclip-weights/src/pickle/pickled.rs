//! The content of a pickle, for lookup.

use super::value::{Node, NodeId, Value};

/// A pickle that was read.
#[derive(Debug)]
pub(crate) struct Pickle<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) root: Value<'a>,
    pub(super) end: usize,
}

impl<'a> Pickle<'a> {
    pub(crate) fn root(&self) -> Value<'a> {
        self.root
    }

    pub(crate) fn nodes(&self) -> &[Node<'a>] {
        &self.nodes
    }

    /// Offset of the byte after the pickle.
    pub(crate) fn end(&self) -> usize {
        self.end
    }

    pub(crate) fn node(&self, value: Value<'a>) -> Option<&Node<'a>> {
        match value {
            Value::Node(NodeId(index)) => self.nodes.get(index as usize),
            _ => None,
        }
    }

    /// The pairs of a dict.
    pub(crate) fn pairs(&self, value: Value<'a>) -> Option<&[(Value<'a>, Value<'a>)]> {
        match self.node(value) {
            Some(Node::Dict(pairs)) => Some(pairs),
            _ => None,
        }
    }

    /// The items of a list or tuple.
    pub(crate) fn items(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        match self.node(value) {
            Some(Node::List(items) | Node::Tuple(items)) => Some(items),
            _ => None,
        }
    }

    /// The value under a text key; the last one, as in Python.
    pub(crate) fn get(&self, dict: Value<'a>, key: &str) -> Option<Value<'a>> {
        let pairs = self.pairs(dict)?;
        pairs
            .iter()
            .rev()
            .find(|(name, _)| *name == Value::Text(key))
            .map(|(_, value)| *value)
    }
}
