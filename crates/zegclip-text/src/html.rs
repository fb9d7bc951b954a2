//! HTML character references, as Python's `html.unescape` and ftfy decode them.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use htmlize::ENTITIES;
use regex::{Captures, Regex};

use crate::code_page::CodePage;

/// Control characters and the non-characters in the middle of the first plane, which `html.unescape` drops.
const DROPPED: [RangeInclusive<u32>; 5] = [1..=8, 0xb..=0xb, 0xe..=0x1f, 0x7f..=0x9f, 0xfdd0..=0xfdef];

/// Decodes HTML character references as Python's `html.unescape` does, also those without a semicolon.
///
/// Names are those of HTML 5; of an unknown name the longest known prefix is decoded. Numbers 128 to 159 stand for
/// Windows-1252 characters, invalid ones for U+FFFD, control characters and non-characters for nothing.
///
/// # Example
/// ```
/// use zegclip_text::unescape;
///
/// assert_eq!(unescape("P&eacute;rez &amp &notit; &#x1F600; &#128;"), "Pérez & ¬it; 😀 €");
/// assert_eq!(unescape("R&D &nosuch;"), "R&D &nosuch;");
/// ```
pub fn unescape(text: &str) -> String {
    static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\x0c <&#;]{1,32};?)").expect("a constant pattern")
    });
    if !text.contains('&') {
        return text.to_owned();
    }
    REFERENCE
        .replace_all(text, |found: &Captures| decode(&found[0]))
        .into_owned()
}

/// Decodes only unambiguous references: complete, with a semicolon. As in ftfy, names of lower-case entities are also known
/// in capitals: `P&EACUTE;REZ`.
pub(crate) fn unescape_unambiguous(text: &str) -> String {
    static REFERENCE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new("&#?[0-9A-Za-z]{1,24};").expect("a constant pattern"));
    if !text.contains('&') {
        return text.to_owned();
    }
    let decode_complete = |found: &Captures| {
        let reference = &found[0];
        if reference.starts_with("&#") {
            let decoded = unescape(reference);
            return if decoded.contains(';') {
                reference.to_owned()
            } else {
                decoded
            };
        }
        entity(reference)
            .map(str::to_owned)
            .or_else(|| capital_entity(reference))
            .unwrap_or_else(|| reference.to_owned())
    };
    REFERENCE.replace_all(text, decode_complete).into_owned()
}

/// The characters of a complete entity, `&` and the semicolon (if its name has one) included.
fn entity(reference: &str) -> Option<&'static str> {
    ENTITIES
        .get(reference.as_bytes())
        .and_then(|characters| std::str::from_utf8(characters).ok())
}

/// The capitals of an entity with a lower-case name, unless the name in capitals is an entity itself.
fn capital_entity(reference: &str) -> Option<String> {
    if reference.contains(|c: char| c.is_ascii_lowercase()) || decode(reference) != reference {
        return None;
    }
    entity(&reference.to_ascii_lowercase()).map(str::to_uppercase)
}

fn decode(reference: &str) -> String {
    let body = reference.trim_start_matches('&').trim_end_matches(';');
    match body.strip_prefix('#') {
        Some(number) => decode_number(number),
        None => decode_name(reference),
    }
}

fn decode_number(number: &str) -> String {
    let (digits, radix) = match number.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    // Only a number that is too large fails, and it is not a character either.
    let code = u32::from_str_radix(digits, radix).unwrap_or(u32::MAX);
    if let 0x80..=0x9f = code {
        return char::from_u32(code)
            .map(|c| CodePage::WINDOWS_1252.replace_c1_control(c))
            .into_iter()
            .collect();
    }
    if DROPPED.iter().any(|range| range.contains(&code)) {
        return String::new();
    }
    match char::from_u32(code) {
        Some(_) if code & 0xfffe == 0xfffe => String::new(),
        None | Some('\0') => '\u{fffd}'.to_string(),
        Some(c) => c.to_string(),
    }
}

/// Decodes the longest name that `reference` begins with and keeps what follows it.
fn decode_name(reference: &str) -> String {
    // Python looks for names of two letters or more, and for all of `reference` whatever its length.
    let shorter = reference.char_indices().map(|(end, _)| end).skip(3);
    let ends = shorter.chain(std::iter::once(reference.len()));
    for end in ends.collect::<Vec<_>>().into_iter().rev() {
        let (name, rest) = reference.split_at(end);
        if let Some(characters) = entity(name) {
            return format!("{characters}{rest}");
        }
    }
    reference.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_decoded_with_and_without_semicolon() {
        assert_eq!(
            unescape("&amp;&amp &notit; &CounterClockwiseContourIntegral;"),
            "&& ¬it; ∳"
        );
        assert_eq!(unescape("&;& &nosuch; &l &lt &é;"), "&;& &nosuch; &l < &é;");
    }

    #[test]
    fn numbers_are_decoded_as_python_does() {
        assert_eq!(unescape("&#65;&#x41&#X41;&#128;&#x85;&#129;"), "AAA€…\u{81}");
        assert_eq!(
            unescape("[&#0;|&#xd800;|&#x110000;|&#99999999999;]"),
            "[\u{fffd}|\u{fffd}|\u{fffd}|\u{fffd}]"
        );
        assert_eq!(unescape("[&#1;&#11;&#x7f;&#xfdd0;&#xfffe;&#x1ffff;]"), "[]");
        assert_eq!(unescape("&#13;&#x1f600; &# &#x; &#xg;"), "\r😀 &# &#x; &#xg;");
    }

    #[test]
    fn ambiguous_references_are_kept() {
        assert_eq!(
            unescape_unambiguous("this&not that &ampx; &notit;"),
            "this&not that &ampx; &notit;"
        );
        assert_eq!(unescape_unambiguous("&#x3b; &#12a; &#x41;"), "&#x3b; &#12a; A");
        assert_eq!(unescape_unambiguous("&semi;&lt;"), ";<");
    }

    #[test]
    fn names_in_capitals_are_known() {
        assert_eq!(unescape_unambiguous("P&EACUTE;REZ STRA&SZLIG;E"), "PÉREZ STRASSE");
        assert_eq!(
            unescape_unambiguous("&ntilde; &Ntilde; &NTILDE; &nTILDE;"),
            "ñ Ñ Ñ &nTILDE;"
        );
        assert_eq!(unescape_unambiguous("&SUP3; &FRAC12;"), "³ ½");
    }
}
