//! UTF-8 with damaged bytes, and its variants CESU-8 and Java's.

use std::sync::LazyLock;

use regex::bytes::{Captures, Regex};

/// Decodes UTF-8 in which surrogate pairs may be encoded one by one (CESU-8) and NUL as `C0 80` (Java).
///
/// As in ftfy, a line break that ends the text passes for the last byte of these two sequences.
pub(crate) fn decode(bytes: Vec<u8>) -> Option<String> {
    if !bytes.contains(&0xed) && !bytes.contains(&0xc0) {
        return String::from_utf8(bytes).ok();
    }
    let mut standard = Vec::with_capacity(bytes.len());
    let mut rest = bytes.as_slice();
    loop {
        rest = match rest {
            [] => break,
            [0xc0, 0x80, tail @ ..] => {
                standard.push(0);
                tail
            }
            [0xc0, b'\n'] => {
                standard.push(0);
                break;
            }
            [
                0xed,
                b1 @ 0xa0..=0xaf,
                b2 @ 0x80..=0xbf,
                0xed,
                b4 @ 0xb0..=0xbf,
                b5 @ (0x80..=0xbf | b'\n'),
                tail @ ..,
            ] if *b5 != b'\n' || tail.is_empty() => {
                let bits = |byte: &u8, mask: u8, shift: u32| u32::from(byte & mask) << shift;
                let code = 0x1_0000 + bits(b1, 0xf, 16) + bits(b2, 0x3f, 10) + bits(b4, 0xf, 6) + bits(b5, 0x3f, 0);
                standard.extend(char::from_u32(code)?.encode_utf8(&mut [0; 4]).bytes());
                tail
            }
            [byte, tail @ ..] => {
                standard.push(*byte);
                tail
            }
        };
    }
    String::from_utf8(standard).ok()
}

/// Puts back the byte A0 (a no-break space in most code pages) where a space in its place breaks a UTF-8 sequence.
///
/// `C3` before a space is `à`. It is nearly always a word of its own, whose own space is kept, but for Portuguese words.
pub(crate) fn restore_byte_a0(bytes: Vec<u8>) -> Vec<u8> {
    static ALTERED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            r"(?-u)[\xc2\xc3\xc5\xce\xd0\xd9] ",
            r"|[\xe2\xe3] [\x80-\x84\x86-\x9f\xa1-\xbf]",
            r"|[\xe0-\xe3][\x80-\x84\x86-\x9f\xa1-\xbf] ",
            r"|\xf0 [\x80-\xbf][\x80-\xbf]",
            r"|\xf0[\x80-\xbf] [\x80-\xbf]",
            r"|\xf0[\x80-\xbf][\x80-\xbf] ",
        ))
        .expect("a constant pattern")
    });
    if !ALTERED.is_match(&bytes) {
        return bytes;
    }
    let mut with_words = Vec::with_capacity(bytes.len());
    let mut rest = bytes.as_slice();
    while let [byte, tail @ ..] = rest {
        with_words.push(*byte);
        rest = tail;
        if let (0xc3, [b' ', after @ ..]) = (*byte, tail)
            && !A_GRAVE_SUFFIXES.iter().any(|word| after.starts_with(word))
        {
            with_words.extend(b"\xa0 ");
            rest = after;
        }
    }
    let restore = |found: &Captures| {
        found[0]
            .iter()
            .map(|&b| if b == b' ' { 0xa0 } else { b })
            .collect::<Vec<_>>()
    };
    ALTERED.replace_all(&with_words, restore).into_owned()
}

/// What follows `à ` where the space belongs to the letter: `àquele`, `àquela`, `àquilo`, `às`.
const A_GRAVE_SUFFIXES: [&[u8]; 5] = [b" ", b"quele", b"quela", b"quilo", b"s "];

/// Replaces UTF-8 sequences that lost continuation bytes (now 1A, at most one `?`) by that of U+FFFD.
pub(crate) fn replace_lossy_sequences(bytes: &[u8]) -> Vec<u8> {
    static LOSSY: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            r"(?-u)[\xc2-\xdf]\x1a|[\xc2-\xc3]\?",
            r"|\xed[\xa0-\xaf][\x1a?]\xed[\xb0-\xbf][\x1a?\x80-\xbf]",
            r"|\xed[\xa0-\xaf][\x1a?\x80-\xbf]\xed[\xb0-\xbf][\x1a?]",
            r"|[\xe0-\xef][\x1a?][\x1a\x80-\xbf]",
            r"|[\xe0-\xef][\x1a\x80-\xbf][\x1a?]",
            r"|[\xf0-\xf4][\x1a?][\x1a\x80-\xbf][\x1a\x80-\xbf]",
            r"|[\xf0-\xf4][\x1a\x80-\xbf][\x1a?][\x1a\x80-\xbf]",
            r"|[\xf0-\xf4][\x1a\x80-\xbf][\x1a\x80-\xbf][\x1a?]",
            r"|\x1a",
        ))
        .expect("a constant pattern")
    });
    LOSSY.replace_all(bytes, "\u{fffd}".as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_of_utf8_are_decoded() {
        assert_eq!(decode(b"\xed\xa0\xbd\xed\xb8\x8d!".to_vec()).as_deref(), Some("😍!"));
        assert_eq!(decode(b"null \xc0\x80.".to_vec()).as_deref(), Some("null \0."));
        assert_eq!(decode("한국".as_bytes().to_vec()).as_deref(), Some("한국"));
        for broken in [
            b"\xed\xa0\xbd".as_slice(),
            b"\xc0a",
            b"\xff",
            b"\xed\xb8\x8d\xed\xa0\xbd",
        ] {
            assert_eq!(decode(broken.to_vec()), None);
        }
    }

    #[test]
    fn spaces_become_no_break_spaces_inside_letters() {
        assert_eq!(restore_byte_a0(b"voil\xc3 le".to_vec()), "voilà le".as_bytes());
        assert_eq!(restore_byte_a0(b"\xc3 quele dia".to_vec()), "àquele dia".as_bytes());
        assert_eq!(restore_byte_a0(b"\xe2\x80 ".to_vec()), b"\xe2\x80\xa0");
        assert_eq!(restore_byte_a0(b"plain text".to_vec()), b"plain text");
    }

    #[test]
    fn lost_bytes_make_a_replacement_character() {
        assert_eq!(
            replace_lossy_sequences(b"\xe2\x80\x9cquote\xe2\x80\x1a"),
            "“quote\u{fffd}".as_bytes()
        );
        assert_eq!(
            replace_lossy_sequences(b"\xc3? \x1a ?"),
            "\u{fffd} \u{fffd} ?".as_bytes()
        );
    }
}
