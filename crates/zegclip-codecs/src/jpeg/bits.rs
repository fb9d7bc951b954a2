//! Bits of entropy-coded data (T.81, F.2.2.5), without stuffed zero bytes, up to the next marker.

use super::error::JpegError;

/// Reads bits up to the next marker; zeros follow it, which [`Self::check`] detects.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    position: usize,
    /// The next `count` bits, from the top.
    window: u64,
    count: u32,
    /// How many of the last bits in the window are not in the file.
    padding: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8], position: usize) -> Self {
        Self {
            bytes,
            position,
            window: 0,
            count: 0,
            padding: 0,
        }
    }

    /// The position from which the marker that ends the data is searched.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// The next `count` ≤ 16 bits, without consuming them.
    #[inline]
    pub(super) fn peek(&mut self, count: u32) -> u32 {
        if self.count < count {
            self.refill();
        }
        (self.window >> 32) as u32 >> (32 - count)
    }

    #[inline]
    pub(super) fn skip(&mut self, count: u32) {
        self.window <<= count;
        self.count = self.count.saturating_sub(count);
    }

    /// The next `count` ≤ 16 bits as a number; 0 for no bits.
    #[inline]
    pub(super) fn take(&mut self, count: u32) -> i32 {
        if count == 0 {
            return 0;
        }
        let bits = self.peek(count);
        self.skip(count);
        bits as i32
    }

    /// A number of `size` bits in which a leading 0 means negative (T.81, F.2.2.1, EXTEND).
    #[inline]
    pub(super) fn take_signed(&mut self, size: u32) -> i32 {
        let value = self.take(size);
        if size > 0 && value >> (size - 1) == 0 {
            value - (1 << size) + 1
        } else {
            value
        }
    }

    /// Checks that all bits consumed so far were in the file.
    pub(super) fn check(&self) -> Result<(), JpegError> {
        if self.count < self.padding {
            Err(JpegError::Truncated)
        } else {
            Ok(())
        }
    }

    /// Continues after the restart marker `RSTn`, `number` modulo 8.
    pub(super) fn restart(&mut self, number: usize) -> Result<(), JpegError> {
        self.check()?;
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let marker = rest.windows(2).position(|pair| matches!(pair, [0xFF, 0x01..=0xFE]));
        let marker = marker.ok_or(JpegError::Truncated)?;
        if rest.get(marker + 1).copied() != u8::try_from(0xD0 + number % 8).ok() {
            return Err(JpegError::MissingRestart);
        }
        *self = Self::new(self.bytes, self.position + marker + 2);
        Ok(())
    }

    fn refill(&mut self) {
        while self.count <= 56 {
            let byte = match (self.bytes.get(self.position), self.bytes.get(self.position + 1)) {
                (Some(0xFF), Some(0)) => {
                    self.position += 2;
                    0xFF
                }
                (Some(0xFF), Some(0xFF)) => self.filled(),
                (Some(0xFF) | None, _) => self.pad(),
                (Some(&byte), _) => {
                    self.position += 1;
                    byte
                }
            };
            self.window |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// The data byte 0xFF where fill bytes precede its stuffed zero, as libjpeg reads it; before a marker there is no data.
    #[cold]
    fn filled(&mut self) -> u8 {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let fill = rest.iter().take_while(|byte| **byte == 0xFF).count();
        if rest.get(fill) == Some(&0) {
            self.position += fill + 1;
            return 0xFF;
        }
        // So that a long run is searched once.
        self.position += fill.saturating_sub(1);
        self.pad()
    }

    fn pad(&mut self) -> u8 {
        self.padding += 8;
        0
    }
}
