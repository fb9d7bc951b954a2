//! Decoded samples of one component.

/// Samples of one component in rows, padded to whole blocks.
pub(super) struct Plane {
    samples: Vec<u8>,
    stride: usize,
    /// Columns that belong to the image.
    pub(super) width: usize,
    /// Rows that belong to the image.
    pub(super) height: usize,
}

impl Plane {
    /// Room for `columns × rows` blocks of 8×8 samples, of which `width × height` samples count.
    pub(super) fn new((columns, rows): (usize, usize), (width, height): (usize, usize)) -> Self {
        Self {
            samples: vec![0; columns * rows * 64],
            stride: columns * 8,
            width,
            height,
        }
    }

    /// Puts the samples of the block at column `x`, row `y` of blocks in place.
    #[inline]
    pub(super) fn put(&mut self, x: usize, y: usize, block: &[[u8; 8]; 8]) {
        let start = y * 8 * self.stride + x * 8;
        let rows = self
            .samples
            .get_mut(start..)
            .unwrap_or_default()
            .chunks_mut(self.stride.max(1));
        for (row, samples) in rows.zip(block) {
            if let Some(row) = row.first_chunk_mut() {
                *row = *samples;
            }
        }
    }

    /// The samples of a row that belong to the image.
    pub(super) fn row(&self, y: usize) -> &[u8] {
        let start = y * self.stride;
        self.samples.get(start..start + self.width).unwrap_or_default()
    }
}
