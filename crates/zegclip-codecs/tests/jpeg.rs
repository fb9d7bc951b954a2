//! JPEG files of many kinds against OpenCV, and damaged ones.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use zegclip_codecs::jpeg::{JpegDecoder, JpegError, RgbPixels};

const MAX_PIXELS: u64 = 1_000_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images")
}

fn decode(bytes: &[u8]) -> Result<RgbPixels, JpegError> {
    JpegDecoder::new(bytes)?.decode(MAX_PIXELS)
}

fn files() -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let images = files.filter(|path| path.extension().is_some_and(|extension| extension == "jpg"));
    images
        .map(|path| {
            (
                path.file_name().unwrap().to_str().unwrap().to_owned(),
                std::fs::read(&path).unwrap(),
            )
        })
        .collect()
}

#[test]
fn every_kind_equals_libjpeg_turbo() {
    let file = std::fs::read(folder().join("opencv.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&file).unwrap();
    assert_eq!((expected.len(), files().len()), (19, 19));
    for (name, bytes) in files() {
        let image = decode(&bytes).unwrap();
        let expected = expected.tensor(&name).unwrap();
        assert_eq!(
            [image.height as usize, image.width as usize, 3],
            expected.shape(),
            "{name}"
        );
        assert!(image.pixels == expected.data(), "{name}");
    }
}

#[test]
fn unsupported_and_invalid_files_are_refused_by_name() {
    let bytes = std::fs::read(folder().join("444.jpg")).unwrap();
    let frame = bytes.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    let changed = |offset: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[frame + offset] = value;
        decode(&bytes).unwrap_err()
    };
    for (marker, name) in [
        (0xC9, "arithmetically coded"),
        (0xC3, "lossless"),
        (0xC5, "hierarchical"),
    ] {
        assert_eq!(changed(1, marker), JpegError::UnsupportedProcess { process: name });
    }
    assert_eq!(changed(4, 12), JpegError::SamplePrecision { bits: 12 });
    assert_eq!(changed(11, 0x00), JpegError::SamplingFactor);
    assert_eq!(decode(&bytes[..frame]).unwrap_err(), JpegError::Truncated);
    assert_eq!(decode(b"").unwrap_err(), JpegError::Truncated);
    let mut empty = bytes.clone();
    empty[frame + 5..frame + 7].fill(0);
    assert_eq!(
        decode(&empty).unwrap_err(),
        JpegError::NoPixels { width: 33, height: 0 }
    );
}

#[test]
fn the_pixel_limit_is_exact() {
    let bytes = std::fs::read(folder().join("444.jpg")).unwrap();
    let decode = |max_pixels| JpegDecoder::new(&bytes).unwrap().decode(max_pixels);
    assert!(decode(33 * 47).is_ok());
    assert_eq!(
        decode(33 * 47 - 1).unwrap_err().to_string(),
        "it has 33×47 pixels, more than the limit of 1550"
    );
}

#[test]
fn scans_without_end_are_refused() {
    let mut bytes = std::fs::read(folder().join("420-progressive.jpg")).unwrap();
    // The scan that refines DC coefficients takes a bit a block, whatever was read before.
    let scans = |bytes: &[u8]| {
        let starts = bytes
            .windows(2)
            .enumerate()
            .filter(|(_, marker)| *marker == [0xFF, 0xDA]);
        starts.map(|(position, _)| position).collect::<Vec<_>>()
    };
    let parameters = |start: usize| &bytes[start + 5 + 2 * usize::from(bytes[start + 4])..][..3];
    let is_refinement = |start: &usize| parameters(*start)[..2] == [0, 0] && parameters(*start)[2] >> 4 > 0;
    let start = scans(&bytes).into_iter().find(is_refinement).unwrap();
    let length = bytes[start + 2..]
        .windows(2)
        .position(|marker| marker[0] == 0xFF && marker[1] > 0);
    let scan = bytes[start..start + 2 + length.unwrap()].to_vec();
    bytes.truncate(bytes.len() - 2);
    for _ in 0..600 {
        bytes.extend(&scan);
    }
    bytes.extend([0xFF, 0xD9]);
    assert_eq!(decode(&bytes).unwrap_err(), JpegError::TooManyScans);
}

#[test]
fn every_truncation_is_an_error() {
    for (name, bytes) in files() {
        for length in (0..bytes.len() * 3 / 4).step_by(7) {
            assert!(
                decode(&bytes[..length]).is_err(),
                "{name} cut to {length} of {} bytes",
                bytes.len()
            );
        }
    }
}

#[test]
fn no_damage_makes_it_panic() {
    let mut state = 1u64;
    let mut random = |bound: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    let mut decoded = 0;
    for (_, bytes) in files() {
        for _ in 0..120 {
            let mut damaged = bytes.clone();
            for _ in 0..1 + random(4) {
                let position = random(damaged.len());
                damaged[position] = random(256) as u8;
            }
            decoded += usize::from(decode(&damaged).is_ok());
        }
    }
    assert!(decoded > 0);
}
