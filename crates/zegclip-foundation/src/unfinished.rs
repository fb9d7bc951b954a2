//! Temporary files that were not given their name: those of this process, and leftovers of processes that were killed.

use std::collections::BTreeSet;
use std::fs::{OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::NamedTempFile;

const PREFIX: &str = ".zegclip-";
const SUFFIX: &str = ".partial";

/// Temporary files that this process writes.
static OWN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Folders in which this process has looked for leftovers.
static CLEANED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// An entry of [`OWN`].
#[derive(Debug)]
pub(crate) struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        OWN.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// A new temporary file, which is locked as long as its process lives and writes it. Where it is the first one of this process in
/// its folder, leftovers of others are removed.
pub(crate) fn create(folder: &Path) -> io::Result<(NamedTempFile, Unfinished)> {
    if CLEANED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(folder.to_owned())
    {
        remove_leftovers(folder);
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    #[cfg(unix)]
    {
        // The user's mask decides, as for any new file.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    loop {
        let file = builder.tempfile_in(folder)?;
        // Another process may have taken it for a leftover before it was locked. Where a file system has no locks, leftovers stay.
        let is_taken = matches!(file.as_file().try_lock(), Err(TryLockError::WouldBlock));
        if !is_taken && file.path().exists() {
            let entry = Unfinished(file.path().to_owned());
            OWN.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(entry.0.clone());
            return Ok((file, entry));
        }
    }
}

/// Removes the temporary files that this process writes, before it ends without unwinding: for handlers of signals.
pub fn remove_unfinished() {
    for path in std::mem::take(&mut *OWN.lock().unwrap_or_else(PoisonError::into_inner)) {
        let _ = std::fs::remove_file(path);
    }
}

/// Removes temporary files in `folder` whose processes were killed. Files that are being written stay, and so does what cannot
/// be removed.
pub fn remove_leftovers(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_ours = name.starts_with(PREFIX) && name.ends_with(SUFFIX);
        if is_ours && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let path = entry.path();
            let Ok(file) = OpenOptions::new().append(true).open(&path) else {
                continue;
            };
            // Locked until it is gone, so that the process that makes it sees that it is taken.
            if file.try_lock().is_ok() {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::{AtomicFile, IfExists};

    fn names(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn leftovers_are_removed_and_files_in_work_stay() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".zegclip-abc.partial", ".zegclip-other", "a.partial"] {
            std::fs::write(folder.path().join(name), "half").unwrap();
        }
        std::fs::create_dir(folder.path().join(".zegclip-folder.partial")).unwrap();
        let path = folder.path().join("a.txt");
        let mut file = AtomicFile::create(&path, IfExists::Fail).unwrap();
        file.write_all(b"whole").unwrap();
        remove_leftovers(folder.path());
        assert_eq!(names(folder.path()), 4);
        file.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        remove_leftovers(&folder.path().join("nowhere"));
    }

    #[test]
    fn files_are_written_while_others_remove_leftovers() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let path = folder.path().join(format!("{thread}.txt"));
                scope.spawn(move || {
                    for _ in 0..200 {
                        crate::write_atomically(&path, |file| file.write_all(b"whole")).unwrap();
                    }
                });
                scope.spawn(|| (0..400).for_each(|_| remove_leftovers(folder.path())));
            }
        });
        assert_eq!(names(folder.path()), 4);
    }

    #[test]
    fn the_first_file_in_a_folder_replaces_leftovers() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".zegclip-abc.partial"), "half").unwrap();
        let file = AtomicFile::create(&folder.path().join("a.txt"), IfExists::Fail).unwrap();
        file.commit().unwrap();
        assert_eq!(names(folder.path()), 1);
    }

    #[test]
    fn files_of_this_process_are_known_until_they_have_their_name() {
        let folder = tempfile::tempdir().unwrap();
        let is_known = || OWN.lock().unwrap().iter().any(|path| path.starts_with(folder.path()));
        let file = AtomicFile::create(&folder.path().join("a.txt"), IfExists::Fail).unwrap();
        assert!(is_known());
        drop(file);
        assert!(!is_known());
        AtomicFile::create(&folder.path().join("b.txt"), IfExists::Fail)
            .unwrap()
            .commit()
            .unwrap();
        assert!(!is_known() && names(folder.path()) == 1);
    }
}
