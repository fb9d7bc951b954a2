//! Huffman tables (T.81, annex C and F.2.2.3).

use super::{bits::BitReader, error::JpegError};

/// Codes of up to this length are found in one look-up.
const FAST_BITS: u32 = 9;
const LONGEST: usize = 16;

/// A Huffman code for bytes.
#[derive(Clone)]
pub(super) struct HuffmanTable {
    /// For every start of [`FAST_BITS`] bits: length of the code in the upper byte (0: longer), its value in the lower.
    fast: Box<[u16; 1 << FAST_BITS]>,
    /// Of each length, the first code beyond those of that length, shifted to 16 bits.
    limits: [u32; LONGEST + 1],
    /// Of each length, what to add to a code to get the position of its value.
    offsets: [i32; LONGEST + 1],
    values: Vec<u8>,
}

impl HuffmanTable {
    /// From the number of codes of each length and the values in order of their codes.
    pub(super) fn new(counts: &[u8; LONGEST], values: &[u8]) -> Result<Self, JpegError> {
        let mut table = Self {
            fast: Box::new([0; 1 << FAST_BITS]),
            limits: [0; LONGEST + 1],
            offsets: [0; LONGEST + 1],
            values: values.to_vec(),
        };
        let (mut code, mut position) = (0u32, 0usize);
        let sizes = (1u32..).zip(counts);
        for (((length, &count), limit), offset) in sizes.zip(&mut table.limits[1..]).zip(&mut table.offsets[1..]) {
            *offset = position as i32 - code as i32;
            for &value in values.get(position..position + usize::from(count)).unwrap_or_default() {
                if length <= FAST_BITS {
                    let spare = FAST_BITS - length;
                    let entry = (length as u16) << 8 | u16::from(value);
                    let codes = (code << spare) as usize..((code + 1) << spare) as usize;
                    table.fast.get_mut(codes).ok_or(OVERFULL)?.fill(entry);
                }
                code += 1;
            }
            position += usize::from(count);
            if code > 1 << length {
                return Err(OVERFULL);
            }
            *limit = code << (LONGEST as u32 - length);
            code <<= 1;
        }
        Ok(table)
    }

    /// Reads one code.
    #[inline]
    pub(super) fn decode(&self, bits: &mut BitReader<'_>) -> Result<u8, JpegError> {
        let start = bits.peek(LONGEST as u32);
        let entry = self
            .fast
            .get((start >> (LONGEST as u32 - FAST_BITS)) as usize)
            .copied()
            .unwrap_or_default();
        if entry != 0 {
            bits.skip(u32::from(entry >> 8));
            return Ok(entry as u8);
        }
        let lengths = (1..=LONGEST as u32).zip(self.limits.iter().zip(&self.offsets).skip(1));
        let mut longer = lengths.skip(FAST_BITS as usize);
        let found = longer.find(|(_, (limit, _))| start < **limit);
        let value = found.and_then(|(length, (_, offset))| {
            bits.skip(length);
            let position = (start >> (LONGEST as u32 - length)) as i32 + offset;
            self.values.get(usize::try_from(position).ok()?).copied()
        });
        value.ok_or(JpegError::InvalidCode)
    }
}

const OVERFULL: JpegError = JpegError::InvalidTable { kind: "Huffman" };
