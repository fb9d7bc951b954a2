//! Reading TOML whose unknown keys are errors that name the nearest known key.

use std::path::Path;

use zegclip_foundation::quoted;

use crate::{DataError, suggestion::hint};

/// Parses `text`; `origin` names it in errors, with the line.
pub(crate) fn parse(text: &str, origin: &str) -> Result<toml::Table, DataError> {
    text.parse::<toml::Table>().map_err(|error| {
        let line = error
            .span()
            .map(|span| 1 + text.get(..span.start).unwrap_or(text).matches('\n').count());
        let origin = line.map_or_else(|| origin.to_owned(), |line| format!("{origin}, line {line}"));
        DataError::Toml {
            origin,
            message: error.message().replace('\n', ", "),
        }
    })
}

/// Reads a UTF-8 text file, without its byte order mark.
pub(crate) fn read_text(path: &Path) -> Result<String, DataError> {
    let bytes = std::fs::read(path).map_err(DataError::io("read", path))?;
    let text = String::from_utf8(bytes).map_err(|_| DataError::NotText { path: path.into() })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// Refuses keys of `table` that are not in `known`. `place` says where: `` `labels` in `file.toml` ``.
pub(crate) fn check_keys(table: &toml::Table, known: &[&str], place: &str) -> Result<(), DataError> {
    match table.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(DataError::UnknownKey {
            origin: place.to_owned(),
            key: key.clone(),
            hint: match hint(key, known.iter().copied()) {
                hint if hint.is_empty() => format!("; known keys are {}", quoted(known)),
                hint => hint,
            },
        }),
    }
}
