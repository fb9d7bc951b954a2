//! What a file is, by its first bytes; its name plays no part.

use crate::WeightError;
use crate::safetensors::LENGTH;
use crate::source::Source;

/// A container of tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    TorchZip,
    TorchLegacy,
    Safetensors,
    ShardIndex,
}

/// Bytes looked at.
const HEAD: usize = 1024;
/// Where a tar archive says that it is one.
const TAR: usize = 257;
/// Bytes shown of a file that is nothing known.
const SHOWN: usize = 8;

const AGAIN: &str = "download it again, as a file and not as a page";
const GIVE_WEIGHTS: &str = "give a file of weights";

/// Beginnings of files that people pass by mistake.
const OTHERS: [(&[u8], &str, &str); 16] = [
    (
        b"version https://git-lfs",
        "a pointer of Git LFS",
        "fetch the file itself with `git lfs pull`",
    ),
    (b"<!DOCTYPE", "a web page", AGAIN),
    (b"<!doctype", "a web page", AGAIN),
    (b"<html", "a web page", AGAIN),
    (b"<?xml", "an XML document (such as a server's error message)", AGAIN),
    (b"\x93NUMPY", "a NumPy array", GIVE_WEIGHTS),
    (b"\x89PNG", "a PNG picture", GIVE_WEIGHTS),
    (b"\xff\xd8\xff", "a JPEG picture", GIVE_WEIGHTS),
    (b"GIF8", "a GIF picture", GIVE_WEIGHTS),
    (b"RIFF", "a WebP picture or another RIFF file", GIVE_WEIGHTS),
    (b"%PDF", "a PDF document", GIVE_WEIGHTS),
    (b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it first"),
    (b"\xfd7zXZ", "an xz archive", "unpack it first"),
    (b"GGUF", "a GGUF model", "use the original PyTorch or safetensors file"),
    (
        b"\x89HDF",
        "an HDF5 file",
        "use the original PyTorch or safetensors file",
    ),
];

pub(crate) fn sniff(source: &Source) -> Result<Container, WeightError> {
    let bytes = source.bytes();
    let head = bytes.get(..HEAD).unwrap_or(bytes);
    let not_weights = |found, fix| {
        Err(WeightError::NotWeights {
            path: source.path().to_owned(),
            found,
            fix,
        })
    };
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Ok(Container::TorchZip);
    }
    if let [0x80, 0..=5, ..] = head {
        return Ok(Container::TorchLegacy);
    }
    if is_safetensors(head) {
        return Ok(Container::Safetensors);
    }
    if head.trim_ascii_start().starts_with(b"{") {
        return Ok(Container::ShardIndex);
    }
    if let Some((_, found, fix)) = OTHERS
        .iter()
        .find(|(start, ..)| head.trim_ascii_start().starts_with(start))
    {
        return not_weights(found, fix);
    }
    if head.get(TAR..).is_some_and(|rest| rest.starts_with(b"ustar")) {
        return not_weights(
            "a tar archive (PyTorch's container before 0.1.10, or packed files)",
            "load and save it with a newer PyTorch, or unpack it first",
        );
    }
    if is_onnx(head) {
        return not_weights("an ONNX model", "use the PyTorch or safetensors file it was made from");
    }
    if head.iter().all(|byte| *byte == 0) {
        return not_weights(
            "only zeros, as after a download that stopped or a full disk",
            "download or copy it again",
        );
    }
    if is_text(head) {
        return not_weights("text", GIVE_WEIGHTS);
    }
    let start: Vec<String> = head.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    Err(WeightError::UnknownFormat {
        path: source.path().to_owned(),
        start: start.join(" "),
    })
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
        assert_eq!(sniffed(b"\n {\"weight_map\": {}}"), Ok(Container::ShardIndex));
    }

    #[test]
    fn other_files_are_named_with_what_to_do() {
        let mut tar = vec![b'x'; 600];
        tar[257..262].copy_from_slice(b"ustar");
        for (bytes, found) in [
            (
                &b"version https://git-lfs.github.com/spec/v1\noid sha256:1"[..],
                "`w` holds no weights but a pointer of Git LFS",
            ),
            (
                b"\n<!DOCTYPE html><title>404</title>",
                "`w` holds no weights but a web page",
            ),
            (b"\x08\x07\x12\x07pytorch", "`w` holds no weights but an ONNX model"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "`w` holds no weights but a JPEG picture"),
            (b"Gr\xc3\xbc\xc3\x9fe\n", "`w` holds no weights but text"),
            (&[0; 2000], "`w` holds no weights but only zeros"),
            (&tar, "`w` holds no weights but a tar archive"),
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
