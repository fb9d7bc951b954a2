//! Sequences of characters that suggest a wrong decoding.
//!
//! The classes and rules are those that ftfy 6.3 publishes as its "badness" heuristic: characters by the role they have
//! in real text, and pairs of roles that appear almost only in text decoded with the wrong code page.

use std::sync::LazyLock;

use regex::Regex;

/// Not suspicious by themselves: no-break space, soft hyphen, dashes, ellipsis, apostrophe.
const COMMON: &str = "\u{a0}\u{ad}·´–—―…’";
const C1: &str = "\u{80}-\u{9f}";
/// Characters that are rare outside wrongly decoded text.
const BAD: &str = "¦¤¨¬¯¸ƒˆˇ˘˛˜†‡‰⌐◊\u{fffd}ªº";
const LAW: &str = "¶§";
const CURRENCY: &str = "¢£¥₧€";
const OPENING: &str = "¡«¿©΄΅‘‚“„•‹\u{f8ff}";
const CLOSING: &str = "®»˝”›™";
const NUMERIC: &str = "²³¹±¼½¾×µ÷⁄∂∆∏∑√∞∩∫≈≠≡≤≥№";
/// Letters of emoticons such as `(ò_ó)`.
const FACES: &str = "Ò-ÖÙ-Üò-öø-üŐŌŪŲ°";
/// Accented capitals without [`FACES`].
const UPPER: &str = "À-ÑØÜÝĂĀĄĆČĎĐĘĚĒĖĞĢİĪĶĹĽŁĻŃŇŅŒŘŚŞŠŢŤŮŰŸŹŻŽҐ";
const LOWER: &str = "ßà-ñăąāćčďđęěēėğģįīķĺľłļœŕśşšťüźżžґﬁﬂ";
/// Capitals that also end words, so the next character is weak evidence.
const UPPER_COMMON: &str = "ÞΑ-ΩΆΈΉΊΌΎΏΪΫЁ-Я";
const LOWER_COMMON: &str = "α-ωάέήίΰа-џ";
/// Box drawing without the single horizontal line, which emoticons use.
const BOX: &str = "│┌┐┘├┤┬┼═-╬▀▄█▌▐░▒▓";

/// Space and letters as Python's `\s` and `\w` know them: with the ASCII separators, without combining marks.
const SPACE: &str = r"[\s\x1c-\x1f]";
const WORD: &str = r"[\p{L}\p{N}_]";

/// Whether `text` contains at least one sequence that suggests a wrong decoding.
pub(crate) fn is_bad(text: &str) -> bool {
    static BADNESS: LazyLock<Regex> = LazyLock::new(|| Regex::new(&rules().join("|")).expect("a constant pattern"));
    BADNESS.is_match(text)
}

/// Pairs and triples of classes, then the sequences of single code pages that these miss.
fn rules() -> Vec<String> {
    // Arabic and the two-byte alphabets consist of frequent characters, so the rule needs a longer sequence.
    let arabic = format!("[ØÙ][{COMMON}{CURRENCY}{BAD}{NUMERIC}{OPENING}ŸŠ®°µ»]");
    let second_byte = format!("{C1}{BAD}{OPENING}{CLOSING}{CURRENCY}°");

    vec![
        format!("[{C1}]"),
        format!("[{BAD}{LOWER}{UPPER}{BOX}{OPENING}{CLOSING}{CURRENCY}{NUMERIC}{LAW}][{BAD}]"),
        format!("[a-zA-Z][{LOWER_COMMON}{UPPER_COMMON}][{BAD}]"),
        format!("[{BAD}][{LOWER}{UPPER}{BOX}{OPENING}{CLOSING}{CURRENCY}{NUMERIC}{LAW}]"),
        format!("[{LOWER}{LOWER_COMMON}{BOX}{CLOSING}{CURRENCY}{NUMERIC}][{UPPER}]"),
        format!("[{BOX}{CLOSING}{CURRENCY}{NUMERIC}][{LOWER}]"),
        format!("[{LOWER}{BOX}{CLOSING}][{CURRENCY}]"),
        format!("{SPACE}[{UPPER}][{CURRENCY}]"),
        format!("[{UPPER}{BOX}][{NUMERIC}{LAW}]"),
        format!("[{LOWER}{UPPER}{BOX}{CURRENCY}{CLOSING}][{OPENING}][{NUMERIC}]"),
        format!("[{LOWER}{UPPER}{CURRENCY}{NUMERIC}{BOX}{LAW}][{CLOSING}][{OPENING}]"),
        format!("[{CURRENCY}{NUMERIC}{BOX}][{OPENING}]"),
        format!("[a-z][{UPPER}][{OPENING}{CURRENCY}]"),
        format!("[{BOX}][{FACES}]"),
        format!("[{LOWER}{UPPER}{CURRENCY}{NUMERIC}{OPENING}{CLOSING}{LAW}][{BOX}]"),
        format!("[{BOX}][{CLOSING}]"),
        format!("[{LOWER}{UPPER}][{OPENING}{CLOSING}]{WORD}"),
        "[Œœ][^A-Za-z]".to_owned(),
        format!("[{UPPER}]°"),
        // UTF-8 read as Windows-1252: two bytes, then Arabic, then the scripts of South Asia.
        format!("[ÂÃÎÐ][€œŠš¢£Ÿž\u{a0}\u{ad}®©°·»{OPENING}{CLOSING}–—´]"),
        "×[²³]".to_owned(),
        format!("{arabic}{arabic}"),
        "à[²µ¹¼½¾]".to_owned(),
        // Mac Roman.
        "√[±∂†≠®™´≤≥¥µø]".to_owned(),
        "≈[°¢]".to_owned(),
        "‚Ä[ìîïòôúùû†°¢π]".to_owned(),
        "‚[âó][àä°ê]".to_owned(),
        // Windows-1251: punctuation, Latin-1 and Cyrillic, twice wrong.
        "вЂ".to_owned(),
        format!("[ВГРС][{second_byte}µ][ВГРС]"),
        "ГўВЂВ.[A-Za-z ]".to_owned(),
        // Windows-1252 again: `à`, `á` and the no-break space, whose second byte may have become a space.
        "Ã[\u{a0}¡]".to_owned(),
        format!("[a-z]{SPACE}?[ÃÂ] "),
        "^[ÃÂ] ".to_owned(),
        format!("[a-z.,?!{CLOSING}]Â[ {OPENING}{CLOSING}]"),
        // Windows-1253 and Windows-1257.
        "β€[™\u{a0}Ά\u{ad}®°]".to_owned(),
        format!("[ΒΓΞΟ][{second_byte}][ΒΓΞΟ]"),
        "ā€".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_a_pattern_and_rejects_plain_text() {
        for rule in rules() {
            let pattern = Regex::new(&rule).unwrap();
            for text in [
                "a photo of a dog",
                "Ångström café naïve",
                "Привет, мир",
                "Καλημέρα κόσμε",
                "¿Qué? 20 °C",
            ] {
                assert!(!pattern.is_match(text), "{rule} matches {text}");
            }
        }
    }

    #[test]
    fn mojibake_is_bad() {
        for text in [
            "cafÃ©",
            "â€œquoteâ€\u{9d}",
            "РџСЂРёРІРµС‚",
            "voilÃ le",
            "ΞΊΞ±Ξ»Ξ·ΞΌΞ\u{ad}ΟΞ±",
            "â”€â”€",
        ] {
            assert!(is_bad(text), "{text}");
        }
    }
}
