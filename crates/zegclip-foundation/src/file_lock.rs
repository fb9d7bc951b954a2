//! Exclusive use of a folder or a group of files by one process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant};

/// Time between two attempts to get a lock.
const RETRY: Duration = Duration::from_millis(5);

/// An exclusive lock until it is dropped; the system releases that of a process that ends in any way.
///
/// ```
/// use zegclip_foundation::{FileLock, LockError};
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("lock");
/// let lock = FileLock::acquire(&path)?;
/// assert!(matches!(FileLock::acquire(&path), Err(LockError::InUse)));
/// drop(lock);
/// FileLock::acquire(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FileLock {
    _file: File,
    path: PathBuf,
}

/// Why a lock was not acquired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process has it.
    #[error("it is in use by another process")]
    InUse,
    /// The lock file cannot be made.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl FileLock {
    /// Locks the file `path`, which exists only while it is locked. On file systems without locks, it only warns.
    ///
    /// # Errors
    /// [`LockError::InUse`] if it is locked, by this process or another one; [`LockError::Io`].
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        loop {
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(LockError::InUse),
                Err(TryLockError::Error(error)) => warn_without_locks(path, &error),
            }
            // The process that had it may have removed it in between.
            if is_at(&file, path) {
                return Ok(Self {
                    _file: file,
                    path: path.to_owned(),
                });
            }
        }
    }

    /// As [`acquire`](Self::acquire), but waits for another process up to `limit`.
    ///
    /// # Errors
    /// [`LockError::InUse`] if it is still locked then; [`LockError::Io`].
    pub fn wait(path: &Path, limit: Duration) -> Result<Self, LockError> {
        let begun = Instant::now();
        loop {
            match Self::acquire(path) {
                Err(LockError::InUse) if begun.elapsed() < limit => std::thread::sleep(RETRY),
                result => return result,
            }
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // While it is locked: afterwards it may be that of another process. An empty file that stays is harmless.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether the open file still has this name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Elsewhere a file that is open keeps its name.
#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    true
}

fn warn_without_locks(path: &Path, error: &io::Error) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::warn!("`{}` cannot be locked: {error}", path.display()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_exclusive_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        std::fs::write(&path, "of a process that was killed").unwrap();
        let lock = FileLock::acquire(&path).unwrap();
        assert!(matches!(FileLock::acquire(&path), Err(LockError::InUse)));
        let begun = Instant::now();
        let waited = FileLock::wait(&path, Duration::from_millis(50));
        assert!(matches!(waited, Err(LockError::InUse)) && begun.elapsed() >= Duration::from_millis(50));
        drop(lock);
        assert!(!path.exists());
        let missing = FileLock::acquire(&folder.path().join("nowhere").join("lock"));
        assert!(matches!(missing, Err(LockError::Io(_))), "{missing:?}");
    }

    #[test]
    fn threads_that_wait_hold_it_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let _lock = FileLock::wait(&path, Duration::from_secs(60)).unwrap();
                        assert_eq!(held.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        held.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    }
                });
            }
        });
    }
}
