//! The order of blocks in scans, and samples from coefficients (T.81, annex A).

use super::{
    bits::BitReader,
    coefficients::{BlockReader, Coefficients},
    error::JpegError,
    header::{Frame, Scan, Tables},
    idct,
    planes::Plane,
};

/// Decodes the scans of a frame, one after the other.
pub(super) struct ScanDecoder<'a> {
    frame: &'a Frame,
    components: Vec<Decoded>,
    ended: bool,
    /// Blocks that scans may still read.
    remaining_blocks: usize,
}

/// How often each block may be read on average. Encoders write up to about six scans a component.
const MAX_BLOCK_READS: usize = 40;
/// Blocks that may be read in any case: those of the most scans over a small image.
const MIN_BLOCK_READS: usize = 1 << 20;

/// One component, decoded so far. Sequential files are transformed block by block; progressive ones need all their
/// coefficients first.
struct Decoded {
    plane: Plane,
    /// Columns of blocks, padded to whole units.
    columns: usize,
    /// Blocks in rows; empty if sequential.
    coefficients: Vec<Coefficients>,
    /// The table of the component's first scan.
    quantization: Option<[u16; 64]>,
    /// Of each coefficient the bits that no scan has brought yet; those of no scan at all count as [`MISSING`].
    missing: [u32; 64],
}

/// More bits than a coefficient has.
const MISSING: u32 = 64;

/// A component in a scan.
struct Member {
    component: usize,
    /// Columns and rows of its blocks in one unit of the scan.
    unit: (usize, usize),
}

impl<'a> ScanDecoder<'a> {
    pub(super) fn new(frame: &'a Frame) -> Self {
        let components = frame.components.iter().map(|component| {
            let (columns, rows) = component.padded_blocks(frame);
            let blocks = if frame.progressive { columns * rows } else { 0 };
            Decoded {
                plane: Plane::new((columns, rows), component.size),
                columns,
                coefficients: vec![[0; 64]; blocks],
                quantization: None,
                missing: [MISSING; 64],
            }
        });
        let components: Vec<Decoded> = components.collect();
        let blocks: usize = frame
            .components
            .iter()
            .map(|component| component.padded_blocks(frame))
            .map(|(x, y)| x * y)
            .sum();
        Self {
            frame,
            components,
            ended: false,
            remaining_blocks: blocks.saturating_mul(MAX_BLOCK_READS).max(MIN_BLOCK_READS),
        }
    }

    /// Reads a scan that begins at `position`; returns where to look for the next marker.
    pub(super) fn scan(
        &mut self,
        scan: &Scan,
        tables: &Tables,
        bytes: &[u8],
        position: usize,
    ) -> Result<usize, JpegError> {
        let (members, (columns, rows)) = self.begin(scan, tables)?;
        let unit: usize = members.iter().map(|member| member.unit.0 * member.unit.1).sum();
        let blocks = columns.saturating_mul(rows).saturating_mul(unit);
        self.remaining_blocks = self
            .remaining_blocks
            .checked_sub(blocks)
            .ok_or(JpegError::TooManyScans)?;
        let mut bits = BitReader::new(bytes, position);
        let mut reader = BlockReader::new(scan, tables, self.frame.progressive);
        let mut units = 0;
        for unit_y in 0..rows {
            for unit_x in 0..columns {
                if tables.restart_interval > 0 && units > 0 && units % tables.restart_interval == 0 {
                    bits.restart(units / tables.restart_interval - 1)?;
                    reader.reset();
                }
                units += 1;
                for (slot, member) in members.iter().enumerate() {
                    let Some(decoded) = self.components.get_mut(member.component) else {
                        continue;
                    };
                    for row in 0..member.unit.1 {
                        for column in 0..member.unit.0 {
                            let place = (unit_x * member.unit.0 + column, unit_y * member.unit.1 + row);
                            decoded.block(place, slot, &mut reader, &mut bits)?;
                        }
                    }
                }
            }
            bits.check()?;
        }
        for member in &members {
            let missing = self.components.get_mut(member.component);
            let missing = missing
                .map(|component| component.missing.iter_mut())
                .into_iter()
                .flatten();
            for bits in missing.take(scan.band.1 + 1).skip(scan.band.0) {
                let (before, after) = scan.precision;
                // A refinement of what never came brings nothing.
                if before == 0 || *bits == before {
                    *bits = after;
                }
            }
        }
        Ok(bits.position())
    }

    /// The members of a scan, and its columns and rows of units.
    fn begin(&mut self, scan: &Scan, tables: &Tables) -> Result<(Vec<Member>, (usize, usize)), JpegError> {
        let mut members = Vec::with_capacity(scan.components.len());
        let mut units = self.frame.units;
        for &(position, _, _) in &scan.components {
            let component = self
                .frame
                .components
                .get(position)
                .zip(self.components.get_mut(position));
            let (component, decoded) = component.ok_or(JpegError::UnknownComponent)?;
            let table = tables.quantization.get(component.quantization).copied().flatten();
            decoded.quantization = decoded.quantization.or(table);
            if decoded.quantization.is_none() {
                return Err(JpegError::MissingTable { kind: "quantization" });
            }
            let mut unit = component.sampling;
            if scan.components.len() == 1 {
                // A component alone is not padded to whole units: its blocks just cover its samples.
                unit = (1, 1);
                units = (component.size.0.div_ceil(8), component.size.1.div_ceil(8));
            }
            members.push(Member {
                component: position,
                unit,
            });
        }
        Ok((members, units))
    }

    /// Records that the end-of-image marker was read.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// The samples of all components.
    pub(super) fn finish(self) -> Result<Vec<Plane>, JpegError> {
        let without_scan = self.components.iter().any(|component| component.quantization.is_none());
        // Without an end marker, a progressive file may lack scans unless every bit of every coefficient has come.
        let missing = self.components.iter().flat_map(|component| &component.missing);
        let cut_off = self.frame.progressive && !self.ended && missing.copied().any(|bits| bits > 0);
        if without_scan || cut_off {
            return Err(JpegError::Truncated);
        }
        Ok(self.components.into_iter().map(Decoded::into_plane).collect())
    }
}

impl Decoded {
    #[inline]
    fn block(
        &mut self,
        (x, y): (usize, usize),
        slot: usize,
        reader: &mut BlockReader<'_>,
        bits: &mut BitReader<'_>,
    ) -> Result<(), JpegError> {
        if let Some(block) = self.coefficients.get_mut(y * self.columns + x) {
            return reader.read(slot, block, bits);
        }
        let mut block = [0; 64];
        reader.read(slot, &mut block, bits)?;
        if let Some(table) = &self.quantization {
            self.plane.put(x, y, &idct::inverse(&block, table));
        }
        Ok(())
    }

    fn into_plane(mut self) -> Plane {
        if let Some(table) = &self.quantization {
            for (position, block) in self.coefficients.iter().enumerate() {
                let place = (position % self.columns, position / self.columns);
                self.plane.put(place.0, place.1, &idct::inverse(block, table));
            }
        }
        self.plane
    }
}
