//! Lines on stdout and stderr, and folders of results.

use std::io::{ErrorKind, Write};
use std::path::Path;

use serde::Serialize;
use zegclip_data::DataError;
use zegclip_foundation::AtomicFile;

use crate::failure::Failure;

/// Writes one line to stdout.
pub(crate) fn line(text: impl std::fmt::Display) -> Result<(), Failure> {
    bytes(format!("{text}\n").as_bytes())
}

/// Writes to stdout.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(bytes)
        .and_then(|()| stdout.flush())
        .map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Failure::ClosedPipe,
            _ => Failure::failed(format!("cannot write to stdout: {error}")),
        })
}

/// Writes one line to stderr.
pub(crate) fn message(text: impl std::fmt::Display) {
    crate::notices::line(text);
}

/// Writes one JSON value on one line to stdout.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    line(serde_json::to_string(value)?)
}

/// Creates a folder of results and those above it, and finds out whether files can be written there.
pub(crate) fn create_folder(folder: &Path) -> Result<(), Failure> {
    let cannot = |what: &str| format!("cannot {what} the folder `{}`", folder.display());
    zegclip_foundation::create_folder(folder)
        .map_err(|error| Failure::failed(format!("{}: {error}", cannot("create"))))?;
    zegclip_foundation::check_folder(folder)
        .map_err(|error| Failure::failed(format!("{}: {error}", cannot("write to"))))
}

/// Finds out whether a file can be written, before the work for it is done.
pub(crate) fn check_file(path: &Path) -> Result<(), Failure> {
    Ok(AtomicFile::check(path).map_err(DataError::io("write", path))?)
}
