//! Repair of text that was encoded as UTF-8 and decoded with a single-byte code page ("mojibake").
//!
//! The steps are those of ftfy's `fix_encoding`: nothing is touched unless the [badness](super::badness) of the text
//! calls for it.

use super::badness::is_bad;
use super::code_page::{CANDIDATES, CodePage, latin_like};
use super::utf8_bytes::{decode, replace_lossy_sequences, restore_byte_a0};

/// Undoes wrong decodings of `text`, several on top of each other included.
pub(super) fn fix_encoding(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some(fixed) = fix_one_layer(&text).filter(|fixed| *fixed != text) {
        text = fixed;
    }
    text
}

/// One step of the repair, or none where there is nothing to do.
fn fix_one_layer(text: &str) -> Option<String> {
    if text.is_ascii() || !is_bad(text) {
        return None;
    }
    let decoded = CANDIDATES.iter().enumerate().find_map(|(index, page)| {
        let mut bytes = page.encode(text)?;
        // In Mac Roman these bytes are a dash and a space.
        if index != MAC_ROMAN {
            bytes = restore_byte_a0(bytes);
        }
        decode(if page.lossy {
            replace_lossy_sequences(&bytes)
        } else {
            bytes
        })
    });
    decoded
        .or_else(|| Some(fix_embedded(text)).filter(|fixed| fixed != text))
        .or_else(|| text.contains(is_c1_control).then(|| fix_c1_controls(text)))
}

/// The place of Mac Roman among the candidates.
const MAC_ROMAN: usize = 8;

/// Repairs the parts of `text` that look like UTF-8 where the whole has no consistent reading.
fn fix_embedded(text: &str) -> String {
    let characters: Vec<(usize, char)> = text.char_indices().collect();
    let clues: Vec<Clue> = characters.iter().map(|&(_, c)| Clue::of(c)).collect();
    let offset = |index: usize| characters.get(index).map_or(text.len(), |&(offset, _)| offset);

    let mut fixed = String::with_capacity(text.len());
    let mut start = 0;
    while start < clues.len() {
        // Sequences right after another continuation are part of a greater mess that is better left alone.
        let follows = start
            .checked_sub(1)
            .and_then(|before| clues.get(before))
            .is_some_and(|clue| clue.is_strict);
        let length = if follows {
            0
        } else {
            sequences_length(clues.get(start..).unwrap_or_default())
        };
        let end = start + length.max(1);
        let part = text.get(offset(start)..offset(end)).unwrap_or_default();
        if length > 0 && length < clues.len() && is_bad(part) {
            fixed.push_str(&fix_encoding(part));
        } else {
            fixed.push_str(part);
        }
        start = end;
    }
    fixed
}

/// The number of characters of the longest run of UTF-8 sequences that `clues` begin with.
fn sequences_length(clues: &[Clue]) -> usize {
    let mut length = 0;
    while let Some((first, others)) = clues.get(length..).and_then(<[Clue]>::split_first) {
        let continuations = others.iter().take(3).take_while(|clue| clue.is_continuation).count();
        match first
            .leads
            .iter()
            .zip(1..)
            .find(|&(&is_lead, needed)| is_lead && continuations >= needed)
        {
            Some((_, needed)) => length += 1 + needed,
            None => break,
        }
    }
    length
}

/// The part that a character may have in UTF-8 read with one of the Latin-like code pages.
struct Clue {
    /// First of two, three or four bytes.
    leads: [bool; 3],
    is_continuation: bool,
    /// A continuation that seldom stands for itself next to mojibake, as spaces, dashes and quotes do.
    is_strict: bool,
}

impl Clue {
    fn of(c: char) -> Self {
        let among = |accepted: fn(u8) -> bool| latin_like().iter().filter_map(|page| page.byte(c)).any(accepted);
        let is_continuation = among(|byte| matches!(byte, 0x80..=0xbf));
        Self {
            leads: [
                among(|byte| matches!(byte, 0xc2..=0xdf)),
                among(|byte| matches!(byte, 0xe0..=0xef)),
                // The other leads of four bytes belong to unassigned characters.
                among(|byte| matches!(byte, 0xf0 | 0xf3)),
            ],
            is_continuation: is_continuation || c == ' ',
            is_strict: is_continuation && !"–—―‘’‚“”„•…".contains(c),
        }
    }
}

fn is_c1_control(c: char) -> bool {
    ('\u{80}'..='\u{9f}').contains(&c)
}

/// Latin-1 that was meant to be Windows-1252.
fn fix_c1_controls(text: &str) -> String {
    text.chars()
        .map(|c| CodePage::WINDOWS_1252.replace_c1_control(c))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_decodings_are_undone() {
        for (broken, whole) in [
            ("cafÃ©", "café"),
            ("voilÃ le travail", "voilà le travail"),
            ("âœ” No problems", "✔ No problems"),
            ("РџСЂРёРІРµС‚", "Привет"),
            ("â€œ like this â€\u{fffd}", "“ like this \u{fffd}"),
            ("\u{82}quoted\u{91}", "‚quoted‘"),
            ("Ã\u{83}Â©", "é"),
        ] {
            assert_eq!(fix_encoding(broken), whole);
        }
    }

    #[test]
    fn embedded_mojibake_is_found_in_good_text() {
        assert_eq!(fix_encoding("日本 cafÃ©s"), "日本 cafés");
    }

    #[test]
    fn good_text_is_left_alone() {
        for text in ["Ångström", "Ã", "日本語", "Çà et là", "500 €", "fiancé – naïve…"] {
            assert_eq!(fix_encoding(text), text);
        }
    }
}
