//! The interpreter: the instructions of protocols 2 to 5 for containers, numbers and strings.

use super::PickleError;
use super::cursor::{Cursor, instruction, integer};
use super::global::{Global, Globals};
use super::pickled::Pickle;
use super::reduce;
use super::state::State;
use super::value::{Node, Value};

/// Limit of a pickle in bytes; tensors' elements are outside.
const MAX_BYTES: usize = 64 << 20;

/// Reads the pickle at the beginning of `bytes`.
pub(crate) fn read(bytes: &[u8], allowed: Globals) -> Result<Pickle<'_>, PickleError> {
    let bytes = bytes.get(..MAX_BYTES).unwrap_or(bytes);
    let mut state = State::new(Cursor::new(bytes), allowed);
    let root = run(&mut state).map_err(|error| match error {
        PickleError::Truncated { .. } if bytes.len() == MAX_BYTES => PickleError::Limit {
            what: "bytes",
            limit: MAX_BYTES,
        },
        error => error,
    })?;
    Ok(Pickle {
        root,
        end: state.input.position(),
        nodes: state.nodes,
    })
}

/// Executes instructions up to STOP.
fn run<'a>(state: &mut State<'a>) -> Result<Value<'a>, PickleError> {
    loop {
        let at = state.input.position();
        let code = state.input.byte()?;
        match code {
            0x80 => {
                let version = state.input.byte()?;
                if !(2..=5).contains(&version) {
                    return Err(PickleError::Protocol { version });
                }
            }
            0x95 => _ = state.input.take(8)?, // FRAME, which helps buffering only
            b'.' => return state.pop(),
            b'(' => {
                state.mark()?;
            }
            b'0' => _ = state.pop()?,
            b'1' => _ = state.pop_mark()?,
            b'2' => {
                let top = state.top()?;
                state.push(top)?;
            }
            b'N' => state.push(Value::None)?,
            0x88 => state.push(Value::Bool(true))?,
            0x89 => state.push(Value::Bool(false))?,
            b'K' => {
                let value = state.input.byte()?;
                state.push(Value::Int(value.into()))?;
            }
            b'M' => {
                let value = u16::from_le_bytes(state.input.array()?);
                state.push(Value::Int(value.into()))?;
            }
            b'J' => {
                let value = i32::from_le_bytes(state.input.array()?);
                state.push(Value::Int(value.into()))?;
            }
            0x8a | 0x8b => {
                let length = if code == 0x8a {
                    state.input.byte()?.into()
                } else {
                    state.input.length4()?
                };
                let bytes = state.input.take(length)?;
                state.push(integer(bytes))?;
            }
            b'G' => {
                let value = f64::from_be_bytes(state.input.array()?);
                state.push(Value::Float(value))?;
            }
            b'X' | 0x8c | 0x8d => {
                let length = state.input.text_length(code, 0x8c, b'X')?;
                let text = state.input.text(length)?;
                state.push(Value::Text(text))?;
            }
            b'U' | b'T' => {
                // Python 2's strings.
                let length = if code == b'U' {
                    state.input.byte()?.into()
                } else {
                    state.input.length4()?
                };
                let bytes = state.input.take(length)?;
                state.push(std::str::from_utf8(bytes).map_or(Value::Bytes(bytes), Value::Text))?;
            }
            b'C' | b'B' | 0x8e => {
                let length = state.input.text_length(code, b'C', b'B')?;
                let bytes = state.input.take(length)?;
                state.push(Value::Bytes(bytes))?;
            }
            b']' | 0x8f => state.push_node(Node::List(vec![]))?, // EMPTY_LIST, EMPTY_SET
            b'a' => {
                let item = state.pop()?;
                state.append(&[item])?;
            }
            b'e' | 0x90 => {
                let items = state.pop_mark()?;
                state.append(&items)?;
            }
            b'l' | 0x91 => {
                let items = state.pop_mark()?;
                state.push_node(Node::List(items))?;
            }
            b')' => state.push_node(Node::Tuple(vec![]))?,
            b't' => {
                let items = state.pop_mark()?;
                state.push_node(Node::Tuple(items))?;
            }
            0x85..=0x87 => {
                let items = state.pop_many(usize::from(code - 0x84))?;
                state.push_node(Node::Tuple(items))?;
            }
            b'}' => state.push_node(Node::Dict(vec![]))?,
            b'd' => {
                let items = state.pop_mark()?;
                let pairs = state.pair_up(&items)?;
                state.push_node(Node::Dict(pairs))?;
            }
            b's' => {
                let items = state.pop_many(2)?;
                state.insert(&items)?;
            }
            b'u' => {
                let items = state.pop_mark()?;
                state.insert(&items)?;
            }
            b'h' => {
                let index = state.input.byte()?.into();
                state.recall(index)?;
            }
            b'j' => {
                let index = u32::from_le_bytes(state.input.array()?);
                state.recall(index)?;
            }
            b'q' => {
                let index = state.input.byte()?.into();
                state.memoize(index)?;
            }
            b'r' => {
                let index = u32::from_le_bytes(state.input.array()?);
                state.memoize(index)?;
            }
            0x94 => {
                state.memoize_next()?;
            }
            b'c' => {
                let (module, name) = (state.input.line()?, state.input.line()?);
                state.push(Value::Global(Global::find(module, name, state.allowed)?))?;
            }
            0x93 => {
                let names = state.pop_many(2)?;
                let [Value::Text(module), Value::Text(name)] = names[..] else {
                    return Err(state.malformed("a global whose name is not text"));
                };
                state.push(Value::Global(Global::find(module, name, state.allowed)?))?;
            }
            b'Q' => {
                let id = state.pop()?;
                reduce::storage(state, id)?;
            }
            b'R' | 0x81 => {
                let (arguments, callee) = (state.pop()?, state.pop()?);
                reduce::call(state, callee, arguments)?;
            }
            b'b' => {
                let attributes = state.pop()?;
                reduce::build(state, attributes)?;
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
