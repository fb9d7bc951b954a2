//! The state of the pickle machine: stack, marks, memo and nodes, within limits.

use std::collections::HashMap;

use super::PickleError;
use super::cursor::Cursor;
use super::global::Globals;
use super::value::{Node, NodeId, Value};

/// Limit of pushed values; a checkpoint with the state of its optimizer needs tens of thousands.
const MAX_VALUES: usize = 2_000_000;
/// Limit of compound values.
const MAX_NODES: usize = 500_000;

pub(super) struct State<'a> {
    pub(super) input: Cursor<'a>,
    pub(super) allowed: Globals,
    stack: Vec<Value<'a>>,
    /// Heights of the stack at each MARK.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    pub(super) nodes: Vec<Node<'a>>,
    values: usize,
}

impl<'a> State<'a> {
    pub(super) fn new(input: Cursor<'a>, allowed: Globals) -> Self {
        Self {
            input,
            allowed,
            stack: vec![],
            marks: vec![],
            memo: HashMap::new(),
            nodes: vec![],
            values: 0,
        }
    }

    /// Pushes a MARK.
    pub(super) fn mark(&mut self) -> Result<(), PickleError> {
        self.count(1)?;
        self.marks.push(self.stack.len());
        Ok(())
    }

    pub(super) fn malformed(&self, reason: &'static str) -> PickleError {
        PickleError::Malformed {
            position: self.input.position(),
            reason,
        }
    }

    /// Counts values before they are stored, those copied from the memo too.
    pub(super) fn count(&mut self, values: usize) -> Result<(), PickleError> {
        self.values = self.values.saturating_add(values);
        if self.values > MAX_VALUES {
            Err(PickleError::Limit {
                what: "values",
                limit: MAX_VALUES,
            })
        } else {
            Ok(())
        }
    }

    pub(super) fn push(&mut self, value: Value<'a>) -> Result<(), PickleError> {
        self.count(1)?;
        self.stack.push(value);
        Ok(())
    }

    pub(super) fn push_node(&mut self, node: Node<'a>) -> Result<(), PickleError> {
        if self.nodes.len() >= MAX_NODES {
            return Err(PickleError::Limit {
                what: "containers",
                limit: MAX_NODES,
            });
        }
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(node);
        self.push(Value::Node(id))
    }

    /// Number of values that an instruction may take: those above the last MARK.
    fn available(&self) -> usize {
        self.stack.len() - self.marks.last().copied().unwrap_or(0).min(self.stack.len())
    }

    pub(super) fn pop(&mut self) -> Result<Value<'a>, PickleError> {
        if self.available() == 0 {
            return Err(self.malformed("a value is missing"));
        }
        self.stack.pop().ok_or_else(|| self.malformed("a value is missing"))
    }

    pub(super) fn top(&self) -> Result<Value<'a>, PickleError> {
        self.stack
            .last()
            .copied()
            .filter(|_| self.available() > 0)
            .ok_or_else(|| self.malformed("a value is missing"))
    }

    pub(super) fn pop_many(&mut self, count: usize) -> Result<Vec<Value<'a>>, PickleError> {
        if self.available() < count {
            return Err(self.malformed("a value is missing"));
        }
        Ok(self.stack.split_off(self.stack.len() - count))
    }

    pub(super) fn pop_mark(&mut self) -> Result<Vec<Value<'a>>, PickleError> {
        let mark = self.marks.pop().ok_or_else(|| self.malformed("a mark is missing"))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    pub(super) fn node(&self, value: Value<'a>) -> Option<&Node<'a>> {
        match value {
            Value::Node(NodeId(index)) => self.nodes.get(index as usize),
            _ => None,
        }
    }

    pub(super) fn node_mut(&mut self, value: Value<'a>) -> Option<&mut Node<'a>> {
        match value {
            Value::Node(NodeId(index)) => self.nodes.get_mut(index as usize),
            _ => None,
        }
    }

    pub(super) fn append(&mut self, items: &[Value<'a>]) -> Result<(), PickleError> {
        let target = self.top()?;
        match self.node_mut(target) {
            Some(Node::List(list)) => list.extend_from_slice(items),
            _ => return Err(self.malformed("items for something that is not a list")),
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, items: &[Value<'a>]) -> Result<(), PickleError> {
        let pairs = self.pair_up(items)?;
        let target = self.top()?;
        match self.node_mut(target) {
            Some(Node::Dict(dict)) => dict.extend(pairs),
            _ => return Err(self.malformed("entries for something that is not a dict")),
        }
        Ok(())
    }

    pub(super) fn pair_up(&self, items: &[Value<'a>]) -> Result<Vec<(Value<'a>, Value<'a>)>, PickleError> {
        match items.as_chunks::<2>() {
            (pairs, []) => Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect()),
            _ => Err(self.malformed("a key without a value")),
        }
    }

    pub(super) fn memoize(&mut self, index: u32) -> Result<(), PickleError> {
        let value = self.top()?;
        self.count(1)?;
        self.memo.insert(index, value);
        Ok(())
    }

    /// Stores the top of the stack under the next index of the memo.
    pub(super) fn memoize_next(&mut self) -> Result<(), PickleError> {
        self.memoize(u32::try_from(self.memo.len()).unwrap_or(u32::MAX))
    }

    pub(super) fn recall(&mut self, index: u32) -> Result<(), PickleError> {
        let value = *self
            .memo
            .get(&index)
            .ok_or_else(|| self.malformed("a reference to nothing"))?;
        self.push(value)
    }
}
