//! Files that appear whole or not at all.

use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::DataError;

/// Writes `path` whole or not at all ([`AtomicFile`](zegclip_foundation::AtomicFile)); an existing file is replaced once the new one is complete.
///
/// # Errors
/// [`DataError::Io`] with the path, whatever failed.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), DataError> {
    zegclip_foundation::write_atomically(path, |file| write(file)).map_err(DataError::io("write", path))
}

/// Removes a file; that there is none is not an error.
///
/// # Errors
/// [`DataError::Io`] with the path.
pub fn remove_if_there(path: &Path) -> Result<(), DataError> {
    match std::fs::remove_file(path) {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(DataError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        let error = write_atomically(&path, |file| {
            file.write_all(b"ne")?;
            Err(std::io::ErrorKind::StorageFull.into())
        });
        assert!(error.unwrap_err().to_string().contains("a.txt"));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing/a.txt");
        let error = write_atomically(&path, |_| Ok(())).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot write `") && error.contains("missing/a.txt"),
            "{error}"
        );
    }
}
