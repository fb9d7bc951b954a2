//! Damaged files: an error or the right content, never a panic.

use std::collections::HashMap;

use super::support::*;
use crate::{WeightError, WeightFile};

/// Opens and reads all tensors, and compares them with those of the sound file.
fn read_all(
    bytes: Vec<u8>,
    sound: Option<&HashMap<String, Vec<u32>>>,
) -> Result<HashMap<String, Vec<u32>>, WeightError> {
    let file = open(bytes)?;
    file.describe();
    let mut tensors = HashMap::new();
    for name in file.names() {
        let (_, values) = file.tensor_f32(name)?;
        let bits: Vec<u32> = values.iter().map(|value| value.to_bits()).collect();
        tensors.insert(name.to_owned(), bits);
    }
    if let Some(sound) = sound {
        assert!(tensors == *sound, "damage went unnoticed");
    }
    Ok(tensors)
}

/// Files, and whether their format has checksums for tensors.
fn files() -> Vec<(Vec<u8>, bool)> {
    let mut files = vec![(read(&a_checkpoint()), true)];
    let (folder, case) = cases_with("files").swap_remove(0);
    for (format, checked) in [("openai", true), ("open_clip", false), ("hugging_face", false)] {
        files.push((read(&folder.join(case["files"][format].as_str().unwrap())), checked));
    }
    files
}

#[test]
fn truncated_files_are_refused() {
    let mut random = random_places(1);
    for (bytes, _) in files() {
        let mut lengths: Vec<usize> = (0..64).map(|_| random(bytes.len())).collect();
        lengths.extend((1..32).chain(bytes.len() - 32..bytes.len()));
        for length in lengths {
            message(open(bytes[..length.max(1)].to_vec()));
        }
    }
}

#[test]
fn flipped_bits_are_noticed_where_there_is_a_checksum() {
    let mut random = random_places(2);
    for (bytes, checked) in files() {
        let sound = read_all(bytes.clone(), None).unwrap();
        let mut noticed = 0;
        for _ in 0..24 {
            let mut damaged = bytes.clone();
            let place = random(damaged.len());
            damaged[place] ^= 1 << random(8);
            noticed += usize::from(read_all(damaged, checked.then_some(&sound)).is_err());
        }
        assert!(!checked || noticed > 12, "{noticed}");
    }
}

#[test]
fn a_flipped_bit_in_a_tensor_names_the_entry() {
    let mut bytes = read(&a_checkpoint());
    let file = open(bytes.clone()).unwrap();
    let name = "decode_head.q_proj.bias";
    let (_, values) = file.tensor_f32(name).unwrap();
    let needle = bytes_of(&values);
    let place = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
    bytes[place + 1] ^= 0x10;
    let damaged = open(bytes).unwrap();
    let error = damaged.tensor_f32(name).unwrap_err();
    assert!(
        matches!(&error, WeightError::Checksum { entry, .. } if entry.starts_with("data/")),
        "{error}"
    );
    assert!(damaged.tensor_f32("decode_head.q_proj.weight").is_ok());
}

#[test]
fn entries_that_overlap_or_lie_outside_are_refused() {
    let archive = zip_archive(&[("a/data.pkl", b"N."), ("a/data/0", &[7; 40]), ("a/data/1", &[8; 40])]);
    let central: Vec<usize> = (0..archive.len())
        .filter(|at| archive[*at..].starts_with(b"PK\x01\x02"))
        .collect();
    let with = |entry: usize, field: usize, value: [u8; 4]| {
        let mut damaged = archive.clone();
        damaged[central[entry] + field..][..4].copy_from_slice(&value);
        message(open(damaged))
    };
    let place_of_first = <[u8; 4]>::try_from(&archive[central[1] + 42..][..4]).unwrap();
    assert!(with(2, 42, place_of_first).contains("overlap"));
    let (compressed_size, size) = (20, 24);
    assert!(with(2, compressed_size, 0xffff_fff0u32.to_le_bytes()).contains("`a/data/1` is outside the file"));
    assert!(with(0, size, 3u32.to_le_bytes()).contains("its entry `data.pkl` is compressed"));
    assert!(with(1, 42, 0x7fff_ffffu32.to_le_bytes()).contains("is damaged"));
}

#[test]
fn headers_with_random_bytes_never_panic() {
    let mut random = random_places(3);
    for (bytes, _) in files() {
        // Safetensors have their header at the beginning, zips their directory at the end.
        for _ in 0..60 {
            let mut damaged = bytes.clone();
            let length = damaged.len();
            for _ in 0..1 + random(6) {
                let near = random(length.min(8192));
                let place = if random(2) == 0 { near } else { length - 1 - near };
                damaged[place] = random(256) as u8;
            }
            if let Ok(file) = open(damaged) {
                file.describe();
            }
        }
    }
}

#[test]
fn damaged_pickles_never_panic() {
    let archive = read(&a_checkpoint());
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(&archive[..])).unwrap();
    let name = zip
        .file_names()
        .find(|name| name.ends_with("/data.pkl"))
        .unwrap()
        .to_owned();
    let mut description = Vec::new();
    std::io::copy(&mut zip.by_name(&name).unwrap(), &mut description).unwrap();
    let mut random = random_places(4);
    for round in 0..3000 {
        let mut damaged = description.clone();
        if round % 3 == 0 {
            damaged.truncate(random(description.len()));
        }
        for _ in 0..1 + random(4) {
            if !damaged.is_empty() {
                let place = random(damaged.len());
                damaged[place] = random(256) as u8;
            }
        }
        // A new archive, so that its checksum is right and the pickle is looked at.
        if let Ok(file) = open_pickle(&damaged, &[0; 64]) {
            read_everything(&file);
        }
    }
}

fn read_everything(file: &WeightFile) {
    for name in file.names() {
        _ = file.tensor_f32(name);
    }
    file.describe();
}
