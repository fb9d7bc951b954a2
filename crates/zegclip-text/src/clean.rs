//! The order of the steps.

use std::sync::LazyLock;

use regex::Regex;
use unicode_normalization::UnicodeNormalization;

use crate::characters::{is_control, is_python_space, simplify};
use crate::html::{unescape, unescape_unambiguous};
use crate::mojibake::fix_encoding;

/// Cleans `text` as CLIP does before its tokenizer: [`fix_text`], [`unescape`] twice, every run of white space to one space,
/// no space at the ends, lower case.
///
/// White space is what Python's `str.split` takes as such: Unicode's, and the ASCII separators U+001C to U+001F.
///
/// # Example
/// ```
/// assert_eq!(zegclip_text::clean(" Wine&amp;amp;Cheese\tBOARD "), "wine&cheese board");
/// ```
pub fn clean(text: &str) -> String {
    let text = unescape(&unescape(&fix_text(text)));
    let words: Vec<&str> = text.split(is_python_space).filter(|word| !word.is_empty()).collect();
    words.join(" ").to_lowercase()
}

/// Repairs Unicode text as `ftfy.fix_text` of ftfy 6.3 does with its defaults, in NFC.
///
/// Line by line, until nothing changes: complete HTML references (until a line contains `<`), text decoded with the wrong
/// code page, Latin ligatures, full- and half-width forms, curly quotes, line breaks, terminal escapes, control characters.
/// Printable ASCII without `&` is returned unchanged.
///
/// # Example
/// ```
/// use zegclip_text::fix_text;
///
/// assert_eq!(fix_text("âœ” No problems"), "✔ No problems");
/// assert_eq!(fix_text("ﬂuﬃest ＬＯＵＤ"), "fluffiest LOUD");
/// assert_eq!(fix_text("Ångström – naïve"), "Ångström – naïve");
/// ```
pub fn fix_text(text: &str) -> String {
    if needs_no_repair(text) {
        return text.to_owned();
    }
    let mut fixed = String::with_capacity(text.len());
    let mut is_markup = false;
    for line in text.split_inclusive('\n') {
        // As in ftfy, text from the first literal `<` on is HTML, whose references stay.
        is_markup |= line.contains('<');
        fixed.push_str(&fix_line(line, !is_markup));
    }
    fixed
}

/// Printable ASCII without a possible HTML reference: nearly every class name.
fn needs_no_repair(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'&')
}

fn fix_line(line: &str, unescape_html: bool) -> String {
    let mut text = line.to_owned();
    loop {
        let mut fixed = text.clone();
        if unescape_html {
            fixed = unescape_unambiguous(&fixed);
        }
        fixed = simplify(&fix_encoding(&fixed));
        fixed = remove_terminal_escapes(&fixed);
        fixed = fixed.chars().filter(|&c| !is_control(c)).nfc().collect();
        if fixed == text {
            return fixed;
        }
        text = fixed;
    }
}

/// Removes ANSI sequences such as those for colors.
fn remove_terminal_escapes(text: &str) -> String {
    static ESCAPE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\x1b\[[\d;]*[a-zA-Z]").expect("a constant pattern"));
    ESCAPE.replace_all(text, "").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_only_lower_cased() {
        assert_eq!(clean("Wine-Glass (small)"), "wine-glass (small)");
    }

    #[test]
    fn spaces_of_every_kind_collapse() {
        assert_eq!(clean("\t a\u{3000}\u{a0}b \u{2028} c\n"), "a b c");
    }

    #[test]
    fn lower_case_follows_the_context_as_in_python() {
        assert_eq!(clean("İSTANBUL ΟΔΟΣ ΟΔΟΣ."), "i̇stanbul οδος οδος.");
        assert_eq!(clean("ẞ ǅ Σ"), "ß dž σ");
    }

    #[test]
    fn references_stay_in_markup_until_the_last_step() {
        // ftfy leaves both lines alone after `<`, then `html.unescape` runs twice over everything.
        assert_eq!(fix_text("&amp;\n<b>&eacute;\n&eacute;"), "&\n<b>&eacute;\n&eacute;");
        assert_eq!(clean("&amp;\n<b>&eacute;\n&amp;eacute;"), "& <b>é é");
    }

    #[test]
    fn terminal_colors_and_controls_disappear() {
        assert_eq!(clean("\u{1b}[36;44mblue\u{1b}[0m\u{feff}\u{7f} sky"), "blue sky");
    }

    #[test]
    fn combining_characters_are_composed() {
        assert_eq!(clean("cafe\u{301}"), "café");
    }
}
