//! Images: any common format to 8-bit RGB, under limits, as OpenCV's `IMREAD_COLOR` would read it.
//!
//! The format is found by content. EXIF orientation is applied (JPEG, PNG, WebP, TIFF); of an animation the first
//! frame counts; gray is repeated, alpha dropped, 16 bits cut to the upper 8. Color profiles are not applied.

use std::{
    io::{Cursor, Read},
    path::Path,
};

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage, metadata::Orientation};

use zegclip_codecs::jpeg::{JpegDecoder, RgbPixels};

use zegclip_foundation::require_file;

use crate::DataError;

/// What an image may be at most, checked before memory is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageLimits {
    /// Columns and rows.
    pub max_side: u32,
    /// Columns × rows.
    pub max_pixels: u64,
    /// Bytes of the file.
    pub max_bytes: u64,
}

impl Default for ImageLimits {
    /// 16,384 a side, 100 million pixels, 512 MiB.
    fn default() -> Self {
        Self {
            max_side: 16_384,
            max_pixels: 100_000_000,
            max_bytes: 512 << 20,
        }
    }
}

impl ImageLimits {
    /// Checks a size; `origin` names the image in errors.
    ///
    /// # Errors
    /// [`DataError::ImageEmpty`] without pixels, [`DataError::ImageTooLarge`] above a limit.
    pub fn check(&self, (width, height): (u32, u32), origin: &str) -> Result<(), DataError> {
        if width == 0 || height == 0 {
            return Err(DataError::ImageEmpty {
                origin: origin.to_owned(),
                size: format!("{width}×{height} pixels"),
            });
        }
        let pixels = u64::from(width) * u64::from(height);
        if width.max(height) > self.max_side || pixels > self.max_pixels {
            let limit = format!("{} a side and {} pixels", self.max_side, self.max_pixels);
            return Err(DataError::ImageTooLarge {
                origin: origin.to_owned(),
                size: format!("{width}×{height} pixels"),
                limit,
            });
        }
        Ok(())
    }

    fn check_bytes(&self, bytes: u64, origin: &str) -> Result<(), DataError> {
        if bytes == 0 {
            return Err(DataError::ImageEmpty {
                origin: origin.to_owned(),
                size: "0 bytes".to_owned(),
            });
        }
        if bytes > self.max_bytes {
            return Err(DataError::ImageTooLarge {
                origin: origin.to_owned(),
                size: format!("more than {} bytes", self.max_bytes),
                limit: format!("{} bytes", self.max_bytes),
            });
        }
        Ok(())
    }
}

/// Reads an image, `[height, width, 3]`.
///
/// # Errors
/// [`DataError::Io`], and those of [`decode_image`].
pub fn read_image(path: &Path, limits: &ImageLimits) -> Result<RgbImage, DataError> {
    decode_image(&read_bytes(path, limits)?, &origin(path), limits)
}

/// Decodes an image, `[height, width, 3]`; `origin` names it in errors.
///
/// # Errors
/// [`DataError::ImageFormat`] if the content is of no known format, [`DataError::ImageEmpty`],
/// [`DataError::ImageTooLarge`], [`DataError::ImageDamaged`] for truncated or invalid data.
pub fn decode_image(bytes: &[u8], origin: &str, limits: &ImageLimits) -> Result<RgbImage, DataError> {
    limits.check_bytes(bytes.len() as u64, origin)?;
    if format(bytes, origin)? == ImageFormat::Jpeg {
        let (decoder, orientation) = open_jpeg(bytes, origin, limits)?;
        let decoded = decoder.decode(limits.max_pixels);
        let RgbPixels { width, height, pixels } = decoded.map_err(|error| damaged(origin, &error))?;
        let image = RgbImage::from_raw(width, height, pixels).unwrap_or_default();
        let mut image = DynamicImage::ImageRgb8(image);
        image.apply_orientation(orientation);
        return Ok(image.into_rgb8());
    }
    let (decoder, orientation) = open(bytes, origin, limits)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| damaged(origin, &error))?;
    image.apply_orientation(orientation);
    Ok(to_rgb8(image))
}

/// Reads an image with its transparency, `[height, width, 4]`; an image without alpha is opaque.
///
/// # Errors
/// [`DataError::Io`], and those of [`decode_image`].
pub fn read_rgba_image(path: &Path, limits: &ImageLimits) -> Result<image::RgbaImage, DataError> {
    decode_rgba_image(&read_bytes(path, limits)?, &origin(path), limits)
}

/// Decodes an image with its transparency, `[height, width, 4]`; an image without alpha is opaque.
///
/// # Errors
/// As [`decode_image`].
pub fn decode_rgba_image(bytes: &[u8], origin: &str, limits: &ImageLimits) -> Result<image::RgbaImage, DataError> {
    limits.check_bytes(bytes.len() as u64, origin)?;
    let (decoder, orientation) = open(bytes, origin, limits)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| damaged(origin, &error))?;
    image.apply_orientation(orientation);
    Ok(image.into_rgba8())
}

/// `(width, height)` of an image after orientation, without decoding its pixels.
///
/// # Errors
/// As [`read_image`], as far as the header tells.
pub fn read_image_size(path: &Path, limits: &ImageLimits) -> Result<(u32, u32), DataError> {
    let origin = origin(path);
    let bytes = read_bytes(path, limits)?;
    let ((width, height), orientation) = if format(&bytes, &origin)? == ImageFormat::Jpeg {
        let (decoder, orientation) = open_jpeg(&bytes, &origin, limits)?;
        (decoder.dimensions(), orientation)
    } else {
        let (decoder, orientation) = open(&bytes, &origin, limits)?;
        (decoder.dimensions(), orientation)
    };
    let turned = matches!(
        orientation,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    );
    Ok(if turned { (height, width) } else { (width, height) })
}

fn origin(path: &Path) -> String {
    format!("`{}`", path.display())
}

/// A file's bytes, if they are not too many.
pub(crate) fn read_bytes(path: &Path, limits: &ImageLimits) -> Result<Vec<u8>, DataError> {
    let error = || DataError::io("read", path);
    // Before opening: to open a pipe would wait for a writer.
    let metadata = std::fs::metadata(path).map_err(error())?;
    require_file(&metadata).map_err(error())?;
    let file = std::fs::File::open(path).map_err(error())?;
    let length = file.metadata().map_err(error())?.len();
    let mut bytes = Vec::new();
    // A file may grow, so the limit must hold while reading too.
    if length <= limits.max_bytes {
        bytes.reserve(usize::try_from(length).unwrap_or_default());
        file.take(limits.max_bytes.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(error())?;
    }
    limits.check_bytes(length.max(bytes.len() as u64), &origin(path))?;
    Ok(bytes)
}

/// What a decoder may allocate for each pixel: four channels of 32 bits.
const BYTES_PER_PIXEL: u64 = 16;
/// What it may allocate besides, 24 MiB.
const DECODER_BYTES: u64 = 24 << 20;

fn format(bytes: &[u8], origin: &str) -> Result<ImageFormat, DataError> {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
    let format = image::guess_format(bytes).ok();
    let known = format.filter(|format| matches!(format, Bmp | Gif | Jpeg | Png | Tiff | WebP));
    known.ok_or_else(|| {
        let text = !bytes.contains(&0) && std::str::from_utf8(bytes.get(..256).unwrap_or(bytes)).is_ok();
        let found = match format {
            Some(format) => format!("{format:?}"),
            None if text => "text".to_owned(),
            None => "of no known image format".to_owned(),
        };
        DataError::ImageFormat {
            origin: origin.to_owned(),
            found,
        }
    })
}

/// Reads the headers of a JPEG file, and its orientation from the first Exif chunk that states one.
fn open_jpeg<'a>(
    bytes: &'a [u8],
    origin: &str,
    limits: &ImageLimits,
) -> Result<(JpegDecoder<'a>, Orientation), DataError> {
    let decoder = JpegDecoder::new(bytes).map_err(|error| damaged(origin, &error))?;
    limits.check(decoder.dimensions(), origin)?;
    let orientation = decoder.exif_chunks().find_map(Orientation::from_exif_chunk);
    Ok((decoder, orientation.unwrap_or(Orientation::NoTransforms)))
}

fn open<'a>(
    bytes: &'a [u8],
    origin: &str,
    limits: &ImageLimits,
) -> Result<(impl ImageDecoder + 'a, Orientation), DataError> {
    let format = format(bytes, origin)?;
    if let Some(size) = png_size(bytes) {
        limits.check(size, origin)?;
    }
    if format == ImageFormat::Tiff && !tiff_values_are_in_file(bytes) {
        return Err(damaged(origin, &"an entry of its directory is longer than the file"));
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    // Decoders also take memory of their own: for palettes, for 16 bits a channel, for a canvas.
    let mut memory = Limits::no_limits();
    memory.max_alloc = Some(
        limits
            .max_pixels
            .saturating_mul(BYTES_PER_PIXEL)
            .saturating_add(DECODER_BYTES),
    );
    reader.limits(memory.clone());
    let mut decoder = reader.into_decoder().map_err(|error| damaged(origin, &error))?;
    limits.check(decoder.dimensions(), origin)?;
    // Now that the size is known: strips of a TIFF file may state more samples than the image has.
    let (width, height) = decoder.dimensions();
    memory.max_alloc = Some(u64::from(width) * u64::from(height) * BYTES_PER_PIXEL + DECODER_BYTES);
    decoder.set_limits(memory).map_err(|error| damaged(origin, &error))?;
    // Orientation that cannot be read is not a reason to refuse the pixels.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((decoder, orientation))
}

/// Whether the values of a TIFF file's first directory fit into the file: its decoder allocates memory for them before it
/// reads them, and before it can be given a limit. A directory that is cut off is left to the decoder.
fn tiff_values_are_in_file(bytes: &[u8]) -> bool {
    let little = bytes.starts_with(b"II");
    let number = |at: usize, width: usize| -> Option<u64> {
        let field = bytes.get(at..at.checked_add(width)?)?;
        let digit = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if little {
            field.iter().rev().fold(0, digit)
        } else {
            field.iter().fold(0, digit)
        })
    };
    let big = number(2, 2) == Some(43);
    // Where the directory's offset is; widths of an offset, of the number of entries, and of an entry.
    let (offset_at, width, count_width, entry) = if big { (8, 8, 8, 20) } else { (4, 4, 2, 12) };
    let start = number(offset_at, width).and_then(|start| usize::try_from(start).ok());
    let Some((start, entries)) = start.and_then(|start| Some((start, number(start, count_width)?))) else {
        return true;
    };
    (0..entries)
        .map_while(|index| {
            let at = start.checked_add(count_width)?;
            let at = at.checked_add(usize::try_from(index).ok()?.checked_mul(entry)?)?;
            number(at + 4, width)
        })
        .all(|values| values <= bytes.len() as u64)
}

/// The size in a PNG's first chunk: the decoder's own message for a size of zero does not say so.
pub(crate) fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    bytes.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    let (width, rest) = bytes.get(16..)?.split_first_chunk()?;
    let (height, _) = rest.split_first_chunk()?;
    Some((u32::from_be_bytes(*width), u32::from_be_bytes(*height)))
}

fn damaged(origin: &str, problem: &dyn std::fmt::Display) -> DataError {
    DataError::ImageDamaged {
        origin: origin.to_owned(),
        problem: problem.to_string(),
    }
}

/// Drops alpha and the lower half of 16 bits, as OpenCV does; `image` would round instead.
fn to_rgb8(image: DynamicImage) -> RgbImage {
    let upper = |value: u16| (value >> 8) as u8;
    let (width, height) = (image.width(), image.height());
    match image {
        DynamicImage::ImageLuma16(image) => {
            RgbImage::from_fn(width, height, |x, y| image::Rgb([upper(image.get_pixel(x, y).0[0]); 3]))
        }
        DynamicImage::ImageLumaA16(image) => {
            RgbImage::from_fn(width, height, |x, y| image::Rgb([upper(image.get_pixel(x, y).0[0]); 3]))
        }
        DynamicImage::ImageRgb16(image) => {
            RgbImage::from_fn(width, height, |x, y| image::Rgb(image.get_pixel(x, y).0.map(upper)))
        }
        DynamicImage::ImageRgba16(image) => RgbImage::from_fn(width, height, |x, y| {
            let [red, green, blue, _] = image.get_pixel(x, y).0;
            image::Rgb([red, green, blue].map(upper))
        }),
        image => image.into_rgb8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tiff_directory_with_more_values_than_bytes_is_refused() {
        let mut bytes = Cursor::new(Vec::new());
        let picture = DynamicImage::ImageRgb8(RgbImage::new(3, 2));
        picture.write_to(&mut bytes, ImageFormat::Tiff).unwrap();
        let mut bytes = bytes.into_inner();
        let read = |bytes: &[u8]| decode_image(bytes, "`a.tif`", &ImageLimits::default());
        assert_eq!(read(&bytes).unwrap().dimensions(), (3, 2));
        // StripOffsets: a tag, a type, then the number of values.
        let entry = bytes.windows(4).position(|tag| tag == [0x11, 0x01, 0x04, 0]).unwrap();
        bytes[entry + 4..entry + 8].copy_from_slice(&5_000_000_u32.to_le_bytes());
        let message = read(&bytes).unwrap_err().to_string();
        assert!(
            message.contains("an entry of its directory is longer than the file"),
            "{message}"
        );
    }
}
