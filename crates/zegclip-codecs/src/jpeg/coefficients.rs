//! Huffman-coded coefficients of one block (T.81, annex F for sequential, annex G for progressive files).

use super::{
    bits::BitReader,
    error::JpegError,
    header::{Scan, Tables},
    huffman::HuffmanTable,
};

/// Coefficients of a block in the order of the file: by rising frequency.
pub(super) type Coefficients = [i16; 64];

/// Reads the blocks of a scan.
pub(super) struct BlockReader<'a> {
    scan: &'a Scan,
    progressive: bool,
    /// Of each component of the scan its DC and AC table.
    tables: Vec<(Option<&'a HuffmanTable>, Option<&'a HuffmanTable>)>,
    /// Of each component of the scan the DC coefficient of its last block.
    last_dc: Vec<i32>,
    /// Remaining blocks without a new non-zero coefficient.
    empty_blocks: u32,
}

impl<'a> BlockReader<'a> {
    pub(super) fn new(scan: &'a Scan, tables: &'a Tables, progressive: bool) -> Self {
        let find = |tables: &'a [Option<HuffmanTable>; 4], index: usize| tables.get(index).and_then(Option::as_ref);
        let of_component = |&(_, dc, ac): &(usize, usize, usize)| (find(&tables.dc, dc), find(&tables.ac, ac));
        Self {
            scan,
            progressive,
            tables: scan.components.iter().map(of_component).collect(),
            last_dc: vec![0; scan.components.len()],
            empty_blocks: 0,
        }
    }

    /// Handles a restart marker: the next block does not depend on earlier ones.
    pub(super) fn reset(&mut self) {
        self.last_dc.fill(0);
        self.empty_blocks = 0;
    }

    /// Decodes the scan's contribution to the next block of its component `slot`.
    #[inline]
    pub(super) fn read(
        &mut self,
        slot: usize,
        block: &mut Coefficients,
        bits: &mut BitReader<'_>,
    ) -> Result<(), JpegError> {
        let (before, low) = self.scan.precision;
        match (self.progressive, self.scan.band.0, before) {
            (false, _, _) => {
                self.dc(slot, 0, block, bits)?;
                self.sequential_ac(slot, block, bits)
            }
            (true, 0, 0) => self.dc(slot, low, block, bits),
            (true, 0, _) => {
                block[0] |= (bits.take(1) << low) as i16;
                Ok(())
            }
            (true, _, 0) => self.first_ac(slot, low, block, bits),
            (true, _, _) => self.refine_ac(slot, low, block, bits),
        }
    }

    fn dc(
        &mut self,
        slot: usize,
        low: u32,
        block: &mut Coefficients,
        bits: &mut BitReader<'_>,
    ) -> Result<(), JpegError> {
        let table = self.tables.get(slot).and_then(|tables| tables.0).ok_or(MISSING_TABLE)?;
        let size = u32::from(table.decode(bits)?).min(16);
        let last = self.last_dc.get_mut(slot).ok_or(MISSING_TABLE)?;
        *last = last.wrapping_add(bits.take_signed(size));
        block[0] = (*last << low) as i16;
        Ok(())
    }

    fn ac_table(&self, slot: usize) -> Result<&'a HuffmanTable, JpegError> {
        self.tables.get(slot).and_then(|tables| tables.1).ok_or(MISSING_TABLE)
    }

    #[inline]
    fn sequential_ac(
        &mut self,
        slot: usize,
        block: &mut Coefficients,
        bits: &mut BitReader<'_>,
    ) -> Result<(), JpegError> {
        let table = self.ac_table(slot)?;
        let mut position = 1;
        while position < 64 {
            let (run, size) = run_and_size(table.decode(bits)?);
            if size == 0 {
                if run < 15 {
                    break;
                }
                position += 16;
                continue;
            }
            position += run;
            *block.get_mut(position).ok_or(JpegError::TooManyCoefficients)? = bits.take_signed(size) as i16;
            position += 1;
        }
        Ok(())
    }

    fn first_ac(
        &mut self,
        slot: usize,
        low: u32,
        block: &mut Coefficients,
        bits: &mut BitReader<'_>,
    ) -> Result<(), JpegError> {
        if self.empty_blocks > 0 {
            self.empty_blocks -= 1;
            return Ok(());
        }
        let table = self.ac_table(slot)?;
        let (mut position, last) = self.scan.band;
        while position <= last {
            let (run, size) = run_and_size(table.decode(bits)?);
            if size == 0 {
                if run < 15 {
                    self.empty_blocks = (1 << run) - 1 + bits.take(run as u32) as u32;
                    break;
                }
                position += 16;
                continue;
            }
            position += run;
            *block.get_mut(position).ok_or(JpegError::TooManyCoefficients)? = (bits.take_signed(size) << low) as i16;
            position += 1;
        }
        Ok(())
    }

    fn refine_ac(
        &mut self,
        slot: usize,
        low: u32,
        block: &mut Coefficients,
        bits: &mut BitReader<'_>,
    ) -> Result<(), JpegError> {
        let table = self.ac_table(slot)?;
        let bit = 1i16 << low;
        let (first, last) = self.scan.band;
        let mut band = block.iter_mut().take(last + 1).skip(first);
        while self.empty_blocks == 0 && band.len() > 0 {
            let (mut run, size) = run_and_size(table.decode(bits)?);
            let mut new = 0;
            if size > 0 {
                new = if bits.take(1) == 1 { bit } else { -bit };
            } else if run < 15 {
                // This block is the first of the run.
                self.empty_blocks = (1 << run) + bits.take(run as u32) as u32;
                break;
            }
            // Non-zero coefficients are refined on the way; the run counts only zeros.
            for coefficient in band.by_ref() {
                if *coefficient != 0 {
                    correct(coefficient, bit, bits);
                } else if run == 0 {
                    *coefficient = new;
                    break;
                } else {
                    run -= 1;
                }
            }
        }
        if self.empty_blocks > 0 {
            band.filter(|coefficient| **coefficient != 0)
                .for_each(|coefficient| correct(coefficient, bit, bits));
            self.empty_blocks -= 1;
        }
        Ok(())
    }
}

/// Reads the next bit of a coefficient that is not zero.
fn correct(coefficient: &mut i16, bit: i16, bits: &mut BitReader<'_>) {
    if bits.take(1) == 1 && *coefficient & bit == 0 {
        *coefficient = coefficient.wrapping_add(if *coefficient > 0 { bit } else { -bit });
    }
}

/// Zeros before the coefficient, and the number of its bits.
fn run_and_size(code: u8) -> (usize, u32) {
    (usize::from(code >> 4), u32::from(code & 15))
}

const MISSING_TABLE: JpegError = JpegError::MissingTable { kind: "Huffman" };
