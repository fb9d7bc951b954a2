//! "Did you mean", as error texts say it.

use zegclip_foundation::{did_you_mean, nearest_name};

/// ` (did you mean `NAME`?)`, or nothing: what error texts append.
pub(crate) fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    did_you_mean(nearest_name(name, known))
}
