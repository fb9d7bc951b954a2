//! Repair of text that was encoded as UTF-8 and decoded with a single-byte code page ("mojibake").
//!
//! The steps are those of ftfy's `fix_encoding`: text without a [bad sequence](crate::badness) is not
//! changed.

use crate::badness::is_bad;
use crate::code_page::{CANDIDATES, CodePage, latin_like};
use crate::utf8_bytes::{decode, replace_lossy_sequences, restore_byte_a0};

/// Undoes wrong decodings of `text`, also repeated ones.
pub(crate) fn fix_encoding(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some(fixed) = fix_one_layer(&text).filter(|fixed| *fixed != text) {
        text = fixed;
    }
    text
}

/// One step of the repair; `None` if nothing is to be repaired.
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

/// Index of Mac Roman in [`CANDIDATES`].
const MAC_ROMAN: usize = 8;

/// Repairs the parts of `text` that look like UTF-8 where the complete text has no consistent decoding.
fn fix_embedded(text: &str) -> String {
    let characters: Vec<(usize, char)> = text.char_indices().collect();
    let clues: Vec<Clue> = characters.iter().map(|&(_, c)| Clue::of(c)).collect();
    let offset = |index: usize| characters.get(index).map_or(text.len(), |&(offset, _)| offset);

    let mut fixed = String::with_capacity(text.len());
    let mut start = 0;
    while start < clues.len() {
        // As in ftfy: a sequence right after a continuation byte is not repaired.
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

/// The roles that a character can have in UTF-8 decoded with one of the Latin-like code pages.
struct Clue {
    /// First of two, three or four bytes.
    leads: [bool; 3],
    is_continuation: bool,
    /// A continuation that is not a space, dash or quote, which also occur next to mojibake.
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
        for (broken, fixed) in [
            ("cafÃ©", "café"),
            ("voilÃ le travail", "voilà le travail"),
            ("âœ” No problems", "✔ No problems"),
            ("РџСЂРёРІРµС‚", "Привет"),
            ("â€œ like this â€\u{fffd}", "“ like this \u{fffd}"),
            ("\u{82}quoted\u{91}", "‚quoted‘"),
            ("Ã\u{83}Â©", "é"),
        ] {
            assert_eq!(fix_encoding(broken), fixed);
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
