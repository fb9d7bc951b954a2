//! Replacement of single characters: ligatures, full-width forms, curly quotes, line breaks, controls.

use unicode_normalization::UnicodeNormalization;

use crate::code_page::CodePage;

/// Replaces characters that have a plainer form, in the order of ftfy: C1 controls by what Windows-1252 has in their
/// place, Latin ligatures by letters, full- and half-width forms by normal ones, curly quotes by straight ones, and
/// every line break by `\n`.
pub(crate) fn simplify(text: &str) -> String {
    let mut simple = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        let c = CodePage::WINDOWS_1252.replace_c1_control(c);
        match ligature(c) {
            Some(letters) => simple.extend(letters.chars().map(straight)),
            None if is_wide_or_half(c) => simple.extend(std::iter::once(c).nfkc().map(straight)),
            None => simple.push(straight(c)),
        }
    }
    simple
}

/// Characters without a visible effect: ASCII controls other than white space, deprecated
/// format characters, the byte-order mark, annotation and object replacement characters.
pub(crate) fn is_control(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{8}'
            | '\u{b}'
            | '\u{e}'..='\u{1f}'
            | '\u{7f}'
            | '\u{206a}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffc}'
    )
}

/// What Python's `str.split` takes as space: Unicode's white space and the four ASCII separators.
pub(crate) fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

fn is_wide_or_half(c: char) -> bool {
    c == '\u{3000}' || ('\u{ff01}'..='\u{ffef}').contains(&c)
}

fn straight(c: char) -> char {
    match c {
        '\u{2bc}' | '\u{2018}'..='\u{201b}' => '\'',
        '\u{201c}'..='\u{201f}' => '"',
        '\r' | '\u{2028}' | '\u{2029}' => '\n',
        _ => c,
    }
}

fn ligature(c: char) -> Option<&'static str> {
    Some(match c {
        'Ĳ' => "IJ",
        'ĳ' => "ij",
        'ŉ' => "ʼn",
        'Ǳ' => "DZ",
        'ǲ' => "Dz",
        'ǳ' => "dz",
        'Ǆ' => "DŽ",
        'ǅ' => "Dž",
        'ǆ' => "dž",
        'Ǉ' => "LJ",
        'ǈ' => "Lj",
        'ǉ' => "lj",
        'Ǌ' => "NJ",
        'ǋ' => "Nj",
        'ǌ' => "nj",
        'ﬀ' => "ff",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        'ﬃ' => "ffi",
        'ﬄ' => "ffl",
        'ﬅ' => "ſt",
        'ﬆ' => "st",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_replacement_has_an_example() {
        assert_eq!(simplify("ﬂuﬃeﬆ ŉ ǅ"), "fluffiest 'n Dž");
        assert_eq!(
            simplify("ＬＯＵＤ　ＮＯＩＳＥＳ ｱﾞ ￦"),
            "LOUD NOISES アﾞ ₩".replace('ﾞ', "\u{3099}")
        );
        assert_eq!(simplify("“it’s” ‟„ ‚ʼ‹«"), "\"it's\" \"\" ''‹«");
        assert_eq!(simplify("a\r\nb\rc\u{2028}d\u{2029}e"), "a\nb\nc\nd\ne");
        assert_eq!(simplify("\u{80}\u{85}\u{81}"), "€…\u{81}");
    }

    #[test]
    fn separators_are_spaces_and_controls() {
        assert!(is_python_space('\u{1c}') && is_control('\u{1c}'));
        assert!(is_python_space('\t') && !is_control('\t'));
        assert!(!is_python_space('\u{200b}') && !is_control('\u{200b}'));
    }
}
