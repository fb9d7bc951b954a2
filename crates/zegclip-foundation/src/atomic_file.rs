//! Files that appear whole or not at all.

use std::fs::{File, Metadata};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::unfinished::{self, Unfinished};

/// What to do when the output exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfExists {
    /// Keep the existing file and fail with [`io::ErrorKind::AlreadyExists`].
    #[default]
    Fail,
    /// Replace the existing file once the new one is complete.
    Replace,
}

/// A file under a temporary name in the folder of its destination. [`commit`](Self::commit) gives it its name; a file that
/// is dropped before is removed.
///
/// ```
/// use std::io::Write;
/// use zegclip_foundation::{AtomicFile, IfExists};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("scores.json");
/// let mut file = AtomicFile::create(&path, IfExists::Fail)?;
/// file.write_all(b"{}")?;
/// assert!(!path.exists());
/// file.commit()?;
/// assert_eq!(std::fs::read(&path)?, b"{}");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct AtomicFile {
    writer: BufWriter<NamedTempFile>,
    path: PathBuf,
    if_exists: IfExists,
    _unfinished: Unfinished,
}

impl AtomicFile {
    /// Opens a temporary file beside `path`.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] where `path` exists and is not to be replaced; [`io::ErrorKind::InvalidInput`] where it is
    /// a folder, a device or another thing that a file must not replace; those of creating a file in its folder.
    pub fn create(path: &Path, if_exists: IfExists) -> io::Result<Self> {
        if if_exists == IfExists::Fail && path.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if let Ok(existing) = path.metadata() {
            require_file(&existing)?;
        }
        let (file, unfinished) = temporary(folder_of(path))?;
        Ok(Self {
            writer: BufWriter::new(file),
            path: path.to_owned(),
            if_exists,
            _unfinished: unfinished,
        })
    }

    /// Whether files can be created beside `path`, which costs a temporary file that is removed at once.
    ///
    /// # Errors
    /// Those of [`create`](Self::create) where an existing file is to be replaced.
    pub fn check(path: &Path) -> io::Result<()> {
        Self::create(path, IfExists::Replace).map(drop)
    }

    /// Writes the file to disk, then renames it, then writes its folder's entry to disk.
    ///
    /// # Errors
    /// Those of the operating system; the destination is then as it was.
    pub fn commit(mut self) -> io::Result<()> {
        self.writer.flush()?;
        let file = self.writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        match self.if_exists {
            IfExists::Fail => file.persist_noclobber(&self.path),
            IfExists::Replace => file.persist(&self.path),
        }
        .map_err(|error| error.error)?;
        sync_folder(folder_of(&self.path));
        Ok(())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.writer.seek(position)
    }
}

/// Writes `path` through an [`AtomicFile`]; an existing file is replaced once the new one is complete.
///
/// # Errors
/// Those of `write` and of the operating system; the destination is then as it was.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut AtomicFile) -> io::Result<()>) -> io::Result<()> {
    let mut file = AtomicFile::create(path, IfExists::Replace)?;
    write(&mut file)?;
    file.commit()
}

/// A new file in a folder. Its name, which is random, is not in errors.
fn temporary(folder: &Path) -> io::Result<(NamedTempFile, Unfinished)> {
    unfinished::create(folder).map_err(|error| {
        let kind = error.kind();
        if kind == io::ErrorKind::NotFound {
            return io::Error::new(kind, format!("there is no folder `{}`", folder.display()));
        }
        let text = error.to_string();
        let reason = text.split(" at path ").next().unwrap_or_default();
        io::Error::new(kind, reason)
    })
}

/// Creates a folder and those above it, and writes their names to disk.
///
/// # Errors
/// Those of the operating system.
pub fn create_folder(folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = folder
        .ancestors()
        .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
        .collect();
    std::fs::create_dir_all(folder)?;
    for path in missing {
        sync_folder(folder_of(path));
    }
    Ok(())
}

/// Whether files can be created in a folder, which costs a temporary file that is removed at once.
///
/// # Errors
/// Those of creating a file.
pub fn check_folder(folder: &Path) -> io::Result<()> {
    temporary(folder).map(drop)
}

/// Refuses what is not a regular file: to open a pipe would wait for its writer, and a device may have no end.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`], which says what it is.
pub fn require_file(metadata: &Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let mut found = if kind.is_dir() { "a folder" } else { "a device" };
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            found = "a pipe";
        } else if kind.is_socket() {
            found = "a socket";
        }
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("it is {found}, not a file"),
    ))
}

/// Gives a complete file its final name: writes it to disk, renames it, and writes its folder's entry to disk. An existing `path` is
/// replaced. Both have to be in one file system.
///
/// # Errors
/// Those of the operating system; `path` is then as it was.
pub fn persist(partial: &Path, path: &Path) -> io::Result<()> {
    File::options().append(true).open(partial)?.sync_all()?;
    std::fs::rename(partial, path)?;
    sync_folder(folder_of(path));
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Writes the names in a folder to disk, where system and file system can: a rename that has happened is not undone.
pub fn sync_folder(folder: &Path) {
    if cfg!(unix) {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_dropped_leaves_the_old_one_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        std::fs::write(&path, "old").unwrap();
        let mut file = AtomicFile::create(&path, IfExists::Replace).unwrap();
        file.write_all(b"ne").unwrap();
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_not_a_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let error = AtomicFile::check(folder.path()).unwrap_err();
        assert_eq!(error.to_string(), "it is a folder, not a file");
        #[cfg(unix)]
        for path in ["/dev/null", "/dev/stdout"] {
            if Path::new(path)
                .symlink_metadata()
                .is_ok_and(|found| !found.is_symlink())
            {
                assert!(
                    AtomicFile::check(Path::new(path))
                        .unwrap_err()
                        .to_string()
                        .contains("device")
                );
            }
        }
        check_folder(folder.path()).unwrap();
        AtomicFile::check(&folder.path().join("a")).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn errors_name_folders_and_not_temporary_files() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("a/b");
        let error = AtomicFile::check(&missing.join("c")).unwrap_err().to_string();
        assert_eq!(error, format!("there is no folder `{}`", missing.display()));
        std::fs::write(folder.path().join("a"), "").unwrap();
        let error = AtomicFile::check(&missing).unwrap_err().to_string();
        assert!(!error.contains("zegclip-"), "{error}");
        assert!(create_folder(&missing).is_err());
        create_folder(&folder.path().join("x/y")).unwrap();
        assert!(folder.path().join("x/y").is_dir());
    }

    #[test]
    fn an_existing_file_is_kept_unless_it_is_to_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let late = AtomicFile::create(&path, IfExists::Fail).unwrap();
        std::fs::write(&path, "old").unwrap();
        let kinds = [
            AtomicFile::create(&path, IfExists::Fail).unwrap_err().kind(),
            late.commit().unwrap_err().kind(),
        ];
        assert_eq!(kinds, [io::ErrorKind::AlreadyExists; 2]);
        let mut file = AtomicFile::create(&path, IfExists::Replace).unwrap();
        file.write_all(b"new").unwrap();
        file.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
