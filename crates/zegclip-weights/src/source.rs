//! The bytes of a weight file, mapped into memory, and storages in it whose checksums are verified before the first use.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use memmap2::{Mmap, MmapOptions};

use crate::{Damage, ForeignFile, Unsupported, WeightError};

static MAP_FILES: AtomicBool = AtomicBool::new(true);

/// Whether files that are opened from now on are mapped into memory (the default) or read completely. A mapped file must not be
/// shortened while it is used: the operating system ends a process that reads pages which are gone (`SIGBUS`). A file that was read
/// may change; it takes memory of its size.
pub fn set_memory_mapping(mapped: bool) {
    MAP_FILES.store(mapped, Ordering::Relaxed);
}

/// One weight file. It is mapped completely for its directory; tensors are mapped one by one while they are read, so that
/// a loaded model and its file are never in memory together.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    content: Content,
}

#[derive(Debug)]
enum Content {
    File { file: File, mapped: Mmap, state: State },
    Memory(bytes::Bytes),
}

/// What a change of a file's content changes.
#[derive(Debug, PartialEq, Eq)]
struct State {
    length: u64,
    modified: Option<SystemTime>,
}

impl State {
    fn of(file: &File) -> std::io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }
}

/// Bytes of a file for as long as they are needed.
pub(crate) enum Bytes<'a> {
    Borrowed(&'a [u8]),
    Mapped(Mmap),
    Owned(Vec<u8>),
    Shared(bytes::Bytes),
}

impl Bytes<'_> {
    /// The same bytes without a lifetime; `None` if that would copy them.
    pub(crate) fn into_shared(self) -> Option<bytes::Bytes> {
        match self {
            Self::Mapped(mapped) => Some(bytes::Bytes::from_owner(mapped)),
            Self::Shared(bytes) => Some(bytes),
            Self::Borrowed(_) | Self::Owned(_) => None,
        }
    }
}

impl std::ops::Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Mapped(mapped) => mapped,
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

fn map(file: &File, range: Range<usize>) -> std::io::Result<Mmap> {
    let mut options = MmapOptions::new();
    options.offset(range.start as u64).len(range.len());
    // SAFETY: a mapping is only unsound if another process truncates or rewrites the file while it is read. Weight files are
    // written once; this project's own writers replace them by renaming, which leaves an open file as it was. Bytes that
    // change all the same reach bounds-checked parsers only, never a type with invalid values.
    #[allow(unsafe_code)]
    unsafe {
        options.map(file)
    }
}

impl Source {
    /// Maps or reads a regular, non-empty file.
    pub(crate) fn open(path: &Path) -> Result<Self, WeightError> {
        let failed = |source| WeightError::Read {
            path: path.to_owned(),
            source,
        };
        // Before opening: to open a pipe would wait for a writer.
        let metadata = std::fs::metadata(path).map_err(failed)?;
        if !metadata.is_file() {
            return Err(WeightError::NotAFile { path: path.to_owned() });
        }
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if length == 0 {
            return Err(WeightError::Empty { path: path.to_owned() });
        }
        let length = usize::try_from(length).map_err(|error| failed(std::io::Error::other(error)))?;
        let content = if MAP_FILES.load(Ordering::Relaxed) {
            let state = State::of(&file).map_err(failed)?;
            let mapped = map(&file, 0..length).map_err(failed)?;
            Content::File { file, mapped, state }
        } else {
            let mut bytes = Vec::new();
            bytes
                .try_reserve_exact(length)
                .map_err(|error| failed(std::io::Error::other(error)))?;
            (&file).read_to_end(&mut bytes).map_err(failed)?;
            Content::Memory(bytes.into())
        };
        Ok(Self {
            path: path.to_owned(),
            content,
        })
    }

    /// Bytes in memory; `path` is used in errors only.
    pub(crate) fn from_memory(path: &Path, bytes: Cow<'static, [u8]>) -> Result<Self, WeightError> {
        if bytes.is_empty() {
            return Err(WeightError::Empty { path: path.to_owned() });
        }
        Ok(Self {
            path: path.to_owned(),
            content: Content::Memory(match bytes {
                Cow::Borrowed(bytes) => bytes::Bytes::from_static(bytes),
                Cow::Owned(bytes) => bytes.into(),
            }),
        })
    }

    /// A range inside the file, in a mapping of its own.
    fn slice(&self, range: Range<usize>) -> Result<Bytes<'_>, WeightError> {
        self.require_unchanged()?;
        match &self.content {
            Content::Memory(bytes) if bytes.get(range.clone()).is_some() => Ok(Bytes::Shared(bytes.slice(range))),
            Content::File { file, .. } if !range.is_empty() => {
                let mapped = map(file, range).map_err(|source| WeightError::Read {
                    path: self.path.clone(),
                    source,
                })?;
                Ok(Bytes::Mapped(mapped))
            }
            _ => Ok(Bytes::Borrowed(self.bytes().get(range).unwrap_or_default())),
        }
    }

    /// Fails if a mapped file has another length or time of modification than when it was opened.
    pub(crate) fn require_unchanged(&self) -> Result<(), WeightError> {
        let Content::File { file, state, .. } = &self.content else {
            return Ok(());
        };
        let now = State::of(file).map_err(|source| WeightError::Read {
            path: self.path.clone(),
            source,
        })?;
        if now == *state {
            return Ok(());
        }
        Err(WeightError::Changed {
            path: self.path.clone(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The complete file. Pages read through this stay in memory while it is open: directories and descriptions.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.content {
            Content::File { mapped, .. } => mapped,
            Content::Memory(bytes) => bytes,
        }
    }

    pub(crate) fn damaged(&self, source: Damage) -> WeightError {
        WeightError::Damaged {
            path: self.path.clone(),
            source,
        }
    }

    pub(crate) fn unsupported(&self, source: Unsupported) -> WeightError {
        WeightError::Unsupported {
            path: self.path.clone(),
            source,
        }
    }

    pub(crate) fn not_weights(&self, found: ForeignFile) -> WeightError {
        WeightError::NotWeights {
            path: self.path.clone(),
            found,
        }
    }
}

/// The part of a file with the elements of one or several tensors.
#[derive(Debug)]
pub(crate) struct Storage {
    source: Arc<Source>,
    range: Range<usize>,
    entry: String,
    checksum: Option<u32>,
    verified: OnceLock<bool>,
}

impl Storage {
    /// `entry` names the part in errors; `checksum` is the CRC-32 that its bytes must have.
    pub(crate) fn new(
        source: Arc<Source>,
        range: Range<usize>,
        entry: impl Into<String>,
        checksum: Option<u32>,
    ) -> Result<Self, WeightError> {
        let entry = entry.into();
        if source.bytes().get(range.clone()).is_none() {
            return Err(source.damaged(Damage::OutsideFile(entry)));
        }
        Ok(Self {
            source,
            range,
            entry,
            checksum,
            verified: OnceLock::new(),
        })
    }

    pub(crate) fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Size in bytes.
    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    /// The bytes, verified once against the checksum.
    pub(crate) fn bytes(&self) -> Result<Bytes<'_>, WeightError> {
        let bytes = self.source.slice(self.range.clone())?;
        let matches = || self.checksum.is_none_or(|expected| crc32fast::hash(&bytes) == expected);
        if *self.verified.get_or_init(matches) {
            Ok(bytes)
        } else {
            Err(WeightError::Checksum {
                path: self.source.path.clone(),
                entry: self.entry.clone(),
            })
        }
    }
}
