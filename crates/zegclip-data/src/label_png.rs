//! Label maps as PNG files.
//!
//! A label file's pixels are numbers, whatever they look like: VOC's are *palette* PNGs whose index is the label, and
//! converting them to RGB destroys it. So they are read by index, never expanded, and anything from which the number
//! cannot be told is refused.

use std::{io::Cursor, path::Path};

use png::{BitDepth, ColorType, Transformations};

use crate::{ClassIndex, DataError, ImageLimits, LabelMap, RawLabels, palette::Color, write_atomically};

/// How deep a label file may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LabelDepth {
    /// At most 8 bits a pixel: every public benchmark. 16 bits are refused, since they are most often instance ids.
    #[default]
    Eight,
    /// 16-bit gray too: what [`write_label_png`] makes for lists of more than 256 classes.
    Sixteen,
}

/// The value of ignored pixels in files of 8 bits.
const IGNORED_8: u16 = 255;
/// VOC's color for ignored pixels.
const IGNORED_COLOR: Color = [224, 224, 192];
const PALETTE_LENGTH: usize = 256;

/// Reads a label file: 8-bit gray, or a palette of 1, 2, 4 or 8 bits by index.
///
/// # Errors
/// [`DataError::Io`], [`DataError::ImageEmpty`], [`DataError::ImageTooLarge`]; [`DataError::LabelFile`] for what is no
/// PNG, is damaged, or is in color or too deep, so that it contains no usable labels.
pub fn read_label_png(path: &Path, limits: &ImageLimits, depth: LabelDepth) -> Result<RawLabels, DataError> {
    let bytes = crate::image_file::read_bytes(path, limits)?;
    decode_label_png(&bytes, &format!("`{}`", path.display()), limits, depth)
}

/// As [`read_label_png`] on a file's bytes; `origin` names it in errors.
///
/// # Errors
/// As [`read_label_png`], but for reading.
pub fn decode_label_png(
    bytes: &[u8],
    origin: &str,
    limits: &ImageLimits,
    depth: LabelDepth,
) -> Result<RawLabels, DataError> {
    let error = |problem: String| DataError::LabelFile {
        origin: origin.to_owned(),
        problem,
    };
    if let Some(size) = crate::image_file::png_size(bytes) {
        limits.check(size, origin)?;
    }
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::IDENTITY);
    let damaged = |problem: png::DecodingError| match problem {
        png::DecodingError::Format(_) if bytes.starts_with(b"\xFF\xD8") => {
            error("it is not a PNG file but a JPEG, whose compression changes class numbers".to_owned())
        }
        png::DecodingError::Format(_) if !bytes.starts_with(b"\x89PNG") => error("it is not a PNG file".to_owned()),
        problem => error(format!("it cannot be decoded: {problem}")),
    };
    let mut reader = decoder.read_info().map_err(damaged)?;
    let (width, height) = reader.info().size();
    let bits = match reader.output_color_type() {
        (ColorType::Indexed, bits) => bits as u8,
        (ColorType::Grayscale, BitDepth::Eight) => 8,
        (ColorType::Grayscale, BitDepth::Sixteen) if depth == LabelDepth::Sixteen => 16,
        (ColorType::Grayscale, BitDepth::Sixteen) => {
            return Err(error(
                "it has 16 bits a pixel, which are instance ids more often than classes".to_owned(),
            ));
        }
        (ColorType::Grayscale, bits) => bits as u8,
        (color, _) => {
            let color = match color {
                ColorType::Rgb => "RGB",
                ColorType::Rgba => "RGB with alpha",
                _ => "gray with alpha",
            };
            return Err(error(format!("it is {color}, in which class numbers are lost")));
        }
    };
    let length = reader
        .output_buffer_size()
        .ok_or_else(|| error("it is too large".to_owned()))?;
    let mut rows = vec![0; length];
    let frame = reader.next_frame(&mut rows).map_err(damaged)?;
    let rows = rows.chunks_exact(frame.line_size.max(1)).take(height as usize);
    let values = rows.flat_map(|row| unpack(row, bits).take(width as usize)).collect();
    RawLabels::new(width, height, values)
}

/// The values of a row of 1, 2, 4, 8 or 16 bits each.
fn unpack(row: &[u8], bits: u8) -> Box<dyn Iterator<Item = u16> + '_> {
    match bits {
        8 => Box::new(row.iter().copied().map(u16::from)),
        16 => Box::new(row.as_chunks().0.iter().map(|&bytes| u16::from_be_bytes(bytes))),
        bits => {
            let shifts = move || (0..8 / bits).rev().map(move |position| position * bits);
            let mask = (1u8 << bits) - 1;
            Box::new(
                row.iter()
                    .flat_map(move |&byte| shifts().map(move |shift| u16::from(byte >> shift & mask))),
            )
        }
    }
}

/// Writes labels as PNG, whole or not at all: an index is the class's position, `palette` has a color for each class.
///
/// Up to 255 classes it is a palette PNG of 8 bits in which ignored pixels are 255, and so it is for 256 classes if no
/// pixel is ignored. Longer lists do not fit: they are written as 16-bit gray without colors, ignored pixels 65,535.
/// [`output_encoding`] reads either back.
///
/// # Errors
/// [`DataError::Io`], and [`DataError::ClassOutOfRange`] for a label without color.
pub fn write_label_png(path: &Path, labels: &LabelMap, palette: &[Color]) -> Result<(), DataError> {
    let bytes = encode_label_png(labels, palette)?;
    write_atomically(path, |file| file.write_all(&bytes))
}

/// As [`write_label_png`], to memory.
///
/// # Errors
/// [`DataError::ClassOutOfRange`] for a label without color.
pub fn encode_label_png(labels: &LabelMap, palette: &[Color]) -> Result<Vec<u8>, DataError> {
    let classes = palette.len();
    if let Some(class) = labels
        .max_class()
        .map(ClassIndex::index)
        .filter(|&class| class >= classes)
    {
        return Err(DataError::ClassOutOfRange { index: class, classes });
    }
    let raw = labels.as_raw();
    let deep = classes > PALETTE_LENGTH || (classes == PALETTE_LENGTH && raw.contains(&LabelMap::IGNORE));
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, labels.width(), labels.height());
    let data = if deep {
        encoder.set_color(ColorType::Grayscale);
        encoder.set_depth(BitDepth::Sixteen);
        raw.iter().flat_map(|value| value.to_be_bytes()).collect::<Vec<_>>()
    } else {
        encoder.set_color(ColorType::Indexed);
        encoder.set_depth(BitDepth::Eight);
        let mut colors = palette.to_vec();
        colors.resize(PALETTE_LENGTH - 1, [0; 3]);
        colors.resize(PALETTE_LENGTH, IGNORED_COLOR);
        colors.splice(..classes, palette.iter().copied());
        encoder.set_palette(colors.concat());
        raw.iter().map(|&value| value.min(IGNORED_8) as u8).collect()
    };
    let written = encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&data));
    written.map_err(|error| DataError::ImageEmpty {
        origin: "the label map".to_owned(),
        size: format!("{}×{} pixels: {error}", labels.width(), labels.height()),
    })?;
    Ok(bytes)
}

/// What the values of files by [`write_label_png`] mean, for a list of `classes` classes, and how deep they are.
pub fn output_encoding(classes: usize) -> (crate::LabelEncoding, LabelDepth) {
    let depth = if classes < PALETTE_LENGTH {
        LabelDepth::Eight
    } else {
        LabelDepth::Sixteen
    };
    (crate::LabelEncoding::identity(classes), depth)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(classes: u32, ignored: bool) -> LabelMap {
        LabelMap::from_fn(37, 11, |x, y| {
            let value = (x * 31 + y * 17) % classes;
            ClassIndex::new(value as u16).filter(|_| !ignored || x != y)
        })
    }

    fn png(color: ColorType, depth: BitDepth, width: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, 1);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == ColorType::Indexed {
            encoder.set_palette([[10u8, 20, 30], [200, 100, 0]].repeat(128).concat());
        }
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<RawLabels, DataError> {
        decode_label_png(bytes, "`a.png`", &ImageLimits::default(), LabelDepth::Eight)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        for (classes, ignored) in [
            (1, true),
            (20, true),
            (255, true),
            (256, false),
            (256, true),
            (300, true),
            (9_999, true),
        ] {
            let labels = labels(classes, ignored);
            let path = folder.path().join("labels.png");
            let palette = crate::palette::distinct_palette(classes as usize);
            write_label_png(&path, &labels, &palette).unwrap();
            let (encoding, depth) = output_encoding(classes as usize);
            let decoded = encoding.decode(&read_label_png(&path, &ImageLimits::default(), depth).unwrap());
            assert_eq!(decoded.labels.as_raw(), labels.as_raw(), "{classes} classes");
            assert_eq!(decoded.unknown, []);
        }
    }

    #[test]
    fn a_written_file_shows_the_palette() {
        let labels = LabelMap::from_raw(3, 1, vec![0, 1, LabelMap::IGNORE]).unwrap();
        let bytes = encode_label_png(&labels, &[[1, 2, 3], [4, 5, 6]]).unwrap();
        let shown = image::load_from_memory(&bytes).unwrap().into_rgb8();
        assert_eq!(shown.into_raw(), [1, 2, 3, 4, 5, 6, 224, 224, 192]);
    }

    #[test]
    fn a_label_without_color_is_refused() {
        let labels = LabelMap::from_raw(1, 1, vec![2]).unwrap();
        let error = encode_label_png(&labels, &[[0; 3]; 2]).unwrap_err();
        assert_eq!(error.to_string(), "class 2 is not in a list of 2 classes (0 to 1)");
    }

    #[test]
    fn palettes_and_gray_of_any_depth_are_read_by_index() {
        use BitDepth::{Eight, Four, One, Two};
        let check = |color, depth, data: &[u8], expected: &[u16]| {
            let bytes = png(color, depth, expected.len() as u32, data);
            assert_eq!(decode(&bytes).unwrap().values(), expected, "{color:?} {depth:?}");
        };
        check(ColorType::Indexed, One, &[0b1010_0000], &[1, 0, 1]);
        check(ColorType::Indexed, Two, &[0b1101_0010, 0b0100_0000], &[3, 1, 0, 2, 1]);
        check(ColorType::Indexed, Four, &[0xF1, 0x70], &[15, 1, 7]);
        check(ColorType::Indexed, Eight, &[255, 0, 20], &[255, 0, 20]);
        check(ColorType::Grayscale, Eight, &[255, 0, 20], &[255, 0, 20]);
        check(ColorType::Grayscale, Two, &[0b1101_0010], &[3, 1, 0, 2]);
    }

    #[test]
    fn files_in_which_labels_cannot_be_told_are_refused() {
        let problem = |color, depth, data: &[u8]| decode(&png(color, depth, 1, data)).unwrap_err().to_string();
        let rgb = problem(ColorType::Rgb, BitDepth::Eight, &[0; 3]);
        assert!(
            rgb.starts_with("`a.png` is not a usable label file: it is RGB, in which class numbers are lost"),
            "{rgb}"
        );
        assert!(problem(ColorType::Rgba, BitDepth::Eight, &[0; 4]).contains("RGB with alpha"));
        assert!(problem(ColorType::GrayscaleAlpha, BitDepth::Eight, &[0; 2]).contains("gray with alpha"));
        assert!(problem(ColorType::Grayscale, BitDepth::Sixteen, &[0; 2]).contains("16 bits a pixel"));
        assert!(
            decode(b"\xFF\xD8\xFF\xE0")
                .unwrap_err()
                .to_string()
                .contains("not a PNG")
        );
        let mut truncated = png(ColorType::Grayscale, BitDepth::Eight, 200, &[7; 200]);
        truncated.truncate(45);
        assert!(
            decode(&truncated)
                .unwrap_err()
                .to_string()
                .contains("cannot be decoded")
        );
    }

    #[test]
    fn a_hostile_size_is_refused_before_memory_is_taken() {
        let mut bytes = png(ColorType::Grayscale, BitDepth::Eight, 1, &[0]);
        bytes[16..24].copy_from_slice(&[0, 0, 0x4E, 0x20, 0, 0, 0x4E, 0x20]);
        assert!(matches!(decode(&bytes), Err(DataError::ImageTooLarge { .. })));
        bytes[16..20].fill(0);
        assert!(matches!(decode(&bytes), Err(DataError::ImageEmpty { .. })));
    }
}
