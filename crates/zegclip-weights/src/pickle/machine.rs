//! The pickle machine: a stack, a memo and the instructions of protocols 2 to 5 that containers, numbers and strings need.

use std::collections::HashMap;

use super::PickleError;
use super::cursor::{Cursor, instruction, integer};
use super::global::{Global, Globals};
use super::pickled::Pickle;
use super::reduce;
use super::value::{Node, NodeId, Value};

/// Values that a pickle may push: a checkpoint with the state of its optimiser needs tens of thousands.
const MAX_VALUES: usize = 2_000_000;
/// Compound values that a pickle may make.
const MAX_NODES: usize = 500_000;
/// Bytes of a pickle that describes tensors (their elements lie outside).
const MAX_BYTES: usize = 64 << 20;

/// Reads the pickle at the beginning of `bytes`.
pub(crate) fn read(bytes: &[u8], allowed: Globals) -> Result<Pickle<'_>, PickleError> {
    let bytes = bytes.get(..MAX_BYTES).unwrap_or(bytes);
    let mut machine = Machine {
        input: Cursor::new(bytes),
        allowed,
        stack: vec![],
        marks: vec![],
        memo: HashMap::new(),
        nodes: vec![],
        values: 0,
    };
    let root = machine.run().map_err(|error| match error {
        PickleError::Truncated { .. } if bytes.len() == MAX_BYTES => PickleError::Limit {
            what: "bytes",
            limit: MAX_BYTES,
        },
        error => error,
    })?;
    Ok(Pickle {
        root,
        end: machine.input.position(),
        nodes: machine.nodes,
    })
}

pub(super) struct Machine<'a> {
    input: Cursor<'a>,
    allowed: Globals,
    stack: Vec<Value<'a>>,
    /// Heights of the stack at each MARK.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    pub(super) nodes: Vec<Node<'a>>,
    values: usize,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Value<'a>, PickleError> {
        loop {
            let at = self.input.position();
            let code = self.input.byte()?;
            match code {
                0x80 => {
                    let version = self.input.byte()?;
                    if !(2..=5).contains(&version) {
                        return Err(PickleError::Protocol { version });
                    }
                }
                0x95 => _ = self.input.take(8)?, // FRAME: only a hint for buffering
                b'.' => return self.pop(),
                b'(' => {
                    self.count(1)?;
                    self.marks.push(self.stack.len());
                }
                b'0' => _ = self.pop()?,
                b'1' => _ = self.pop_mark()?,
                b'2' => {
                    let top = self.top()?;
                    self.push(top)?;
                }
                b'N' => self.push(Value::None)?,
                0x88 => self.push(Value::Bool(true))?,
                0x89 => self.push(Value::Bool(false))?,
                b'K' => {
                    let value = self.input.byte()?;
                    self.push(Value::Int(value.into()))?;
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.input.array()?);
                    self.push(Value::Int(value.into()))?;
                }
                b'J' => {
                    let value = i32::from_le_bytes(self.input.array()?);
                    self.push(Value::Int(value.into()))?;
                }
                0x8a | 0x8b => {
                    let length = if code == 0x8a {
                        self.input.byte()?.into()
                    } else {
                        self.input.length4()?
                    };
                    let bytes = self.input.take(length)?;
                    self.push(integer(bytes))?;
                }
                b'G' => {
                    let value = f64::from_be_bytes(self.input.array()?);
                    self.push(Value::Float(value))?;
                }
                b'X' | 0x8c | 0x8d => {
                    let length = self.input.text_length(code, 0x8c, b'X')?;
                    let text = self.input.text(length)?;
                    self.push(Value::Text(text))?;
                }
                b'U' | b'T' => {
                    // Python 2's strings: text where they are.
                    let length = if code == b'U' {
                        self.input.byte()?.into()
                    } else {
                        self.input.length4()?
                    };
                    let bytes = self.input.take(length)?;
                    self.push(std::str::from_utf8(bytes).map_or(Value::Bytes(bytes), Value::Text))?;
                }
                b'C' | b'B' | 0x8e => {
                    let length = self.input.text_length(code, b'C', b'B')?;
                    let bytes = self.input.take(length)?;
                    self.push(Value::Bytes(bytes))?;
                }
                b']' | 0x8f => self.push_node(Node::List(vec![]))?, // EMPTY_LIST, EMPTY_SET
                b'a' => {
                    let item = self.pop()?;
                    self.append(&[item])?;
                }
                b'e' | 0x90 => {
                    let items = self.pop_mark()?;
                    self.append(&items)?;
                }
                b'l' | 0x91 => {
                    let items = self.pop_mark()?;
                    self.push_node(Node::List(items))?;
                }
                b')' => self.push_node(Node::Tuple(vec![]))?,
                b't' => {
                    let items = self.pop_mark()?;
                    self.push_node(Node::Tuple(items))?;
                }
                0x85..=0x87 => {
                    let items = self.pop_many(usize::from(code - 0x84))?;
                    self.push_node(Node::Tuple(items))?;
                }
                b'}' => self.push_node(Node::Dict(vec![]))?,
                b'd' => {
                    let items = self.pop_mark()?;
                    let pairs = self.pair_up(&items)?;
                    self.push_node(Node::Dict(pairs))?;
                }
                b's' => {
                    let items = self.pop_many(2)?;
                    self.insert(&items)?;
                }
                b'u' => {
                    let items = self.pop_mark()?;
                    self.insert(&items)?;
                }
                b'h' => {
                    let index = self.input.byte()?.into();
                    self.recall(index)?;
                }
                b'j' => {
                    let index = u32::from_le_bytes(self.input.array()?);
                    self.recall(index)?;
                }
                b'q' => {
                    let index = self.input.byte()?.into();
                    self.memoize(index)?;
                }
                b'r' => {
                    let index = u32::from_le_bytes(self.input.array()?);
                    self.memoize(index)?;
                }
                0x94 => {
                    let index = u32::try_from(self.memo.len()).unwrap_or(u32::MAX);
                    self.memoize(index)?;
                }
                b'c' => {
                    let (module, name) = (self.input.line()?, self.input.line()?);
                    self.push(Value::Global(Global::find(module, name, self.allowed)?))?;
                }
                0x93 => {
                    let names = self.pop_many(2)?;
                    let [Value::Text(module), Value::Text(name)] = names[..] else {
                        return Err(self.malformed("a global whose name is no text"));
                    };
                    self.push(Value::Global(Global::find(module, name, self.allowed)?))?;
                }
                b'Q' => {
                    let id = self.pop()?;
                    reduce::storage(self, id)?;
                }
                b'R' | 0x81 => {
                    let (arguments, callee) = (self.pop()?, self.pop()?);
                    reduce::call(self, callee, arguments)?;
                }
                b'b' => {
                    let state = self.pop()?;
                    reduce::build(self, state)?;
                }
                other => {
                    return Err(PickleError::Instruction {
                        name: instruction(other),
                        position: at,
                    });
                }
            }
        }
    }

    pub(super) fn malformed(&self, reason: &'static str) -> PickleError {
        PickleError::Malformed {
            position: self.input.position(),
            reason,
        }
    }

    /// Counts values that are about to be stored: what is copied from the memo costs as much as what is read.
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

    /// Values above the last MARK, or the bottom of the stack, are all that an instruction may take.
    fn available(&self) -> usize {
        self.stack.len() - self.marks.last().copied().unwrap_or(0).min(self.stack.len())
    }

    fn pop(&mut self) -> Result<Value<'a>, PickleError> {
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

    fn pop_many(&mut self, count: usize) -> Result<Vec<Value<'a>>, PickleError> {
        if self.available() < count {
            return Err(self.malformed("a value is missing"));
        }
        Ok(self.stack.split_off(self.stack.len() - count))
    }

    fn pop_mark(&mut self) -> Result<Vec<Value<'a>>, PickleError> {
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

    fn append(&mut self, items: &[Value<'a>]) -> Result<(), PickleError> {
        let target = self.top()?;
        match self.node_mut(target) {
            Some(Node::List(list)) => list.extend_from_slice(items),
            _ => return Err(self.malformed("items for something that is no list")),
        }
        Ok(())
    }

    fn insert(&mut self, items: &[Value<'a>]) -> Result<(), PickleError> {
        let pairs = self.pair_up(items)?;
        let target = self.top()?;
        match self.node_mut(target) {
            Some(Node::Dict(dict)) => dict.extend(pairs),
            _ => return Err(self.malformed("entries for something that is no dict")),
        }
        Ok(())
    }

    fn pair_up(&self, items: &[Value<'a>]) -> Result<Vec<(Value<'a>, Value<'a>)>, PickleError> {
        match items.as_chunks::<2>() {
            (pairs, []) => Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect()),
            _ => Err(self.malformed("a key without a value")),
        }
    }

    fn memoize(&mut self, index: u32) -> Result<(), PickleError> {
        let value = self.top()?;
        self.count(1)?;
        self.memo.insert(index, value);
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Result<(), PickleError> {
        let value = *self
            .memo
            .get(&index)
            .ok_or_else(|| self.malformed("a reference to nothing"))?;
        self.push(value)
    }
}
