//! What the tests on real data share: where it lies, and copies of it to break.
#![allow(dead_code, reason = "each test uses a part")]

use std::path::{Path, PathBuf};

/// 8 + 10 images with both encodings of their labels.
pub(crate) fn coco() -> PathBuf {
    test_support::data("coco-mini")
}

/// Label files of VOC, without images.
pub(crate) fn voc() -> PathBuf {
    test_support::data("voc-mini")
}

/// Copies `file` below `from` to the same place below `to`.
pub(crate) fn copy(from: &Path, to: &Path, file: &str) {
    let target = to.join(file);
    std::fs::create_dir_all(target.parent().unwrap()).unwrap();
    std::fs::write(target, std::fs::read(from.join(file)).unwrap()).unwrap();
}

/// Writes a file and the folders that lead to it.
pub(crate) fn write(root: &Path, file: &str, contents: impl AsRef<[u8]>) {
    let path = root.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, contents).unwrap();
}

/// A PNG of any kind.
pub(crate) fn png(size: (u32, u32), color: png::ColorType, depth: png::BitDepth, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, size.0, size.1);
    encoder.set_color(color);
    encoder.set_depth(depth);
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    bytes
}

/// An 8-bit gray PNG.
pub(crate) fn gray_png(size: (u32, u32), values: &[u8]) -> Vec<u8> {
    png(size, png::ColorType::Grayscale, png::BitDepth::Eight, values)
}

/// A JPEG of one color.
pub(crate) fn jpeg(size: (u32, u32)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let image = zegclip_data::RgbImage::from_pixel(size.0, size.1, image::Rgb([90, 120, 60]));
    image::codecs::jpeg::JpegEncoder::new(&mut bytes)
        .encode_image(&image)
        .unwrap();
    bytes
}
