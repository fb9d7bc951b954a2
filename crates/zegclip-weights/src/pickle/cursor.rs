//! The bytes of a pickle and the operands of its instructions, all borrowed. Every length is checked against the bytes.

use super::PickleError;
use super::value::Value;

pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Offset of the next byte.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], PickleError> {
        let end = self.position.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.position..end));
        let taken = taken.ok_or(PickleError::Truncated {
            position: self.bytes.len(),
        })?;
        self.position += length;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, PickleError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| PickleError::Truncated {
            position: self.position,
        })
    }

    pub(super) fn length4(&mut self) -> Result<usize, PickleError> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    /// Lengths of one byte, four bytes, or else eight.
    pub(super) fn text_length(&mut self, code: u8, short: u8, medium: u8) -> Result<usize, PickleError> {
        if code == short {
            self.byte().map(usize::from)
        } else if code == medium {
            self.length4()
        } else {
            let length = u64::from_le_bytes(self.array()?);
            usize::try_from(length).map_err(|_| PickleError::Truncated {
                position: self.bytes.len(),
            })
        }
    }

    pub(super) fn text(&mut self, length: usize) -> Result<&'a str, PickleError> {
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| PickleError::Malformed {
            position: self.position,
            reason: "text that is not UTF-8",
        })
    }

    pub(super) fn line(&mut self) -> Result<&'a str, PickleError> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let length = rest.iter().position(|&byte| byte == b'\n');
        let length = length.ok_or(PickleError::Truncated {
            position: self.bytes.len(),
        })?;
        let line = self.text(length)?;
        self.position += 1;
        Ok(line)
    }
}

/// Little-endian two's complement of any length.
pub(super) fn integer<'a>(bytes: &'a [u8]) -> Value<'a> {
    if bytes.len() > 8 {
        return Value::Long(bytes);
    }
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut wide = if negative { [0xff; 8] } else { [0; 8] };
    for (wide, byte) in wide.iter_mut().zip(bytes) {
        *wide = *byte;
    }
    Value::Int(i64::from_le_bytes(wide))
}

/// Names of the instructions that are refused, as `pickletools` spells them.
pub(super) fn instruction(code: u8) -> String {
    let name = match code {
        b'I' => "INT",
        b'L' => "LONG",
        b'F' => "FLOAT",
        b'S' => "STRING",
        b'V' => "UNICODE",
        b'g' => "GET",
        b'p' => "PUT",
        b'P' => "PERSID",
        b'i' => "INST",
        b'o' => "OBJ",
        0x82 => "EXT1",
        0x83 => "EXT2",
        0x84 => "EXT4",
        0x92 => "NEWOBJ_EX",
        0x96 => "BYTEARRAY8",
        0x97 => "NEXT_BUFFER",
        0x98 => "READONLY_BUFFER",
        _ => return format!("0x{code:02x}"),
    };
    name.to_owned()
}
