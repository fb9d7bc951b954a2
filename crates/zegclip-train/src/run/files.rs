//! Writing a complete file through [`AtomicFile`].

use std::io::Write;
use std::path::Path;

use zegclip_foundation::{AtomicFile, IfExists};

use crate::TrainError;

/// Writes `path` completely or not at all; an existing file is replaced.
///
/// # Errors
/// [`TrainError::Io`].
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let write = || {
        let mut file = AtomicFile::create(path, IfExists::Replace)?;
        file.write_all(bytes)?;
        file.commit()
    };
    write().map_err(TrainError::io("write", path))
}
