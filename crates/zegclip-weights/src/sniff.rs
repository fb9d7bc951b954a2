//! Detection of the container by the first bytes of a file. The file's name is not used.

use crate::safetensors::LENGTH;
use crate::source::Source;
use crate::{ForeignFile, WeightError};

/// A container of tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    TorchZip,
    TorchLegacy,
    Safetensors,
    ShardIndex,
}

/// Bytes that decide.
const HEAD: usize = 1024;
/// Offset of a tar archive's signature.
const TAR: usize = 257;
/// Bytes shown of an unknown file.
const SHOWN: usize = 8;

/// First bytes of files that are passed by mistake.
const FOREIGN: [(&[u8], ForeignFile); 16] = [
    (b"version https://git-lfs", ForeignFile::GitLfsPointer),
    (b"<!DOCTYPE", ForeignFile::WebPage),
    (b"<!doctype", ForeignFile::WebPage),
    (b"<html", ForeignFile::WebPage),
    (b"<?xml", ForeignFile::Xml),
    (b"\x93NUMPY", ForeignFile::NumpyArray),
    (b"\x89PNG", ForeignFile::Png),
    (b"\xff\xd8\xff", ForeignFile::Jpeg),
    (b"GIF8", ForeignFile::Gif),
    (b"RIFF", ForeignFile::Riff),
    (b"%PDF", ForeignFile::Pdf),
    (b"\x1f\x8b", ForeignFile::Gzip),
    (b"7z\xbc\xaf", ForeignFile::SevenZip),
    (b"\xfd7zXZ", ForeignFile::Xz),
    (b"GGUF", ForeignFile::Gguf),
    (b"\x89HDF", ForeignFile::Hdf5),
];

pub(crate) fn sniff(source: &Source) -> Result<Container, WeightError> {
    let bytes = source.bytes();
    let head = bytes.get(..HEAD).unwrap_or(bytes);
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Ok(Container::TorchZip);
    }
    // Before pickles: a header of 640 bytes begins with the bytes 0x80 and 2, too.
    if is_safetensors(head) {
        return Ok(Container::Safetensors);
    }
    if let [0x80, 0..=5, ..] = head {
        return Ok(Container::TorchLegacy);
    }
    if head.trim_ascii_start().starts_with(b"{") {
        return Ok(Container::ShardIndex);
    }
    if let Some(found) = foreign(head) {
        return Err(WeightError::NotWeights {
            path: source.path().to_owned(),
            found,
        });
    }
    let start: Vec<String> = head.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    Err(WeightError::UnknownFormat {
        path: source.path().to_owned(),
        start: start.join(" "),
    })
}

/// What a file with these first bytes is, if it is a known kind of file without weights.
fn foreign(head: &[u8]) -> Option<ForeignFile> {
    let known = FOREIGN
        .iter()
        .find(|(start, _)| head.trim_ascii_start().starts_with(start));
    if let Some((_, found)) = known {
        Some(*found)
    } else if head.get(TAR..).is_some_and(|rest| rest.starts_with(b"ustar")) {
        Some(ForeignFile::Tar)
    } else if is_onnx(head) {
        Some(ForeignFile::Onnx)
    } else if head.iter().all(|byte| *byte == 0) {
        Some(ForeignFile::Zeros)
    } else {
        is_text(head).then_some(ForeignFile::Text)
    }
}

/// A header length of a possible size, then JSON.
fn is_safetensors(head: &[u8]) -> bool {
    /// The crate's own limit.
    const MAX_HEADER: u64 = 100_000_000;
    let length = head.first_chunk::<LENGTH>().map(|bytes| u64::from_le_bytes(*bytes));
    length.is_some_and(|length| (2..=MAX_HEADER).contains(&length)) && head.get(LENGTH) == Some(&b'{')
}

/// A protobuf message whose first field is a small `ir_version`, followed by the producer, the graph or the operator set.
fn is_onnx(head: &[u8]) -> bool {
    matches!(head, [0x08, 1..=20, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42, ..])
}

fn is_text(head: &[u8]) -> bool {
    let valid = std::str::from_utf8(head).map_or_else(|error| error.valid_up_to(), |text| text.len());
    // The last character may be cut in the middle.
    valid + 4 > head.len() && head.iter().all(|byte| *byte >= b' ' || byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn sniffed(bytes: &[u8]) -> Result<Container, String> {
        let source = Source::from_memory(Path::new("w"), bytes.to_vec().into()).unwrap();
        sniff(&source).map_err(|error| error.to_string())
    }

    #[test]
    fn containers_are_known_by_content() {
        assert_eq!(sniffed(b"PK\x03\x04...."), Ok(Container::TorchZip));
        assert_eq!(sniffed(b"\x80\x02\x8a\x0al"), Ok(Container::TorchLegacy));
        assert_eq!(sniffed(b"\x02\0\0\0\0\0\0\0{}"), Ok(Container::Safetensors));
        assert_eq!(sniffed(b"\x80\x02\0\0\0\0\0\0{}"), Ok(Container::Safetensors));
        assert_eq!(sniffed(b"\n {\"weight_map\": {}}"), Ok(Container::ShardIndex));
    }

    #[test]
    fn foreign_files_are_named() {
        let mut tar = vec![b'x'; 600];
        tar[257..262].copy_from_slice(b"ustar");
        for (bytes, found) in [
            (
                &b"version https://git-lfs.github.com/spec/v1\noid sha256:1"[..],
                "`w` is not a weight file but a pointer of Git LFS",
            ),
            (
                b"\n<!DOCTYPE html><title>404</title>",
                "`w` is not a weight file but a web page",
            ),
            (b"\x08\x07\x12\x07pytorch", "`w` is not a weight file but an ONNX model"),
            (
                b"\xff\xd8\xff\xe0\0\x10JFIF",
                "`w` is not a weight file but a JPEG image",
            ),
            (b"Gr\xc3\xbc\xc3\x9fe\n", "`w` is not a weight file but text"),
            (&[0; 2000], "`w` is not a weight file but bytes of zero"),
            (&tar, "`w` is not a weight file but a tar archive"),
            (
                b"\xde\xad\xbe\xef\x01\x02\x03\x04\x05",
                "(it starts with the bytes de ad be ef 01 02 03 04)",
            ),
        ] {
            let message = sniffed(bytes).unwrap_err();
            assert!(message.contains(found), "{message}");
        }
    }
}
