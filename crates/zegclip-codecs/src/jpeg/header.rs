//! Marker segments (T.81, annex B): frame geometry, tables and scan parameters.

use super::{
    error::JpegError,
    huffman::{HuffmanTable, StandardTables},
};

/// The geometry of an image.
pub(super) struct Frame {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) progressive: bool,
    pub(super) components: Vec<Component>,
    /// The largest horizontal and vertical sampling factor.
    pub(super) largest: (usize, usize),
    /// Columns and rows of minimum coded units.
    pub(super) units: (usize, usize),
}

/// One color component of a frame.
pub(super) struct Component {
    pub(super) id: u8,
    /// Horizontal and vertical sampling factor, 1 to 4.
    pub(super) sampling: (usize, usize),
    pub(super) quantization: usize,
    /// Columns and rows of samples that belong to the image.
    pub(super) size: (usize, usize),
}

impl Component {
    /// Columns and rows of blocks, padded to whole units.
    pub(super) fn padded_blocks(&self, frame: &Frame) -> (usize, usize) {
        (frame.units.0 * self.sampling.0, frame.units.1 * self.sampling.1)
    }
}

/// The current tables; segments may replace them between scans.
#[derive(Default)]
pub(super) struct Tables {
    /// In the order of coefficients in the file.
    pub(super) quantization: [Option<[u16; 64]>; 4],
    pub(super) dc: [Option<HuffmanTable>; 4],
    pub(super) ac: [Option<HuffmanTable>; 4],
    pub(super) restart_interval: usize,
}

/// The parameters of a scan.
pub(super) struct Scan {
    /// Of each component its position in the frame, its DC and its AC table.
    pub(super) components: Vec<(usize, usize, usize)>,
    /// First and last coefficient.
    pub(super) band: (usize, usize),
    /// Bit position before (0: first pass) and after.
    pub(super) precision: (u32, u32),
}

/// The file as a sequence of markers.
pub(super) struct Segments<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) position: usize,
}

impl<'a> Segments<'a> {
    /// The next marker that is not a restart; bytes before it are skipped, as libjpeg does.
    pub(super) fn next_marker(&mut self) -> Option<u8> {
        let rest = self.bytes.get(self.position..)?;
        let is_marker = |pair: &[u8]| matches!(pair, [0xFF, 0x01..=0xCF | 0xD8..=0xFE]);
        let start = rest.windows(2).position(is_marker)?;
        self.position += start + 2;
        rest.get(start + 1).copied()
    }

    /// The segment after the marker, without its length.
    pub(super) fn payload(&mut self) -> Result<&'a [u8], JpegError> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let (length, rest) = rest.split_first_chunk().ok_or(JpegError::Truncated)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let inner = length.checked_sub(2).ok_or(JpegError::SegmentLength)?;
        self.position += length;
        rest.get(..inner).ok_or(JpegError::Truncated)
    }
}

impl Tables {
    /// Fills the slots that a sequential file leaves empty with the tables of the standard.
    pub(super) fn complete(&mut self) {
        let empty = |tables: &[Option<HuffmanTable>; 4]| tables.iter().take(2).any(Option::is_none);
        if !empty(&self.dc) && !empty(&self.ac) {
            return;
        }
        let standard = StandardTables::new();
        for (tables, standard) in [(&mut self.dc, standard.dc), (&mut self.ac, standard.ac)] {
            for (slot, table) in tables.iter_mut().zip(standard) {
                *slot = slot.take().or(table);
            }
        }
    }

    /// Reads a table segment; skips any other.
    pub(super) fn read(&mut self, marker: u8, segments: &mut Segments<'_>) -> Result<(), JpegError> {
        match marker {
            // Markers without a segment: start of image, temporary.
            0x01 | 0xD8 => Ok(()),
            0xC4 => self.read_huffman(segments.payload()?),
            0xDB => self.read_quantization(segments.payload()?),
            0xDD => {
                let interval = segments.payload()?.first_chunk().ok_or(JpegError::Truncated)?;
                self.restart_interval = usize::from(u16::from_be_bytes(*interval));
                Ok(())
            }
            _ => segments.payload().map(|_| ()),
        }
    }

    fn read_huffman(&mut self, mut rest: &[u8]) -> Result<(), JpegError> {
        while let Some((&selector, after)) = rest.split_first() {
            let (counts, after) = after.split_first_chunk::<16>().ok_or(JpegError::Truncated)?;
            let length = counts.iter().map(|&count| usize::from(count)).sum();
            let (values, after) = after.split_at_checked(length).ok_or(JpegError::Truncated)?;
            let tables = if selector >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            let slot = tables.get_mut(usize::from(selector & 15));
            *slot.ok_or(JpegError::InvalidTable { kind: "Huffman" })? = Some(HuffmanTable::new(counts, values)?);
            rest = after;
        }
        Ok(())
    }

    fn read_quantization(&mut self, mut rest: &[u8]) -> Result<(), JpegError> {
        while let Some((&selector, after)) = rest.split_first() {
            let wide = selector >> 4 != 0;
            let (entries, after) = after
                .split_at_checked(if wide { 128 } else { 64 })
                .ok_or(JpegError::Truncated)?;
            let mut table = [0; 64];
            if wide {
                let entries = entries.as_chunks().0;
                table
                    .iter_mut()
                    .zip(entries)
                    .for_each(|(entry, &bytes)| *entry = u16::from_be_bytes(bytes));
            } else {
                table
                    .iter_mut()
                    .zip(entries)
                    .for_each(|(entry, &byte)| *entry = byte.into());
            }
            let slot = self.quantization.get_mut(usize::from(selector & 15));
            *slot.ok_or(JpegError::InvalidTable { kind: "quantization" })? = Some(table);
            rest = after;
        }
        Ok(())
    }
}

pub(super) fn parse_frame(payload: &[u8], progressive: bool) -> Result<Frame, JpegError> {
    let [bits, height @ .., _, _, _] = payload.first_chunk::<6>().ok_or(JpegError::Truncated)?;
    let [_, _, _, width @ .., count] = payload.first_chunk::<6>().ok_or(JpegError::Truncated)?;
    if *bits != 8 {
        return Err(JpegError::SamplePrecision { bits: *bits });
    }
    let (width, height) = (u16::from_be_bytes(*width), u16::from_be_bytes(*height));
    let (entries, _) = payload.get(6..).unwrap_or_default().as_chunks::<3>();
    let entries = entries.get(..usize::from(*count)).ok_or(JpegError::Truncated)?;
    let sampling = |byte: u8| (usize::from(byte >> 4), usize::from(byte & 15));
    if entries
        .iter()
        .any(|[_, byte, _]| !(1..=4).contains(&(byte >> 4)) || !(1..=4).contains(&(byte & 15)))
    {
        return Err(JpegError::SamplingFactor);
    }
    let largest = |factor: fn((usize, usize)) -> usize| {
        entries
            .iter()
            .map(|&[_, byte, _]| factor(sampling(byte)))
            .max()
            .unwrap_or(1)
    };
    let largest = (largest(|sampling| sampling.0), largest(|sampling| sampling.1));
    let (columns, rows) = (usize::from(width), usize::from(height));
    let components = entries.iter().map(|&[id, byte, quantization]| {
        let sampling = sampling(byte);
        let size = (
            (columns * sampling.0).div_ceil(largest.0),
            (rows * sampling.1).div_ceil(largest.1),
        );
        Component {
            id,
            sampling,
            quantization: quantization.into(),
            size,
        }
    });
    Ok(Frame {
        width: width.into(),
        height: height.into(),
        progressive,
        components: components.collect(),
        largest,
        units: (columns.div_ceil(8 * largest.0), rows.div_ceil(8 * largest.1)),
    })
}

pub(super) fn parse_scan(payload: &[u8], frame: &Frame) -> Result<Scan, JpegError> {
    let (&count, rest) = payload.split_first().ok_or(JpegError::Truncated)?;
    let (entries, rest) = rest
        .split_at_checked(2 * usize::from(count))
        .ok_or(JpegError::Truncated)?;
    let components = entries.as_chunks::<2>().0.iter().map(|&[id, tables]| {
        let position = frame.components.iter().position(|component| component.id == id);
        let position = position.ok_or(JpegError::UnknownComponent)?;
        Ok((position, usize::from(tables >> 4), usize::from(tables & 15)))
    });
    let components = components.collect::<Result<Vec<_>, JpegError>>()?;
    let &[first, last, precision] = rest.first_chunk().ok_or(JpegError::Truncated)?;
    let band = if frame.progressive {
        (usize::from(first), usize::from(last))
    } else {
        (0, 63)
    };
    let precision = (u32::from(precision >> 4), u32::from(precision & 15));
    let invalid = components.is_empty()
        || band.0 > band.1
        || band.1 > 63
        || (frame.progressive && ((band.0 == 0) != (band.1 == 0) || (band.0 > 0 && components.len() > 1)))
        || precision.1 > 13;
    if invalid {
        return Err(JpegError::ScanParameters);
    }
    Ok(Scan {
        components,
        band,
        precision,
    })
}
