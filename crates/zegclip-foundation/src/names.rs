//! Names in messages: the nearest one, and lists.

/// Names longer than this are not compared, so that untrusted files cannot cost time.
const MAX_LENGTH: usize = 160;
/// Names compared at most.
const MAX_NAMES: usize = 10_000;
/// A third of the letters wrong is a typo; more is another word.
const MIN_SIMILARITY: f64 = 0.66;

/// The name in `known` that `name` probably means, if any is near enough. Letter case makes no difference.
///
/// ```
/// assert_eq!(zegclip_foundation::nearest_name("voc21", ["voc20", "coco171"]), Some("voc20"));
/// ```
pub fn nearest_name<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > MAX_LENGTH {
        return None;
    }
    let lower = name.to_lowercase();
    known
        .into_iter()
        .filter(|known| known.len() <= MAX_LENGTH)
        .take(MAX_NAMES)
        .map(|known| {
            let similarity = strsim::normalized_damerau_levenshtein(&lower, &known.to_lowercase());
            (similarity, known)
        })
        .filter(|(similarity, _)| *similarity >= MIN_SIMILARITY)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// ` (did you mean `NAME`?)` with a space before it, or nothing: what error texts append.
pub fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}

/// `` `a`, `b`, `c` ``
pub fn quoted<T: AsRef<str>>(names: &[T]) -> String {
    let names = names.iter().map(|name| format!("`{}`", name.as_ref()));
    names.collect::<Vec<_>>().join(", ")
}

/// A count with its noun: `1 class`, `2 classes`.
///
/// ```
/// assert_eq!(zegclip_foundation::counted(1, "class", "classes"), "1 class");
/// assert_eq!(zegclip_foundation::counted(0, "class", "classes"), "0 classes");
/// ```
pub fn counted(count: impl TryInto<u64>, one: &str, many: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted() {
        assert_eq!(did_you_mean(Some("voc20")), " (did you mean `voc20`?)");
        assert_eq!(did_you_mean(None), "");
        assert_eq!(quoted(&["a", "b"]), "`a`, `b`");
        assert_eq!(quoted::<String>(&[]), "");
    }

    #[test]
    fn a_slip_finds_its_word_and_another_word_finds_none() {
        let known = ["voc20", "coco171", "context59"];
        assert_eq!(nearest_name("voc21", known), Some("voc20"));
        assert_eq!(nearest_name("CONTEXT-59", known), Some("context59"));
        assert_eq!(nearest_name("cityscapes", known), None);
        assert_eq!(nearest_name("x", []), None);
        assert_eq!(nearest_name(&"x".repeat(10_000), known), None);
    }
}
