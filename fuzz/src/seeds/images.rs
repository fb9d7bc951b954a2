//! Images and label files.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat};
use png::{BitDepth, ColorType};
use zegclip_data::RgbImage;

fn small() -> RgbImage {
    RgbImage::from_fn(9, 7, |x, y| image::Rgb([(x * 25) as u8, (y * 31) as u8, (x ^ y) as u8]))
}

pub(crate) fn jpegs() -> Vec<Vec<u8>> {
    super::files("crates/zegclip-codecs/tests/images", "jpg")
}

fn png(color: ColorType, depth: BitDepth, width: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, 1);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if color == ColorType::Indexed {
        encoder.set_palette([10u8, 20, 30, 200, 100, 0].repeat(4));
    }
    let written = encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(data));
    written.expect("memory can be written");
    bytes
}

/// Label files of every depth.
pub(crate) fn label_pngs() -> Vec<Vec<u8>> {
    vec![
        png(ColorType::Indexed, BitDepth::One, 3, &[0b1010_0000]),
        png(ColorType::Indexed, BitDepth::Two, 5, &[0b1101_0010, 0b0100_0000]),
        png(ColorType::Indexed, BitDepth::Four, 3, &[0xF1, 0x70]),
        png(ColorType::Indexed, BitDepth::Eight, 3, &[255, 0, 20]),
        png(ColorType::Grayscale, BitDepth::Eight, 3, &[255, 0, 20]),
        png(ColorType::Grayscale, BitDepth::Sixteen, 2, &[255, 255, 0, 20]),
        png(ColorType::Rgb, BitDepth::Eight, 1, &[1, 2, 3]),
    ]
}

/// The formats that are read besides JPEG.
pub(crate) fn others() -> Vec<Vec<u8>> {
    let picture = DynamicImage::ImageRgb8(small());
    let variants = [
        (picture.clone(), ImageFormat::Png),
        (DynamicImage::ImageRgba16(picture.to_rgba16()), ImageFormat::Png),
        (DynamicImage::ImageLumaA8(picture.to_luma_alpha8()), ImageFormat::Png),
        (picture.clone(), ImageFormat::Bmp),
        (DynamicImage::ImageRgba8(picture.to_rgba8()), ImageFormat::Gif),
        (picture.clone(), ImageFormat::Tiff),
        (DynamicImage::ImageLuma16(picture.to_luma16()), ImageFormat::Tiff),
        (picture, ImageFormat::WebP),
    ];
    let encode = |(picture, format): &(DynamicImage, ImageFormat)| {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, *format).expect("memory can be written");
        bytes.into_inner()
    };
    let mut files: Vec<Vec<u8>> = variants.iter().map(encode).collect();
    files.extend(jpegs().into_iter().take(2));
    files
}

/// MATLAB label files, also without compression.
pub(crate) fn mat5() -> Vec<Vec<u8>> {
    let mut files = super::files("crates/zegclip-codecs/tests/data", "mat");
    let inflated: Vec<Vec<u8>> = files.iter().filter_map(|file| inflate(file)).collect();
    files.extend(inflated);
    files
}

/// A file whose first compressed variable is stored plainly.
fn inflate(file: &[u8]) -> Option<Vec<u8>> {
    use std::io::Read;
    let (header, rest) = file.split_at_checked(128)?;
    let mut plain = header.to_vec();
    flate2::read::ZlibDecoder::new(rest.get(8..)?)
        .read_to_end(&mut plain)
        .ok()?;
    Some(plain)
}

/// A file whose variables are stored in one compressed element.
pub(crate) fn deflate(file: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let (header, rest) = file.split_at(file.len().min(128));
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    let compressed = encoder
        .write_all(rest)
        .and_then(|()| encoder.finish())
        .unwrap_or_default();
    [
        header,
        &15_u32.to_le_bytes(),
        &(compressed.len() as u32).to_le_bytes(),
        &compressed,
    ]
    .concat()
}

/// NumPy files of each version and type.
pub(crate) fn npy() -> Vec<Vec<u8>> {
    let file = |version: u8, kind: &str, shape: &str, bytes: usize| {
        let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let length = header.len() as u32;
        let length = if version == 1 {
            length.to_le_bytes()[..2].to_vec()
        } else {
            length.to_le_bytes().to_vec()
        };
        [
            &b"\x93NUMPY"[..],
            &[version, 0],
            &length,
            header.as_bytes(),
            &vec![0x3c; bytes],
        ]
        .concat()
    };
    vec![
        file(1, "<f4", "(2, 3)", 24),
        file(1, "<f2", "(2, 3)", 12),
        file(2, "<f8", "(1, 2)", 16),
        file(3, "<f4", "(6,)", 24),
        file(1, "|O", "(2, 3)", 24),
        file(1, "<f4", "(0, 3)", 0),
    ]
}

pub(crate) const JPEG_TOKENS: [&[u8]; 16] = [
    b"\xff\xd8",
    b"\xff\xd9",
    b"\xff\xc0",
    b"\xff\xc2",
    b"\xff\xc4",
    b"\xff\xdb",
    b"\xff\xda",
    b"\xff\xdd\0\x04\0\x01",
    b"\xff\xd0",
    b"\xff\xd7",
    b"\xff\0",
    b"\xff\xda\0\x08\x01\x01\0\0\x3f\0",
    b"\xff\xda\0\x08\x01\x01\0\x01\x3f\x10",
    b"\xff\xee\0\x0eAdobe\0d\0\0\0\0\x02",
    b"\xff\xe1\0\x08Exif\0\0",
    b"\x03\x01\x11\0\x02\x11\x01\x03\x11\x01",
];

pub(crate) const IMAGE_TOKENS: [&[u8]; 16] = [
    b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT", b"eXIf", b"GIF89a", b"BM", b"II*\0",
    b"MM\0*", b"VP8X", b"VP8L", b"ALPH",
];

pub(crate) const MAT5_TOKENS: [&[u8]; 10] = [
    b"\x0e\0\0\0",
    b"\x0f\0\0\0",
    b"\x02\0\x04\0",
    b"\x01\0\x05\0",
    b"\x05\0\x04\0\x20\0\0\0",
    b"\x06\0\0\0\x08\0\0\0",
    b"GTcls",
    b"Segmentation",
    b"LabelMap",
    b"\x07\0\0\0",
];

pub(crate) const NPY_TOKENS: [&[u8]; 9] = [
    b"'descr'",
    b"'fortran_order'",
    b"'shape'",
    b"True",
    b"False",
    b"(",
    b",)",
    b"'<f2'",
    b"(18446744073709551615, 0)",
];
