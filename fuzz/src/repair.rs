//! Checksums and lengths of a changed input, made right again so that it is not refused before the interesting code.

/// Stores the CRC-32 of every chunk of a PNG file.
pub(crate) fn png(bytes: &mut [u8]) {
    let mut at = 8;
    while let Some(length) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let length = u32::from_be_bytes(*length) as usize;
        let (Some(start), Some(end)) = (
            at.checked_add(4),
            at.checked_add(8).and_then(|start| start.checked_add(length)),
        ) else {
            return;
        };
        let Some(content) = bytes.get(start..end) else { return };
        let checksum = crc32(content).to_be_bytes();
        if let Some(stored) = bytes.get_mut(end..end + 4) {
            stored.copy_from_slice(&checksum);
        }
        at = end + 4;
    }
}

/// Stores the CRC-32 of every stored entry of a zip archive in its directory.
pub(crate) fn zip(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = bytes
        .get(at..)
        .and_then(|rest| rest.windows(4).position(|four| four == b"PK\x01\x02"))
    {
        let entry = at + found;
        at = entry + 4;
        let (Some(length), Some(local)) = (u32_at(bytes, entry + 20), u32_at(bytes, entry + 42)) else {
            return;
        };
        let (Some(name), Some(extra)) = (u16_at(bytes, local + 26), u16_at(bytes, local + 28)) else {
            continue;
        };
        let start = local + 30 + name + extra;
        let Some(content) = bytes.get(start..start.saturating_add(length)) else {
            continue;
        };
        let checksum = crc32(content).to_le_bytes();
        for place in [entry + 16, local + 14] {
            if let Some(stored) = bytes.get_mut(place..place + 4) {
                stored.copy_from_slice(&checksum);
            }
        }
    }
}

/// Stores the length of the JSON header of a safetensors file: up to the last brace.
pub(crate) fn safetensors(bytes: &mut [u8]) {
    let end = bytes.iter().rposition(|byte| *byte == b'}').map(|end| end + 1);
    if let Some((stored, length)) = bytes.first_chunk_mut::<8>().zip(end.and_then(|end| end.checked_sub(8))) {
        *stored = (length as u64).to_le_bytes();
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|bytes| u32::from_le_bytes(*bytes) as usize)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|bytes| u16::from_le_bytes(*bytes) as usize)
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut checksum = flate2::Crc::new();
    checksum.update(bytes);
    checksum.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_png_is_read_again() {
        let mut bytes = zegclip_data::encode_png(&zegclip_data::RgbImage::new(3, 2)).unwrap();
        // The height, in the first chunk.
        bytes[23] = 1;
        let decode = |bytes: &[u8]| zegclip_data::decode_image(bytes, "a", &zegclip_data::ImageLimits::default());
        assert!(decode(&bytes).is_err());
        png(&mut bytes);
        assert_eq!(decode(&bytes).unwrap().dimensions(), (3, 1));
    }
}
