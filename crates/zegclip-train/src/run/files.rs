//! Writing a complete file.

use std::io::Write;
use std::path::Path;

use zegclip_foundation::write_atomically;

use crate::TrainError;

/// Writes `path` completely or not at all; an existing file is replaced.
///
/// # Errors
/// [`TrainError::Io`].
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    write_atomically(path, |file| file.write_all(bytes)).map_err(TrainError::io("write", path))
}
