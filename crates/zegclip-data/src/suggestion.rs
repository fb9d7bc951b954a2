//! "Did you mean", as error texts say it.

use zegclip_foundation::nearest_name;

/// ` (did you mean `NAME`?)`, or nothing: what error texts append.
pub(crate) fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest_name(name, known)
        .map(|near| format!(" (did you mean `{near}`?)"))
        .unwrap_or_default()
}
