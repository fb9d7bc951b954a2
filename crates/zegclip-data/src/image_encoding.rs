//! Images as PNG and JPEG files.

use image::{ExtendedColorType, ImageEncoder, RgbImage, codecs::jpeg::JpegEncoder, codecs::png::PngEncoder};

use crate::DataError;

/// The bytes of a PNG file of 8-bit RGB.
///
/// # Errors
/// [`DataError::Io`] if the picture is too large for the format.
pub fn encode_png(picture: &RgbImage) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(
            picture.as_raw(),
            picture.width(),
            picture.height(),
            ExtendedColorType::Rgb8,
        )
        .map_err(std::io::Error::other)
        .map_err(DataError::io("encode", std::path::Path::new("picture.png")))?;
    Ok(bytes)
}

/// The bytes of a JPEG file, of a `quality` from 1 to 100.
///
/// # Errors
/// [`DataError::Io`] if the picture is empty or too large for the format.
pub fn encode_jpeg(picture: &RgbImage, quality: u8) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality.clamp(1, 100))
        .encode_image(picture)
        .map_err(std::io::Error::other)
        .map_err(DataError::io("encode", std::path::Path::new("picture.jpg")))?;
    Ok(bytes)
}
