/// Names longer than this are not compared.
const MAX_LENGTH: usize = 160;
/// Names compared at most.
const MAX_NAMES: usize = 10_000;

/// The name that needs the fewest edits to become `wanted`, if it is at most half its length away.
pub(super) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    if wanted.len() > MAX_LENGTH {
        return None;
    }
    let candidates = names.filter(|name| name.len() <= MAX_LENGTH).take(MAX_NAMES);
    let (distance, name) = candidates
        .map(|name| (edits(wanted.as_bytes(), name.as_bytes()), name))
        .min()?;
    (distance <= wanted.len() / 2).then(|| name.to_owned())
}

/// Levenshtein's distance.
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(b) {
            let replaced = diagonal + usize::from(a != b);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_edits_win() {
        assert_eq!(edits(b"kitten", b"sitting"), 3);
        assert_eq!(edits(b"", b"abc"), 3);
        let names = ["decode_head.q_proj.bias", "decode_head.q_proj.weight"];
        assert_eq!(
            nearest("decode_head.q_proj.weights", names.into_iter()),
            Some(names[1].to_owned())
        );
        assert_eq!(nearest("logit_scale", names.into_iter()), None);
    }
}
