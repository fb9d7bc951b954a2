//! Photos as PNG files.

use image::{ExtendedColorType, ImageEncoder, RgbImage, codecs::png::PngEncoder};

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
