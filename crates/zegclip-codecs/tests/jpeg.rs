//! JPEG files of many kinds against OpenCV, and damaged ones.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use zegclip_codecs::jpeg::{JpegDecoder, JpegError, RgbPixels};
use zegclip_foundation::RandomStream;

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

/// The positions of a marker, outside of entropy-coded data.
fn markers(bytes: &[u8], marker: u8) -> Vec<usize> {
    let pairs = bytes.windows(2).enumerate();
    pairs
        .filter(|(_, pair)| *pair == [0xFF, marker])
        .map(|(position, _)| position)
        .collect()
}

/// The file without its segments of a marker.
fn without(mut bytes: Vec<u8>, marker: u8) -> Vec<u8> {
    while let Some(start) = markers(&bytes, marker).first().copied() {
        let length = usize::from(u16::from_be_bytes([bytes[start + 2], bytes[start + 3]]));
        bytes.drain(start..start + 2 + length);
    }
    bytes
}

#[test]
fn an_image_is_complete_when_all_its_coefficients_have_come() {
    let mut progressive = 0;
    for (name, bytes) in files() {
        let whole = decode(&bytes).unwrap();
        assert_eq!(bytes[bytes.len() - 2..], [0xFF, 0xD9], "{name}");
        for cut in [1, 2] {
            assert_eq!(
                decode(&bytes[..bytes.len() - cut]),
                Ok(whole.clone()),
                "{name} without {cut} bytes"
            );
        }
        if markers(&bytes, 0xC2).is_empty() {
            continue;
        }
        progressive += 1;
        let scans = markers(&bytes, 0xDA);
        for scan in scans.iter().skip(1) {
            assert_eq!(
                decode(&bytes[..*scan]),
                Err(JpegError::Truncated),
                "{name} without its last scans"
            );
        }
        // The last byte may be padding alone.
        for length in scans.last().unwrap() + 2..bytes.len() - 4 {
            assert!(decode(&bytes[..length]).is_err(), "{name} cut to {length}");
        }
        // The other scans come after the end, where nothing is read.
        let mut early = bytes.clone();
        early.splice(scans[1]..scans[1], [0xFF, 0xD9]);
        assert!(decode(&early).is_ok(), "{name}");
    }
    assert_eq!(progressive, 7);
}

#[test]
fn a_sequential_file_may_leave_out_the_tables_of_the_standard() {
    let mut compared = 0;
    for (name, bytes) in files() {
        let bare = without(bytes.clone(), 0xC4);
        if !markers(&bytes, 0xC2).is_empty() {
            assert_eq!(
                decode(&bare),
                Err(JpegError::MissingTable { kind: "Huffman" }),
                "{name}"
            );
        } else if bytes.windows(20).any(|bytes| {
            bytes
                == [
                    0xA1, 8, 0x23, 0x42, 0xB1, 0xC1, 0x15, 0x52, 0xD1, 0xF0, 0x24, 0x33, 0x62, 0x72, 0x82, 9, 10, 0x16,
                    0x17, 0x18,
                ]
        }) {
            assert_eq!(decode(&bare), decode(&bytes), "{name}");
            compared += 1;
        }
    }
    assert!(compared > 5, "{compared}");
}

#[test]
fn what_surrounds_an_image_does_not_matter() {
    for (name, bytes) in files() {
        let whole = decode(&bytes).unwrap();
        let mut garbage = bytes.clone();
        garbage.extend([0, 1, 2, 0xFF, 0xDA, 0xFF, 0xC0, 0xFF]);
        assert_eq!(decode(&garbage), Ok(whole.clone()), "{name} with garbage");
        let mut second = bytes.clone();
        second.extend(&bytes);
        assert_eq!(decode(&second), Ok(whole.clone()), "{name} before another image");
        // Without the end of the first image.
        second.drain(bytes.len() - 2..bytes.len());
        assert_eq!(
            decode(&second),
            Ok(whole.clone()),
            "{name} before another image, unended"
        );
        let started = [&bytes[..2], &bytes].concat();
        assert_eq!(decode(&started), Ok(whole.clone()), "{name} begun twice");
        // A thumbnail in a segment.
        let mut segment = vec![0xFF, 0xEC];
        segment.extend((bytes.len() as u16 + 2).to_be_bytes());
        segment.extend(&bytes);
        let mut held = bytes.clone();
        held.splice(2..2, segment);
        assert_eq!(decode(&held), Ok(whole.clone()), "{name} with a thumbnail");
        let mut filled = bytes.clone();
        for marker in [0xDB, 0xC4, 0xDA, 0xD9, 0xD0, 0xD3] {
            for position in markers(&filled, marker).into_iter().rev() {
                filled.splice(position..position, [0xFF, 0xFF]);
            }
        }
        assert_eq!(decode(&filled), Ok(whole.clone()), "{name} with fill bytes");
        // A restart marker after the last unit.
        if let Some(end) = bytes.len().checked_sub(2).filter(|_| name.starts_with("restart")) {
            let mut marked = bytes.clone();
            marked.splice(end..end, [0xFF, 0xD0]);
            assert_eq!(decode(&marked), Ok(whole), "{name} with another marker");
        }
    }
}

#[test]
fn fill_bytes_before_a_stuffed_zero_are_data() {
    let mut changed = 0;
    for (name, bytes) in files() {
        let mut filled = bytes.clone();
        let start = markers(&bytes, 0xDA)[0];
        for position in markers(&filled, 0)
            .into_iter()
            .rev()
            .filter(|position| *position > start + 14)
        {
            filled.insert(position, 0xFF);
            changed += 1;
        }
        assert_eq!(decode(&filled), decode(&bytes), "{name}");
    }
    assert!(changed > 0);
}

#[test]
fn no_damage_makes_it_panic() {
    let mut stream = RandomStream::from_key([1]);
    let mut random = |bound: usize| stream.below(bound as u64) as usize;
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

/// A gray progressive image of `side` pixels with scans that are one run of empty blocks each: ten bytes for all blocks.
fn of_empty_scans(side: u16, scans: usize) -> Vec<u8> {
    let blocks = usize::from(side / 8).pow(2);
    let mut bits: Vec<bool> = Vec::new();
    for _ in 0..blocks.div_ceil(32_767) {
        // The only code, and the longest run.
        bits.push(false);
        bits.extend([true; 14]);
    }
    bits.resize(bits.len().next_multiple_of(8), true);
    let mut data = Vec::new();
    for bits in bits.chunks(8) {
        let byte = bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
        data.push(byte);
        if byte == 0xFF {
            data.push(0);
        }
    }
    let [high, low] = side.to_be_bytes();
    let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xDB, 0, 67, 0];
    bytes.extend([1; 64]);
    bytes.extend([0xFF, 0xC2, 0, 11, 8, high, low, high, low, 1, 1, 0x11, 0]);
    bytes.extend([0xFF, 0xC4, 0, 20, 0x10, 1]);
    bytes.extend([0; 15]);
    bytes.push(0xE0);
    for _ in 0..scans {
        bytes.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 1, 63, 0]);
        bytes.extend(&data);
    }
    bytes.extend([0xFF, 0xD9]);
    bytes
}

#[test]
fn work_of_scans_is_bounded_by_the_image() {
    let decode = |side, scans| {
        let bytes = of_empty_scans(side, scans);
        JpegDecoder::new(&bytes)
            .unwrap()
            .decode(u64::MAX)
            .map(|image| image.width)
    };
    assert_eq!(decode(2048, 40), Ok(2048));
    assert_eq!(decode(2048, 41), Err(JpegError::TooManyScans));
    // Small images may have as many scans as any.
    assert_eq!(decode(64, 500), Ok(64));
    // A component that a scan names often counts as often.
    let mut bytes = of_empty_scans(2048, 1);
    let start = bytes.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    let members = [1, 0].repeat(100);
    let scan = [&[0xFF, 0xDA, 0, 206, 100][..], &members, &[0, 0, 0]].concat();
    bytes.splice(start..start + 10, scan);
    assert_eq!(
        JpegDecoder::new(&bytes).unwrap().decode(u64::MAX).unwrap_err(),
        JpegError::TooManyScans
    );
}
