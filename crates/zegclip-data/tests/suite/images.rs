//! Decoding of every supported format against OpenCV, and what happens with files that are none.

use std::path::{Path, PathBuf};

use image::RgbImage;
use safetensors::SafeTensors;
use zegclip_data::{DataError, ImageLimits, decode_image, read_image, read_image_size};
use zegclip_foundation::RandomStream;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images")
}

fn read(name: &str) -> RgbImage {
    read_image(&folder().join(name), &ImageLimits::default()).unwrap()
}

fn problem(bytes: &[u8]) -> String {
    decode_image(bytes, "`a.jpg`", &ImageLimits::default())
        .unwrap_err()
        .to_string()
}

#[test]
fn every_format_equals_opencv() {
    let file = std::fs::read(folder().join("opencv.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&file).unwrap();
    assert_eq!(expected.len(), 26);
    for (name, expected) in expected.tensors() {
        let image = read(&name);
        let (width, height) = image.dimensions();
        assert_eq!([height as usize, width as usize, 3], expected.shape(), "{name}");
        assert_eq!(
            read_image_size(&folder().join(&name), &ImageLimits::default()).unwrap(),
            (width, height)
        );
        let differences = image.as_raw().iter().zip(expected.data()).map(|(a, b)| a.abs_diff(*b));
        // OpenCV rounds TIFF's 16 bits where it cuts those of PNG.
        let tolerance = u8::from(name == "rgb16.tiff");
        assert!(differences.max() <= Some(tolerance), "{name}");
    }
}

#[test]
fn orientation_is_applied_in_every_format_that_has_it() {
    let upright = read("exif-6.png");
    assert_eq!(upright.dimensions(), (13, 19));
    assert_eq!(read("exif-6.tiff"), upright);
    assert_eq!(read("exif-6.webp"), upright);
    assert_eq!(image::imageops::rotate90(&read("exif-1.jpg")), read("exif-6.jpg"));
    assert_eq!(
        image::imageops::flip_horizontal(&read("exif-1.jpg")),
        read("exif-2.jpg")
    );
}

#[test]
fn content_decides_about_the_format() {
    let temporary = tempfile::tempdir().unwrap();
    let renamed = temporary.path().join("photo.jpg");
    std::fs::copy(folder().join("gray.png"), &renamed).unwrap();
    assert_eq!(read_image(&renamed, &ImageLimits::default()).unwrap(), read("gray.png"));

    std::fs::write(&renamed, "this is a text about pictures").unwrap();
    let error = read_image(&renamed, &ImageLimits::default()).unwrap_err().to_string();
    assert!(
        error.contains("photo.jpg` is not a PNG, JPEG, WebP, BMP, TIFF or GIF image but text"),
        "{error}"
    );
    assert!(problem(b"\0\0\0\x18ftypavif....").contains("Avif"));
    assert!(problem(&[1, 2, 3, 0]).contains("of no known image format"));
}

#[test]
fn empty_files_and_images_are_named() {
    assert_eq!(problem(b""), "`a.jpg` is empty (0 bytes)");
    let mut png = std::fs::read(folder().join("gray.png")).unwrap();
    png[16..20].fill(0);
    assert_eq!(problem(&png), "`a.jpg` is empty (0×13 pixels)");
    let mut jpeg = std::fs::read(folder().join("exif-1.jpg")).unwrap();
    let frame = jpeg.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 7].fill(0);
    assert_eq!(problem(&jpeg), "`a.jpg` is empty (19×0 pixels)");
}

#[test]
fn a_huge_picture_is_refused_by_its_header() {
    let side = 20_000u32.to_be_bytes();
    let mut png = std::fs::read(folder().join("gray.png")).unwrap();
    png[16..20].copy_from_slice(&side);
    png[20..24].copy_from_slice(&side);
    let mut jpeg = std::fs::read(folder().join("exif-1.jpg")).unwrap();
    let frame = jpeg.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 7].copy_from_slice(&side[2..]);
    jpeg[frame + 7..frame + 9].copy_from_slice(&side[2..]);
    for bytes in [png, jpeg] {
        let error = problem(&bytes);
        assert!(
            error.starts_with("`a.jpg` is too large: 20000×20000 pixels, where at most 16384 a side"),
            "{error}"
        );
    }
}

#[test]
fn damaged_jpeg_is_named_with_its_problem() {
    let mut bytes = std::fs::read(folder().join("exif-1.jpg")).unwrap();
    let frame = bytes.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    assert_eq!(
        problem(&bytes[..frame]),
        "`a.jpg` cannot be decoded: the file ends before the image does"
    );
    bytes[frame + 1] = 0xC9;
    assert_eq!(
        problem(&bytes),
        "`a.jpg` cannot be decoded: it is arithmetically coded JPEG, which is not supported"
    );
}

#[test]
fn limits_can_be_changed() {
    let path = folder().join("exif-1.jpg");
    let limits = ImageLimits::default();
    let refused = |limits| matches!(read_image(&path, &limits), Err(DataError::ImageTooLarge { .. }));
    assert!(!refused(ImageLimits {
        max_side: 19,
        max_pixels: 19 * 13,
        max_bytes: 2_000
    }));
    assert!(refused(ImageLimits { max_side: 18, ..limits }));
    assert!(refused(ImageLimits {
        max_pixels: 19 * 13 - 1,
        ..limits
    }));
    assert!(refused(ImageLimits {
        max_bytes: 700,
        ..limits
    }));
}

#[test]
fn every_truncation_is_an_error() {
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_image = ["jpg", "png", "webp", "gif", "bmp", "tiff"]
            .iter()
            .any(|extension| name.ends_with(extension));
        // Of an animation only the first frame is needed, which is whole half-way.
        if !is_image || name == "animation.gif" {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for length in (0..bytes.len() * 3 / 4).step_by(7) {
            let result = decode_image(&bytes[..length], "`cut`", &ImageLimits::default());
            let error = result
                .err()
                .unwrap_or_else(|| panic!("{name} cut to {length} of {} bytes", bytes.len()));
            assert!(
                error.to_string().starts_with("`cut` ") && !error.to_string().contains('\n'),
                "{error}"
            );
        }
    }
}

#[test]
fn no_damage_makes_it_panic() {
    let mut stream = RandomStream::from_key([1]);
    let mut random = |bound: usize| stream.below(bound as u64) as usize;
    let limits = ImageLimits {
        max_side: 2_000,
        max_pixels: 1_000_000,
        ..ImageLimits::default()
    };
    let mut read = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for _ in 0..60 {
            let mut damaged = bytes.clone();
            for _ in 0..1 + random(4) {
                let position = random(damaged.len());
                damaged[position] = random(256) as u8;
            }
            read += usize::from(decode_image(&damaged, "`damaged`", &limits).is_ok());
        }
    }
    assert!(read > 0);
}
