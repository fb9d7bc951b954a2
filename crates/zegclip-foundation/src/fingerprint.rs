//! Length and checksum of what a run or an evaluation depends on.

use std::io::{self, Read};
use std::path::Path;

/// By what a changed file, list or text is noticed: its length and its CRC-32. Not a protection against intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// Bytes of a file or text, entries of a list.
    pub length: u64,
    /// CRC-32 (IEEE 802.3).
    pub crc32: u32,
}

impl Fingerprint {
    /// Of bytes in memory.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self {
            length: bytes.len() as u64,
            crc32: crc32fast::hash(bytes),
        }
    }

    /// Of a file, which is read once from its beginning to its end.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let mut file = std::fs::File::open(path)?;
        let (mut hasher, mut length) = (crc32fast::Hasher::new(), 0);
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    hasher.update(buffer.get(..count).unwrap_or_default());
                    length += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self {
            length,
            crc32: hasher.finalize(),
        })
    }

    /// Of a list, in order; each entry counts as a line.
    pub fn of_entries<T: AsRef<str>>(entries: impl IntoIterator<Item = T>) -> Self {
        let (mut hasher, mut length) = (crc32fast::Hasher::new(), 0);
        for entry in entries {
            hasher.update(entry.as_ref().as_bytes());
            hasher.update(b"\n");
            length += 1;
        }
        Self {
            length,
            crc32: hasher.finalize(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_bytes_and_lists_agree() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.txt");
        std::fs::write(&path, "123456789\n").unwrap();
        let of_file = Fingerprint::of_file(&path).unwrap();
        assert_eq!(of_file, Fingerprint::of_bytes(b"123456789\n"));
        assert_eq!(Fingerprint::of_entries(["123456789"]).crc32, of_file.crc32);
        // The check value of the CRC's definition.
        assert_eq!(Fingerprint::of_bytes(b"123456789").crc32, 0xcbf4_3926);
    }
}
