//! Which sequences of characters hardly anyone writes on purpose.
//!
//! The classes and rules are those that ftfy 6.3 publishes as its "badness" heuristic: characters by the role they have
//! in real text, and pairs of roles that appear almost only in text decoded with the wrong code page.

use std::sync::LazyLock;

use regex::Regex;

/// Not suspicious by themselves: no-break space, soft hyphen, dashes, ellipsis, apostrophe.
const COMMON: &str = "\u{a0}\u{ad}·´–—―…’";
const C1: &str = "\u{80}-\u{9f}";
/// Characters met in hardly anything but wrongly decoded text.
const BAD: &str = "¦¤¨¬¯¸ƒˆˇ˘˛˜†‡‰⌐◊\u{fffd}ªº";
const LAW: &str = "¶§";
const CURRENCY: &str = "¢£¥₧€";
const OPENING: &str = "¡«¿©΄΅‘‚“„•‹\u{f8ff}";
const CLOSING: &str = "®»˝”›™";
const NUMERIC: &str = "²³¹±¼½¾×µ÷⁄∂∆∏∑√∞∩∫≈≠≡≤≥№";
/// Letters that faces like `(ò_ó)` are made of.
const FACES: &str = "Ò-ÖÙ-Üò-öø-üŐŌŪŲ°";
const UPPER_ACCENTED: &str = "À-ÑØÜÝĂĀĄĆČĎĐĘĚĒĖĞĢİĪĶĹĽŁĻŃŇŅŒŘŚŞŠŢŤŮŰŸŹŻŽҐ";
const LOWER_ACCENTED: &str = "ßà-ñăąāćčďđęěēėğģįīķĺľłļœŕśşšťüźżžґﬁﬂ";
/// Capitals that also end words, so that what follows them says little.
const UPPER_COMMON: &str = "ÞΑ-ΩΆΈΉΊΌΎΏΪΫЁ-Я";
const LOWER_COMMON: &str = "α-ωάέήίΰа-џ";
/// Box drawing without the single horizontal line, which faces use.
const BOX: &str = "│┌┐┘├┤┬┼═-╬▀▄█▌▐░▒▓";

/// Whether `text` contains at least one sequence that suggests a wrong decoding.
pub(super) fn is_bad(text: &str) -> bool {
    static BADNESS: LazyLock<Regex> = LazyLock::new(|| Regex::new(&rules().join("|")).expect("a constant pattern"));
    BADNESS.is_match(text)
}

/// A character class of several of the sets above.
fn any_of(sets: &[&str]) -> String {
    format!("[{}]", sets.concat())
}

fn rules() -> Vec<String> {
    let accented = any_of(&[LOWER_ACCENTED, UPPER_ACCENTED]);
    let (upper, lower) = (any_of(&[UPPER_ACCENTED]), any_of(&[LOWER_ACCENTED]));
    let (bad, boxes, numeric) = (any_of(&[BAD]), any_of(&[BOX]), any_of(&[NUMERIC]));
    let (opening, closing, currency) = (any_of(&[OPENING]), any_of(&[CLOSING]), any_of(&[CURRENCY]));
    let next_to_bad = any_of(&[
        LOWER_ACCENTED,
        UPPER_ACCENTED,
        BOX,
        OPENING,
        CLOSING,
        CURRENCY,
        NUMERIC,
        LAW,
    ]);
    let signs = any_of(&[OPENING, CLOSING]);
    // Arabic and the two-byte alphabets consist of frequent characters, so that two or three pairs are asked for.
    let arabic = format!("[ØÙ]{}", any_of(&[COMMON, CURRENCY, BAD, NUMERIC, OPENING, "ŸŠ®°µ»"]));
    let between = |more: &str| any_of(&[C1, BAD, OPENING, CLOSING, CURRENCY, more]);

    vec![
        any_of(&[C1]),
        format!(
            "{}{bad}",
            any_of(&[
                BAD,
                LOWER_ACCENTED,
                UPPER_ACCENTED,
                BOX,
                OPENING,
                CLOSING,
                CURRENCY,
                NUMERIC,
                LAW
            ])
        ),
        format!("[a-zA-Z]{}{bad}", any_of(&[LOWER_COMMON, UPPER_COMMON])),
        format!("{bad}{next_to_bad}"),
        format!(
            "{}{upper}",
            any_of(&[LOWER_ACCENTED, LOWER_COMMON, BOX, CLOSING, CURRENCY, NUMERIC])
        ),
        format!("{}{lower}", any_of(&[BOX, CLOSING, CURRENCY, NUMERIC])),
        format!("{}{currency}", any_of(&[LOWER_ACCENTED, BOX, CLOSING])),
        // Python counts the four ASCII separators as space.
        format!(r"[\s\x1c-\x1f]{upper}{currency}"),
        format!("{}{}", any_of(&[UPPER_ACCENTED, BOX]), any_of(&[NUMERIC, LAW])),
        format!(
            "{}{opening}{numeric}",
            any_of(&[LOWER_ACCENTED, UPPER_ACCENTED, BOX, CURRENCY, CLOSING])
        ),
        format!(
            "{}{closing}{opening}",
            any_of(&[LOWER_ACCENTED, UPPER_ACCENTED, CURRENCY, NUMERIC, BOX, LAW])
        ),
        format!("{}{opening}", any_of(&[CURRENCY, NUMERIC, BOX])),
        format!("[a-z]{upper}{}", any_of(&[OPENING, CURRENCY])),
        format!("{boxes}{}", any_of(&[FACES])),
        format!(
            "{}{boxes}",
            any_of(&[LOWER_ACCENTED, UPPER_ACCENTED, CURRENCY, NUMERIC, OPENING, CLOSING, LAW])
        ),
        format!("{boxes}{closing}"),
        // Python's `\w` has no combining marks.
        format!(r"{accented}{signs}[\p{{L}}\p{{N}}_]"),
        "[Œœ][^A-Za-z]".to_owned(),
        format!("{upper}°"),
        // UTF-8 read as Windows-1252: two-byte sequences that the rules above miss, then Arabic, then South Asia.
        format!("[ÂÃÎÐ]{}", any_of(&["€œŠš¢£Ÿž\u{a0}\u{ad}®©°·»–—´", OPENING, CLOSING])),
        "×[²³]".to_owned(),
        format!("{arabic}{arabic}"),
        "à[²µ¹¼½¾]".to_owned(),
        // UTF-8 read as Mac Roman.
        "√[±∂†≠®™´≤≥¥µø]".to_owned(),
        "≈[°¢]".to_owned(),
        "‚Ä[ìîïòôúùû†°¢π]".to_owned(),
        "‚[âó][àä°ê]".to_owned(),
        // UTF-8 read as Windows-1251: punctuation, Latin-1 and Cyrillic, twice wrong.
        "вЂ".to_owned(),
        format!("[ВГРС]{}[ВГРС]", between("°µ")),
        "ГўВЂВ.[A-Za-z ]".to_owned(),
        // `à` and `á` and spaces of Windows-1252.
        "Ã[\u{a0}¡]".to_owned(),
        r"[a-z][\s\x1c-\x1f]?[ÃÂ] ".to_owned(),
        "^[ÃÂ] ".to_owned(),
        format!("{}Â{}", any_of(&["a-z.,?!", CLOSING]), any_of(&[" ", OPENING, CLOSING])),
        // UTF-8 read as Windows-1253 and as Windows-1257.
        "β€[™\u{a0}Ά\u{ad}®°]".to_owned(),
        format!("[ΒΓΞΟ]{}[ΒΓΞΟ]", between("°")),
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
            "ΞΊΞ±Ξ»Ξ·ΞΌΞ­ΟΞ±",
            "â”€â”€",
        ] {
            assert!(is_bad(text), "{text}");
        }
    }
}
