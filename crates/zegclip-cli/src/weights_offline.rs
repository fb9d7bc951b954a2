//! A build without downloads: weights are files.

use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Whether an argument is the name of weights rather than a path.
pub(crate) fn is_name(path: &Path) -> bool {
    path.to_str()
        .is_some_and(|name| name.starts_with("clip:") || name.starts_with("hf:"))
}

/// The file itself; weights by name are refused.
pub(crate) fn located(path: &Path) -> Result<PathBuf, Failure> {
    if is_name(path) {
        return Err(Failure::usage(format!(
            "this build cannot download `{}` (feature `hub`)",
            path.display()
        )));
    }
    Ok(path.to_owned())
}
