//! "Did you mean": the nearest of the names that exist.

/// The name in `known` that is nearest to `name`, if any is near enough to be meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters wrong is a slip; more is another word.
    const NEAR: f64 = 0.66;
    let lower = name.to_lowercase();
    let scored = known.into_iter().map(|known| {
        (
            strsim::normalized_damerau_levenshtein(&lower, &known.to_lowercase()),
            known,
        )
    });
    scored
        .filter(|(score, _)| *score >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// ` (did you mean `NAME`?)`, or nothing: what error texts append.
pub(crate) fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known)
        .map(|near| format!(" (did you mean `{near}`?)"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_another_word_finds_none() {
        let known = ["voc20", "coco171", "context59"];
        assert_eq!(nearest("voc21", known), Some("voc20"));
        assert_eq!(nearest("CONTEXT-59", known), Some("context59"));
        assert_eq!(nearest("cityscapes", known), None);
        assert_eq!(nearest("x", []), None);
    }
}
