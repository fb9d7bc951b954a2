//! Properties of the clean-up and of the tokenizer for any text.

use proptest::prelude::*;
use zegclip_text::{clean, fix_text, unescape};

/// Characters of mojibake, references, markup, line breaks and case rules, which random characters seldom combine.
const SPECIAL: &[char] = &[
    'Ã',
    'Â',
    'â',
    '€',
    '™',
    '©',
    'ð',
    'Ÿ',
    '˜',
    'Ð',
    'Ñ',
    'Î',
    '\u{a0}',
    '\u{ad}',
    '\u{80}',
    '\u{9d}',
    '\u{1a}',
    '\u{1b}',
    '[',
    'm',
    '&',
    '#',
    'x',
    'l',
    't',
    ';',
    '<',
    '0',
    '9',
    ' ',
    '\n',
    '\r',
    '\u{2028}',
    '\u{85}',
    '\u{1c}',
    '\0',
    'İ',
    'Σ',
    'ẞ',
    'ﬁ',
    'Ａ',
    '\u{3000}',
    '\u{345}',
    '\u{301}',
    '\u{fffd}',
    '\u{f8ff}',
    'í',
    '½',
    '¸',
    '\u{10ffff}',
    '’',
];

fn text() -> impl Strategy<Value = String> {
    let any_characters = prop::collection::vec(any::<char>(), 0..60);
    let special = prop::collection::vec(prop::sample::select(SPECIAL), 0..40);
    let pieces = prop::sample::select(
        &[
            "<|endoftext|>",
            "<|STARTOFTEXT|>",
            "&amp;amp;",
            "&EACUTE;",
            "'ll",
            "cafÃ©",
        ][..],
    );
    let mixed = prop::collection::vec(
        prop_oneof![any::<char>().prop_map(String::from), pieces.prop_map(str::to_owned)],
        0..20,
    );
    prop_oneof![
        any_characters.prop_map(String::from_iter),
        special.prop_map(String::from_iter),
        mixed.prop_map(|pieces| pieces.concat()),
    ]
}

proptest! {
    #[test]
    fn cleaned_text_has_single_spaces_and_lower_case(text in text()) {
        let cleaned = clean(&text);
        prop_assert!(!cleaned.starts_with(' ') && !cleaned.ends_with(' ') && !cleaned.contains("  "));
        prop_assert!(cleaned.chars().all(|c| c == ' ' || !c.is_whitespace()));
        prop_assert_eq!(cleaned.to_lowercase(), cleaned.clone());
    }

    #[test]
    fn repair_of_a_line_is_idempotent(text in text()) {
        let fixed = fix_text(&text);
        // A new line break starts a line of its own, which a second call may repair differently.
        prop_assume!(!fixed.contains('\n'));
        prop_assert_eq!(fix_text(&fixed), fixed);
    }

    #[test]
    fn plain_ascii_is_not_repaired(text in "[ -%'-~]{0,80}") {
        prop_assert_eq!(fix_text(&text), text.clone());
        prop_assert_eq!(unescape(&text), text.clone());
        let cleaned = clean(&text);
        prop_assert_eq!(clean(&cleaned), cleaned);
    }

    #[test]
    fn escaped_text_unescapes_to_itself(text in text()) {
        let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        prop_assert_eq!(unescape(&escaped), text);
    }

    #[test]
    fn numeric_references_stand_for_their_characters(c in any::<char>()) {
        let code = u32::from(c);
        let replaced = code == 0 || (0x80..=0x9f).contains(&code);
        let dropped = c.is_control() && !matches!(c, '\t' | '\n' | '\u{c}' | '\r')
            || (0xfdd0..=0xfdef).contains(&code)
            || code & 0xfffe == 0xfffe;
        prop_assume!(!replaced);
        let expected = if dropped { String::new() } else { c.to_string() };
        prop_assert_eq!(unescape(&format!("&#{code};")), expected.clone());
        prop_assert_eq!(unescape(&format!("&#x{code:X};")), expected);
    }
}

#[cfg(feature = "tokenizer")]
mod tokenizer {
    use super::*;
    use zegclip_text::tokenizer::{END_OF_TEXT, START_OF_TEXT, TokenSequence, Tokenizer};

    const VOCABULARY: u32 = 49_408;
    /// More tokens than any text here has.
    const LONG: usize = 4_096;

    proptest! {
        #[test]
        fn sequences_start_end_and_fit(text in text(), context in 0..100usize) {
            let TokenSequence { ids, .. } = Tokenizer::clip().encode(&text, context);
            prop_assert!(ids.len() <= context);
            prop_assert!(ids.iter().all(|id| *id < VOCABULARY));
            prop_assert_eq!(ids.last().copied(), (context > 0).then_some(END_OF_TEXT));
            prop_assert_eq!(ids.iter().filter(|id| **id == END_OF_TEXT).count(), usize::from(context > 0));
            if context > 1 {
                prop_assert_eq!(ids[0], START_OF_TEXT);
            }
        }

        #[test]
        fn truncation_keeps_the_first_tokens(text in text(), context in 2..60usize) {
            prop_assume!(!clean(&text).contains("<|endoftext|>"));
            let complete = Tokenizer::clip().encode(&text, LONG);
            prop_assert!(complete.fits);
            let truncated = Tokenizer::clip().encode(&text, context);
            prop_assert_eq!(truncated.fits, complete.ids.len() <= context);
            if truncated.fits {
                prop_assert_eq!(truncated, complete);
            } else {
                let mut expected = complete.ids[..context - 1].to_vec();
                expected.push(END_OF_TEXT);
                prop_assert_eq!(truncated.ids, expected);
            }
        }

        #[test]
        fn ascii_has_the_tokens_of_its_cleaned_form(text in "[ -%'-~\t\n]{0,60}") {
            let encode = |text: &str| Tokenizer::clip().encode(text, LONG);
            prop_assert_eq!(encode(&text), encode(&clean(&text)));
        }

        #[test]
        fn padding_keeps_the_ids(text in text(), context in 2..80usize) {
            let ids = Tokenizer::clip().encode(&text, context).ids;
            let padded = Tokenizer::pad(&ids, context);
            prop_assert_eq!(padded.len(), context);
            prop_assert_eq!(&padded[..ids.len()], &ids[..]);
            prop_assert!(padded[ids.len()..].iter().all(|id| *id == 0));
        }
    }
}
