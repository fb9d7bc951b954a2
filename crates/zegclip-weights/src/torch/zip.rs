//! The zip container. Entries are stored, not compressed, so that tensors are used in the mapped file. Their ranges are
//! checked against each other and the file, their checksums before the first use.

use std::collections::HashMap;
use std::io::Cursor;
use std::ops::Range;
use std::sync::Arc;

use ::zip::{CompressionMethod, ZipArchive};

use super::flatten::{Resolve, flatten_module, flatten_state_dict};
use crate::contents::{Content, Contents};
use crate::pickle::{self, Globals};
use crate::source::{Source, Storage};
use crate::{Damage, ForeignFile, PickleError, Unsupported, WeightError};

/// Limit of entries; the largest CLIP needs a few thousand.
const MAX_ENTRIES: usize = 200_000;

/// Reads a file of `torch.save` (PyTorch 1.6 or later) or a TorchScript archive.
pub(crate) fn read_zip(source: &Arc<Source>) -> Result<Contents, WeightError> {
    let archive = Archive::open(source)?;
    if archive
        .bytes("byteorder")?
        .is_some_and(|order| order.starts_with(b"big"))
    {
        return Err(source.unsupported(Unsupported::BigEndian));
    }
    // The constants are not used, but damage in them is an error too.
    let torch_script = archive.bytes("constants.pkl")?.is_some();
    let Some(description) = archive.bytes("data.pkl")? else {
        return Err(archive.without_pickle());
    };
    let pickle_error = |error: PickleError| WeightError::Pickle {
        path: source.path().to_owned(),
        source: error,
    };
    let globals = if torch_script {
        Globals::TorchScript
    } else {
        Globals::StateDict
    };
    let pickle = pickle::read(description, globals).map_err(pickle_error)?;
    let mut resolve = Resolve::new(source, |node| archive.storage(node.key));
    if torch_script {
        flatten_module(&pickle, &mut resolve)
    } else {
        let (tensors, meta) = flatten_state_dict(&pickle, &mut resolve)?;
        Ok(Contents {
            kind: Content::StateDict,
            tensors,
            meta,
            activation: None,
        })
    }
}

struct Archive<'s> {
    source: &'s Arc<Source>,
    /// By the name below the archive's outermost folder.
    entries: HashMap<String, ZipEntry>,
    first_name: String,
}

struct ZipEntry {
    range: Range<usize>,
    checksum: u32,
    compressed: bool,
}

impl<'s> Archive<'s> {
    fn open(source: &'s Arc<Source>) -> Result<Self, WeightError> {
        let bytes = source.bytes();
        let damaged = |error: ::zip::result::ZipError| source.damaged(Damage::Directory(error.into()));
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
        if zip.len() > MAX_ENTRIES {
            return Err(source.unsupported(Unsupported::Entries {
                entries: zip.len(),
                limit: MAX_ENTRIES,
            }));
        }
        let mut entries = HashMap::with_capacity(zip.len());
        let mut ranges = Vec::with_capacity(zip.len());
        let mut first_name = String::new();
        for index in 0..zip.len() {
            let file = zip.by_index_raw(index).map_err(damaged)?;
            let name = file.name().to_owned();
            let range = file.data_start().and_then(|start| {
                let start = usize::try_from(start).ok()?;
                let end = start.checked_add(usize::try_from(file.compressed_size()).ok()?)?;
                (end <= bytes.len()).then_some(start..end)
            });
            let Some(range) = range else {
                return Err(source.damaged(Damage::OutsideFile(name)));
            };
            if file.encrypted() {
                return Err(source.unsupported(Unsupported::Encrypted));
            }
            if !range.is_empty() {
                ranges.push((range.clone(), name.clone()));
            }
            let compressed = file.compression() != CompressionMethod::Stored || file.size() != file.compressed_size();
            let short = name.split_once('/').map_or(name.as_str(), |(_, rest)| rest).to_owned();
            if first_name.is_empty() {
                first_name.clone_from(&name);
            }
            if entries
                .insert(
                    short,
                    ZipEntry {
                        range,
                        checksum: file.crc32(),
                        compressed,
                    },
                )
                .is_some()
            {
                return Err(source.damaged(Damage::DuplicateEntry(name)));
            }
        }
        ranges.sort_by_key(|(range, _)| range.start);
        for pair in ranges.windows(2) {
            if let [(before, first), (after, second)] = pair
                && after.start < before.end
            {
                return Err(source.damaged(Damage::Overlap(first.clone(), second.clone())));
            }
        }
        Ok(Self {
            source,
            entries,
            first_name,
        })
    }

    /// An entry as a storage, whose checksum is verified before its bytes are returned.
    fn storage_of(&self, name: &str) -> Result<Option<Storage>, WeightError> {
        let Some(entry) = self.entries.get(name) else {
            return Ok(None);
        };
        if entry.compressed {
            return Err(self.source.unsupported(Unsupported::Compressed(name.to_owned())));
        }
        Storage::new(self.source.clone(), entry.range.clone(), name, Some(entry.checksum)).map(Some)
    }

    fn storage(&self, key: &str) -> Result<Storage, WeightError> {
        let name = format!("data/{key}");
        match self.storage_of(&name)? {
            Some(storage) => Ok(storage),
            None => Err(self.source.damaged(Damage::MissingStorage(name))),
        }
    }

    fn bytes(&self, name: &str) -> Result<Option<&'s [u8]>, WeightError> {
        let Some(storage) = self.storage_of(name)? else {
            return Ok(None);
        };
        storage.bytes()?;
        Ok(self
            .entries
            .get(name)
            .and_then(|entry| self.source.bytes().get(entry.range.clone())))
    }

    fn without_pickle(&self) -> WeightError {
        if self.entries.contains_key("model.json") {
            return self.source.unsupported(Unsupported::OldTorchScript);
        }
        let numpy = self.entries.keys().any(|name| name.ends_with(".npy")) || self.first_name.ends_with(".npy");
        self.source.not_weights(if numpy {
            ForeignFile::NumpyArchive
        } else {
            ForeignFile::Zip
        })
    }
}
