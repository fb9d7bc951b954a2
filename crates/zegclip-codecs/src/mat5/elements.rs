//! The data elements of a MATLAB 5 file: each has a type, a length and bytes, which may be elements in turn.

use std::io::Read;

use super::error::Mat5Error;

/// The most bytes that one compressed variable may inflate to: 64 MiB, 16 million pixels of 32 bits.
pub const MAX_INFLATED_BYTES: u64 = 64 << 20;

pub(super) const HEADER_BYTES: usize = 128;
pub(super) const MI_INT8: u32 = 1;
pub(super) const MI_UINT8: u32 = 2;
pub(super) const MI_INT16: u32 = 3;
pub(super) const MI_UINT16: u32 = 4;
pub(super) const MI_INT32: u32 = 5;
pub(super) const MI_UINT32: u32 = 6;
pub(super) const MI_SINGLE: u32 = 7;
pub(super) const MI_DOUBLE: u32 = 9;
pub(super) const MI_MATRIX: u32 = 14;
pub(super) const MI_COMPRESSED: u32 = 15;

#[derive(Clone, Copy)]
pub(super) enum Endian {
    Little,
    Big,
}

impl Endian {
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    pub(super) fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        }
    }
}

pub(super) fn read_header(file: &[u8]) -> Result<Endian, Mat5Error> {
    if file.starts_with(b"MATLAB 7.3") || file.starts_with(b"\x89HDF") {
        return Err(Mat5Error::Hdf5);
    }
    let (endian, version) = match file.get(124..HEADER_BYTES) {
        Some(&[low, high, b'I', b'M']) => (Endian::Little, u16::from_le_bytes([low, high])),
        Some(&[high, low, b'M', b'I']) => (Endian::Big, u16::from_be_bytes([high, low])),
        _ => return Err(Mat5Error::NotMatlab),
    };
    match version {
        0x0100 => Ok(endian),
        0x0200 => Err(Mat5Error::Hdf5),
        _ => Err(Mat5Error::NotMatlab),
    }
}

pub(super) fn inflate(compressed: &[u8]) -> Result<Vec<u8>, Mat5Error> {
    let mut inflated = Vec::new();
    let decoder = flate2::read::ZlibDecoder::new(compressed);
    decoder
        .take(MAX_INFLATED_BYTES + 1)
        .read_to_end(&mut inflated)
        .map_err(|_| Mat5Error::Damaged("a compressed variable does not inflate"))?;
    if inflated.len() as u64 > MAX_INFLATED_BYTES {
        return Err(Mat5Error::TooLarge {
            max_bytes: MAX_INFLATED_BYTES,
        });
    }
    Ok(inflated)
}

/// A data element: its type and bytes.
#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) kind: u32,
    pub(super) data: &'a [u8],
}

/// The data elements that follow one another in `rest`.
#[derive(Clone, Copy)]
pub(super) struct Elements<'a> {
    pub(super) endian: Endian,
    pub(super) rest: &'a [u8],
}

impl<'a> Elements<'a> {
    /// The next element, or `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Element<'a>>, Mat5Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        const CUT_OFF: Mat5Error = Mat5Error::Damaged("an element is longer than the file");
        let (tag, after) = self.rest.split_first_chunk::<4>().ok_or(CUT_OFF)?;
        let tag = self.endian.u32(*tag);
        // The "small" form keeps up to four bytes of data in the tag itself, and the length in its upper half.
        let (kind, length, start, padded) = if tag >> 16 == 0 {
            let (length, after) = after.split_first_chunk::<4>().ok_or(CUT_OFF)?;
            let length = self.endian.u32(*length) as usize;
            // Compressed variables are the only ones that are not padded to eight bytes.
            let padded = if tag == MI_COMPRESSED {
                Some(length)
            } else {
                length.checked_next_multiple_of(8)
            };
            (tag, length, after, padded)
        } else {
            (tag & 0xFFFF, (tag >> 16) as usize, after, Some(4))
        };
        let data = start.get(..length).ok_or(CUT_OFF)?;
        // Writers leave the padding of the last element out.
        let padded = padded.ok_or(CUT_OFF)?.max(length).min(start.len());
        self.rest = start.get(padded..).unwrap_or_default();
        Ok(Some(Element { kind, data }))
    }

    pub(super) fn expect(&mut self, damage: &'static str) -> Result<Element<'a>, Mat5Error> {
        self.next()?.ok_or(Mat5Error::Damaged(damage))
    }
}
