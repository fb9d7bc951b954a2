//! Marker segments (T.81, annex B): sizes, tables, and what belongs to a scan.

use image::{RgbImage, metadata::Orientation};

use super::{Problem, color::ColorSpace, huffman::HuffmanTable, planes, scan};

/// A picture's geometry.
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

/// One colour component of a frame.
pub(super) struct Component {
    pub(super) id: u8,
    /// Horizontal and vertical sampling factor, 1 to 4.
    pub(super) sampling: (usize, usize),
    pub(super) quantization: usize,
    /// Columns and rows of samples that belong to the picture.
    pub(super) size: (usize, usize),
}

impl Component {
    /// Columns and rows of blocks, padded to whole units.
    pub(super) fn padded_blocks(&self, frame: &Frame) -> (usize, usize) {
        (frame.units.0 * self.sampling.0, frame.units.1 * self.sampling.1)
    }
}

/// Tables as of now: segments may replace them between scans.
#[derive(Default)]
pub(super) struct Tables {
    /// In the order of coefficients in the file.
    pub(super) quantization: [Option<[u16; 64]>; 4],
    pub(super) dc: [Option<HuffmanTable>; 4],
    pub(super) ac: [Option<HuffmanTable>; 4],
    pub(super) restart_interval: usize,
}

/// What a scan holds.
pub(super) struct Scan {
    /// Of each component its position in the frame, its DC and its AC table.
    pub(super) components: Vec<(usize, usize, usize)>,
    /// First and last coefficient.
    pub(super) band: (usize, usize),
    /// Bit position before (0: first pass) and after.
    pub(super) precision: (u32, u32),
}

/// A file whose headers are read up to the first scan.
pub(crate) struct Jpeg<'a> {
    segments: Segments<'a>,
    tables: Tables,
    frame: Frame,
    space: ColorSpace,
    orientation: Orientation,
}

impl<'a> Jpeg<'a> {
    /// Reads the headers; no memory is taken that depends on the picture's size.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Problem> {
        let mut segments = Segments { bytes, position: 0 };
        let mut tables = Tables::default();
        let (mut frame, mut jfif, mut adobe, mut orientation) = (None, false, None, None);
        loop {
            let marker = segments.next_marker().ok_or_else(Problem::truncated)?;
            match marker {
                0xC0..=0xC2 => {
                    if frame.is_some() {
                        return Err(Problem::new("it holds two frames"));
                    }
                    frame = Some(parse_frame(segments.payload()?, marker == 0xC2)?);
                }
                0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => return Err(unsupported(marker)),
                0xD9 => return Err(Problem::new("it holds no picture")),
                0xDA => break,
                0xE0 => jfif |= segments.payload()?.starts_with(b"JFIF\0"),
                0xE1 => {
                    let exif = segments.payload()?.strip_prefix(b"Exif\0\0");
                    orientation = orientation.or_else(|| exif.and_then(Orientation::from_exif_chunk));
                }
                0xEE => {
                    let transform = segments.payload()?.strip_prefix(b"Adobe").and_then(|rest| rest.get(6));
                    adobe = transform.copied().or(adobe);
                }
                _ => tables.read(marker, &mut segments)?,
            }
        }
        let frame = frame.ok_or_else(|| Problem::new("its picture has no size"))?;
        let ids = frame
            .components
            .iter()
            .map(|component| component.id)
            .collect::<Vec<_>>();
        let space = ColorSpace::guess(&ids, jfif, adobe);
        let space = space.ok_or_else(|| Problem::new(format!("it has {} colour components", ids.len())))?;
        let orientation = orientation.unwrap_or(Orientation::NoTransforms);
        Ok(Self {
            segments,
            tables,
            frame,
            space,
            orientation,
        })
    }

    /// `(width, height)` as stored, before orientation.
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.frame.width, self.frame.height)
    }

    /// How the picture is to be turned.
    pub(crate) fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// Decodes the pixels, `[height, width, 3]`, not turned.
    pub(crate) fn decode(self) -> Result<RgbImage, Problem> {
        let Self {
            mut segments,
            mut tables,
            frame,
            space,
            ..
        } = self;
        let mut decoder = scan::Decoder::new(&frame);
        let mut next = Some(parse_scan(segments.payload()?, &frame)?);
        while let Some(current) = next.take() {
            segments.position = decoder.scan(&current, &tables, segments.bytes, segments.position)?;
            loop {
                match segments.next_marker() {
                    // Complete pixels without the end marker are fine; `finish` knows if they are.
                    None => break,
                    Some(0xD9) => {
                        decoder.end();
                        break;
                    }
                    Some(0xDA) => {
                        next = Some(parse_scan(segments.payload()?, &frame)?);
                        break;
                    }
                    Some(marker) => tables.read(marker, &mut segments)?,
                }
            }
        }
        planes::to_rgb(&frame, &decoder.finish()?, space)
    }
}

/// The file as a sequence of markers.
struct Segments<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Segments<'a> {
    /// The next marker that is not a restart; bytes before it are passed over, as libjpeg does.
    fn next_marker(&mut self) -> Option<u8> {
        let rest = self.bytes.get(self.position..)?;
        let is_marker = |pair: &[u8]| matches!(pair, [0xFF, 0x01..=0xCF | 0xD8..=0xFE]);
        let start = rest.windows(2).position(is_marker)?;
        self.position += start + 2;
        rest.get(start + 1).copied()
    }

    /// The segment after the marker, without its length.
    fn payload(&mut self) -> Result<&'a [u8], Problem> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let (length, rest) = rest.split_first_chunk().ok_or_else(Problem::truncated)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let inner = length
            .checked_sub(2)
            .ok_or_else(|| Problem::new("a segment has no length"))?;
        self.position += length;
        rest.get(..inner).ok_or_else(Problem::truncated)
    }
}

impl Tables {
    /// Takes over a table segment; passes over any other.
    fn read(&mut self, marker: u8, segments: &mut Segments<'_>) -> Result<(), Problem> {
        match marker {
            // Markers without a segment: start of image, temporary.
            0x01 | 0xD8 => Ok(()),
            0xC4 => self.read_huffman(segments.payload()?),
            0xDB => self.read_quantization(segments.payload()?),
            0xDD => {
                let interval = segments.payload()?.first_chunk().ok_or_else(Problem::truncated)?;
                self.restart_interval = usize::from(u16::from_be_bytes(*interval));
                Ok(())
            }
            _ => segments.payload().map(|_| ()),
        }
    }

    fn read_huffman(&mut self, mut rest: &[u8]) -> Result<(), Problem> {
        while let Some((&selector, after)) = rest.split_first() {
            let (counts, after) = after.split_first_chunk::<16>().ok_or_else(Problem::truncated)?;
            let length = counts.iter().map(|&count| usize::from(count)).sum();
            let (values, after) = after.split_at_checked(length).ok_or_else(Problem::truncated)?;
            let tables = if selector >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            let slot = tables.get_mut(usize::from(selector & 15));
            *slot.ok_or_else(|| Problem::new("it has an invalid Huffman table"))? =
                Some(HuffmanTable::new(counts, values)?);
            rest = after;
        }
        Ok(())
    }

    fn read_quantization(&mut self, mut rest: &[u8]) -> Result<(), Problem> {
        while let Some((&selector, after)) = rest.split_first() {
            let wide = selector >> 4 != 0;
            let (entries, after) = after
                .split_at_checked(if wide { 128 } else { 64 })
                .ok_or_else(Problem::truncated)?;
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
            *slot.ok_or_else(|| Problem::new("it has an invalid quantisation table"))? = Some(table);
            rest = after;
        }
        Ok(())
    }
}

fn parse_frame(payload: &[u8], progressive: bool) -> Result<Frame, Problem> {
    let [bits, height @ .., _, _, _] = payload.first_chunk::<6>().ok_or_else(Problem::truncated)?;
    let [_, _, _, width @ .., count] = payload.first_chunk::<6>().ok_or_else(Problem::truncated)?;
    if *bits != 8 {
        return Err(Problem::new(format!(
            "it has {bits} bits a sample; only 8 are supported"
        )));
    }
    let (width, height) = (u16::from_be_bytes(*width), u16::from_be_bytes(*height));
    let (entries, _) = payload.get(6..).unwrap_or_default().as_chunks::<3>();
    let entries = entries.get(..usize::from(*count)).ok_or_else(Problem::truncated)?;
    let sampling = |byte: u8| (usize::from(byte >> 4), usize::from(byte & 15));
    if entries
        .iter()
        .any(|[_, byte, _]| !(1..=4).contains(&(byte >> 4)) || !(1..=4).contains(&(byte & 15)))
    {
        return Err(Problem::new("it has an invalid sampling factor"));
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

fn parse_scan(payload: &[u8], frame: &Frame) -> Result<Scan, Problem> {
    let (&count, rest) = payload.split_first().ok_or_else(Problem::truncated)?;
    let (entries, rest) = rest
        .split_at_checked(2 * usize::from(count))
        .ok_or_else(Problem::truncated)?;
    let components = entries.as_chunks::<2>().0.iter().map(|&[id, tables]| {
        let position = frame.components.iter().position(|component| component.id == id);
        let position = position.ok_or_else(|| Problem::new("a scan names an unknown component"))?;
        Ok((position, usize::from(tables >> 4), usize::from(tables & 15)))
    });
    let components = components.collect::<Result<Vec<_>, Problem>>()?;
    let &[first, last, precision] = rest.first_chunk().ok_or_else(Problem::truncated)?;
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
        return Err(Problem::new("a scan has invalid parameters"));
    }
    Ok(Scan {
        components,
        band,
        precision,
    })
}

fn unsupported(marker: u8) -> Problem {
    let what = match marker {
        0xC3 | 0xCB => "lossless",
        0xC9 | 0xCA => "arithmetically coded",
        _ => "hierarchical",
    };
    Problem::new(format!(
        "it is {what} JPEG, which is not supported; save it as baseline or progressive"
    ))
}
