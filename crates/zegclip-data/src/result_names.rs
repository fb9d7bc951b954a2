//! How the files that `zegclip segment` writes beside one another are called.

use std::path::Path;

/// Before the extension of a label map.
pub(crate) const LABELS: &str = ".labels";
/// Before the extension of an overlay.
pub(crate) const OVERLAY: &str = ".overlay";

/// Whether a file is a result of an image: `NAME.labels.png`, `NAME.overlay.png` or `NAME.scores.safetensors` beside `NAME.json`, or
/// that file itself beside a label map.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("cat.labels.png");
/// std::fs::write(&path, "")?;
/// assert!(!zegclip_data::is_result(&path));
/// std::fs::write(folder.path().join("cat.json"), "{}")?;
/// assert!(zegclip_data::is_result(&path));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn is_result(path: &Path) -> bool {
    let name = path
        .file_name()
        .map(std::ffi::OsStr::as_encoded_bytes)
        .unwrap_or_default();
    let ends = |ending: &str| name.ends_with(ending.as_bytes());
    if [".labels.png", ".overlay.png", ".scores.safetensors"]
        .into_iter()
        .any(ends)
    {
        // Without both extensions.
        return path.with_extension("").with_extension("json").is_file();
    }
    ends(".json") && path.with_extension("labels.png").is_file()
}
