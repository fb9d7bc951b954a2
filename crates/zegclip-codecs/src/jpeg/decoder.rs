//! From the headers of a file to its pixels.

use super::{
    color::ColorSpace,
    error::JpegError,
    header::{Frame, Segments, Tables, parse_frame, parse_scan},
    rgb::to_rgb,
    scan::ScanDecoder,
};

/// The most scans that are decoded. Encoders write up to about a dozen; a scan of few bytes can cost a pass over all
/// blocks, so that a small file could otherwise take hours. In images of more than about 300,000 pixels, blocks are also
/// read at most 40 times on average.
pub const MAX_SCANS: usize = 500;

/// Decoded pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RgbPixels {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `[height, width, 3]`: red, green and blue of each pixel, row by row.
    pub pixels: Vec<u8>,
}

/// A JPEG file whose headers are read up to the first scan.
///
/// ```
/// use zegclip_codecs::jpeg::JpegDecoder;
///
/// let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/images/420.jpg"))?;
/// let decoder = JpegDecoder::new(&file)?;
/// assert_eq!(decoder.dimensions(), (33, 47));
/// let image = decoder.decode(1_000_000)?;
/// assert_eq!(image.pixels.len(), 33 * 47 * 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct JpegDecoder<'a> {
    segments: Segments<'a>,
    tables: Tables,
    frame: Frame,
    space: ColorSpace,
    exif: Vec<&'a [u8]>,
}

impl<'a> JpegDecoder<'a> {
    /// Reads the headers of the file `bytes`; memory use does not depend on the image's size.
    ///
    /// # Errors
    /// [`JpegError::Truncated`], [`JpegError::UnsupportedProcess`], [`JpegError::SamplePrecision`] and
    /// [`JpegError::ComponentCount`] for files that are valid but not supported, the other variants for damage.
    pub fn new(bytes: &'a [u8]) -> Result<Self, JpegError> {
        let mut segments = Segments { bytes, position: 0 };
        let mut tables = Tables::default();
        let (mut frame, mut jfif, mut adobe, mut exif) = (None, false, None, Vec::new());
        loop {
            let marker = segments.next_marker().ok_or(JpegError::Truncated)?;
            match marker {
                0xC0..=0xC2 => {
                    if frame.is_some() {
                        return Err(JpegError::SecondFrame);
                    }
                    frame = Some(parse_frame(segments.payload()?, marker == 0xC2)?);
                }
                0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => return Err(unsupported(marker)),
                0xD9 => return Err(JpegError::NoImage),
                0xDA => break,
                0xE0 => jfif |= segments.payload()?.starts_with(b"JFIF\0"),
                0xE1 => {
                    exif.extend(segments.payload()?.strip_prefix(b"Exif\0\0"));
                }
                0xEE => {
                    let transform = segments.payload()?.strip_prefix(b"Adobe").and_then(|rest| rest.get(6));
                    adobe = transform.copied().or(adobe);
                }
                _ => tables.read(marker, &mut segments)?,
            }
        }
        let frame = frame.ok_or(JpegError::NoFrame)?;
        let ids = frame.components.iter().map(|component| component.id);
        let ids = ids.collect::<Vec<_>>();
        let space = ColorSpace::guess(&ids, jfif, adobe);
        let space = space.ok_or(JpegError::ComponentCount { count: ids.len() })?;
        Ok(Self {
            segments,
            tables,
            frame,
            space,
            exif,
        })
    }

    /// `(width, height)` as stored, before any orientation is applied. One of them may be 0 in a damaged file.
    pub fn dimensions(&self) -> (u32, u32) {
        (self.frame.width, self.frame.height)
    }

    /// The Exif chunks in order, without the `Exif\0\0` before each: TIFF structures, in which the orientation is tag
    /// `0x0112`. The pixels are not rotated by it.
    pub fn exif_chunks(&self) -> impl Iterator<Item = &'a [u8]> {
        self.exif.iter().copied()
    }

    /// Decodes the pixels, if there are at most `max_pixels`.
    ///
    /// A sequential file takes about 6 bytes of memory a pixel, a progressive one 12.
    ///
    /// # Errors
    /// [`JpegError::TooLarge`] before memory is allocated, [`JpegError::NoPixels`], [`JpegError::TooManyScans`],
    /// [`JpegError::Truncated`], and the other variants for invalid data, of which libjpeg would only warn.
    pub fn decode(self, max_pixels: u64) -> Result<RgbPixels, JpegError> {
        let (width, height) = self.dimensions();
        if width == 0 || height == 0 {
            return Err(JpegError::NoPixels { width, height });
        }
        if u64::from(width) * u64::from(height) > max_pixels {
            return Err(JpegError::TooLarge {
                width,
                height,
                max_pixels,
            });
        }
        let Self {
            mut segments,
            mut tables,
            frame,
            space,
            ..
        } = self;
        let mut decoder = ScanDecoder::new(&frame);
        let mut scans = 0;
        let mut next = Some(parse_scan(segments.payload()?, &frame)?);
        while let Some(current) = next.take() {
            scans += 1;
            if scans > MAX_SCANS {
                return Err(JpegError::TooManyScans);
            }
            if !frame.progressive {
                tables.complete();
            }
            segments.position = decoder.scan(&current, &tables, segments.bytes, segments.position)?;
            loop {
                match segments.next_marker() {
                    // A missing end marker is fine where all pixels are present, which `finish` checks; another image
                    // may follow.
                    None | Some(0xD8) => break,
                    Some(0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF) => return Err(JpegError::SecondFrame),
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
        let pixels = to_rgb(&frame, &decoder.finish()?, space);
        Ok(RgbPixels { width, height, pixels })
    }
}

fn unsupported(marker: u8) -> JpegError {
    let process = match marker {
        0xC3 | 0xCB => "lossless",
        0xC9 | 0xCA => "arithmetically coded",
        _ => "hierarchical",
    };
    JpegError::UnsupportedProcess { process }
}
