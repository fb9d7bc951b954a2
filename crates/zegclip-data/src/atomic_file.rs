//! Files that appear whole or not at all.

use std::{
    io::{BufWriter, Write},
    path::Path,
};

use crate::DataError;

/// Writes `path` through a temporary file in the same folder, which is renamed when `write` is done and is removed if
/// anything fails: nobody ever sees half a file, and an existing one is replaced only by a complete one.
///
/// # Errors
/// [`DataError::Io`] with the path, whatever failed.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), DataError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let written = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".zegclip-");
        #[cfg(unix)]
        {
            // Like any other new file, instead of readable for its owner only.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let mut file = builder.tempfile_in(folder)?;
        let mut writer = BufWriter::new(file.as_file_mut());
        write(&mut writer)?;
        writer.flush()?;
        drop(writer);
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    written().map_err(DataError::io("write", path))
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
