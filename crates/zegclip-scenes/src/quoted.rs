//! Lists of names in messages.

/// `` `a`, `b`, `c` ``
pub(crate) fn quoted<T: AsRef<str>>(names: &[T]) -> String {
    let names = names.iter().map(|name| format!("`{}`", name.as_ref()));
    names.collect::<Vec<_>>().join(", ")
}
