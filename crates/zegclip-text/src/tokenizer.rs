//! CLIP's byte-pair encoding: text to token ids.
//!
//! A text is [cleaned](crate::clean), split into words, and each word's UTF-8 bytes are merged by CLIP's 48,894 rules. The
//! vocabulary has 49,408 tokens: 256 bytes, 256 bytes that end a word, the merges, and two special ones.

use std::io::Read;
use std::sync::LazyLock;

use flate2::bufread::GzDecoder;
use rayon::prelude::*;
use regex::Regex;
use tokenizers::Model;
use tokenizers::models::bpe::{BPE, Merges, Vocab};

use crate::clean;

/// Id of the token that starts every sequence.
pub const START_OF_TEXT: u32 = 49_406;
/// Id of the token that ends every sequence, at which the text encoder reads its feature.
pub const END_OF_TEXT: u32 = 49_407;

const START_WORD: &str = "<|startoftext|>";
const END_WORD: &str = "<|endoftext|>";
/// CLIP's pattern of a word. U+0345 (iota subscript) is in none: it is not a letter, but differs from one only in case,
/// which CLIP's pattern ignores.
const WORDS: &str = concat!(
    r"(?i:<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d)",
    r"|\p{L}+|\p{N}|[^\s\p{L}\p{N}\x{345}]+",
);
/// Marks symbols at the end of a word.
const END_OF_WORD: &str = "</w>";

/// CLIP's merge rules, a line each in the order of their rank, after a line with the version.
const MERGES_FILE: &[u8] = include_bytes!("../assets/bpe/bpe_simple_vocab_16e6.txt.gz");
/// The part of the compressed file that contains the rules of CLIP; the rest is not compiled in.
static MERGES_USED: [u8; 213_000] = *match MERGES_FILE.first_chunk() {
    Some(part) => part,
    None => panic!("the merges file is too short"),
};
/// Bytes of the lines that CLIP uses, decompressed.
const MERGES_LENGTH: u64 = 524_645;

/// CLIP's tokenizer. It is `Send` and `Sync`: threads may encode at once.
///
/// # Example
/// ```
/// use zegclip_text::tokenizer::Tokenizer;
///
/// let tokens = Tokenizer::clip().encode("a photo of a cat", 77);
/// assert_eq!(tokens.ids, [49406, 320, 1125, 539, 320, 2368, 49407]);
/// assert!(tokens.fits);
/// ```
#[derive(Debug)]
pub struct Tokenizer {
    words: Regex,
    model: BPE,
    /// The printable character that stands for each byte in the vocabulary.
    byte_symbols: [char; 256],
}

/// Token ids of one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSequence {
    /// Ids from [`START_OF_TEXT`] to the first [`END_OF_TEXT`], at most `context_length`, unpadded.
    pub ids: Vec<u32>,
    /// Whether the text fits into the context. Otherwise `ids` are truncated, and the last one is still [`END_OF_TEXT`].
    pub fits: bool,
}

impl Tokenizer {
    /// Number of token ids.
    pub const VOCABULARY_SIZE: usize = END_OF_TEXT as usize + 1;

    /// The tokenizer with CLIP's vocabulary, built at the first call.
    pub fn clip() -> &'static Self {
        static CLIP: LazyLock<Tokenizer> = LazyLock::new(Tokenizer::build);
        &CLIP
    }

    /// Token ids of `text` for a text encoder that reads `context_length` tokens (77 in all published models).
    ///
    /// A text that contains `<|endoftext|>` ends there, since later tokens do not change the text's feature.
    /// With a `context_length` of 0 there are no ids.
    pub fn encode(&self, text: &str, context_length: usize) -> TokenSequence {
        let mut ids = vec![START_OF_TEXT];
        for word in self.words.find_iter(&clean(text)) {
            match word.as_str() {
                START_WORD => ids.push(START_OF_TEXT),
                END_WORD => ids.push(END_OF_TEXT),
                word => self.push_word(word, &mut ids),
            }
            if ids.len() >= context_length {
                break;
            }
        }
        ids.push(END_OF_TEXT);

        let fits = ids.len() <= context_length;
        ids.truncate(context_length);
        if let Some(last) = ids.last_mut() {
            *last = END_OF_TEXT;
        }
        if let Some(end) = ids.iter().position(|&id| id == END_OF_TEXT) {
            ids.truncate(end + 1);
        }
        TokenSequence { ids, fits }
    }

    /// [`encode`](Self::encode) for many texts, in parallel and in order.
    pub fn encode_batch(&self, texts: &[String], context_length: usize) -> Vec<TokenSequence> {
        texts.par_iter().map(|text| self.encode(text, context_length)).collect()
    }

    /// `ids` followed by zeros up to `context_length`, the form that CLIP's own code passes to its text encoder.
    pub fn pad(ids: &[u32], context_length: usize) -> Vec<u32> {
        let mut padded = ids.to_vec();
        padded.resize(context_length, 0);
        padded
    }

    fn push_word(&self, word: &str, ids: &mut Vec<u32>) {
        let symbols: String = word.bytes().map(|byte| self.byte_symbols[usize::from(byte)]).collect();
        // The model fails only on unknown symbols, and the symbols of all bytes are known.
        let tokens = self
            .model
            .tokenize(&symbols)
            .expect("all symbols are in the vocabulary");
        ids.extend(tokens.iter().map(|token| token.id));
    }

    fn build() -> Self {
        let byte_symbols = byte_symbols();
        let (vocabulary, merges) = vocabulary(&byte_symbols);
        let model = BPE::builder()
            .vocab_and_merges(vocabulary, merges)
            .end_of_word_suffix(END_OF_WORD.to_owned())
            .build()
            .expect("the compiled-in merges are made of tokens");
        let words = Regex::new(WORDS).expect("a constant pattern");
        Self {
            words,
            model,
            byte_symbols,
        }
    }
}

/// The printable characters of Latin-1 stand for themselves, the other bytes for the characters from U+0100 on.
fn byte_symbols() -> [char; 256] {
    let mut free = '\u{100}'..;
    std::array::from_fn(|byte| match u8::try_from(byte).map(char::from) {
        Ok(c @ ('!'..='~' | '¡'..='¬' | '®'..='ÿ')) => c,
        _ => free.next().unwrap_or_default(),
    })
}

/// All tokens with their ids, and the merge rules.
fn vocabulary(byte_symbols: &[char; 256]) -> (Vocab, Merges) {
    let merges = merges();
    // The ids of bytes follow their symbols: first those that stand for themselves.
    let mut bytes = *byte_symbols;
    bytes.sort_unstable();
    let tokens = (bytes.iter().map(char::to_string))
        .chain(bytes.iter().map(|symbol| format!("{symbol}{END_OF_WORD}")))
        .chain(merges.iter().map(|(first, second)| format!("{first}{second}")))
        .chain([START_WORD.to_owned(), END_WORD.to_owned()]);
    (tokens.zip(0..).collect(), merges)
}

fn merges() -> Merges {
    let mut text = String::new();
    let read = GzDecoder::new(MERGES_USED.as_slice())
        .take(MERGES_LENGTH)
        .read_to_string(&mut text);
    read.expect("the compiled-in merges decompress");
    let pairs = text.lines().skip(1).filter_map(|line| line.split_once(' '));
    pairs
        .map(|(first, second)| (first.to_owned(), second.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Recorded {
        text: String,
        ids: Vec<u32>,
        fits: bool,
    }

    #[test]
    fn parity_tokenizer_with_every_recorded_line() {
        for case in test_support::cases("tokenizer") {
            let name = case.folder.display();
            let lines = std::fs::read_to_string(case.folder.join("tokens.jsonl")).unwrap();
            let recorded: Vec<Recorded> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(recorded.len(), case.number("/count"), "lines in {name}");

            let texts: Vec<String> = recorded.iter().map(|line| line.text.clone()).collect();
            let tokens = Tokenizer::clip().encode_batch(&texts, case.number("/context_length"));
            for (line, tokens) in recorded.into_iter().zip(tokens) {
                let Recorded { text, ids, fits } = line;
                assert_eq!(tokens, TokenSequence { ids, fits }, "{text:?} in {name}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn tokens_spell_the_words_of_the_text(text in proptest::collection::vec(proptest::prelude::any::<char>(), 0..40)) {
            let tokenizer = Tokenizer::clip();
            let text = String::from_iter(text);
            let tokens = tokenizer.encode(&text, 10_000);
            proptest::prop_assert!(tokens.fits);
            let symbols: String = tokens.ids[1..tokens.ids.len() - 1]
                .iter()
                .map(|id| tokenizer.model.id_to_token(*id).expect("an id of the vocabulary"))
                .map(|token| token.trim_end_matches(END_OF_WORD).to_owned())
                .collect();
            let byte = |symbol: char| tokenizer.byte_symbols.iter().position(|known| *known == symbol);
            let bytes: Vec<u8> = symbols.chars().map(|symbol| byte(symbol).expect("a byte") as u8).collect();
            let cleaned = clean(&text);
            let words: String = tokenizer.words.find_iter(&cleaned).map(|word| word.as_str()).collect();
            proptest::prop_assert_eq!(bytes, words.into_bytes());
        }
    }

    #[test]
    fn tokenizers_are_shared_between_threads() {
        fn assert_send_sync<T: Send + Sync>() {}
        assert_send_sync::<Tokenizer>();
    }

    #[test]
    fn the_vocabulary_is_complete() {
        let model = &Tokenizer::clip().model;
        assert_eq!(model.get_vocab_size(), 49_408);
        for (token, id) in [
            ("!", 0),
            ("Ń", 255),
            ("!</w>", 256),
            ("in", 512),
            ("jekyll</w>", 49_405),
        ] {
            assert_eq!(model.token_to_id(token), Some(id), "{token}");
        }
        assert_eq!(model.token_to_id(START_WORD), Some(START_OF_TEXT));
        assert_eq!(model.token_to_id(END_WORD), Some(END_OF_TEXT));
    }

    #[test]
    fn long_texts_are_cut_and_still_end() {
        let tokenizer = Tokenizer::clip();
        for (context, ids, fits) in [
            (6, vec![49406, 320, 2368, 537, 1929, 49407], true),
            (5, vec![49406, 320, 2368, 537, 49407], false),
            (2, vec![49406, 49407], false),
            (1, vec![49407], false),
            (0, vec![], false),
        ] {
            assert_eq!(
                tokenizer.encode("a cat and dog", context),
                TokenSequence { ids, fits },
                "{context}"
            );
        }
        let word = tokenizer.encode(&"x".repeat(100_000), 77);
        assert_eq!(
            (word.ids.len(), word.ids.last(), word.fits),
            (77, Some(&END_OF_TEXT), false)
        );
    }

    #[test]
    fn an_end_inside_the_text_ends_it() {
        let tokens = Tokenizer::clip().encode("cat <|endoftext|> dog", 77);
        assert_eq!(
            tokens,
            TokenSequence {
                ids: vec![49406, 2368, 49407],
                fits: true
            }
        );
    }

    #[test]
    fn padding_is_zero() {
        assert_eq!(
            Tokenizer::pad(&[START_OF_TEXT, END_OF_TEXT], 4),
            [START_OF_TEXT, END_OF_TEXT, 0, 0]
        );
    }

    #[test]
    fn batches_keep_the_order() {
        let texts: Vec<String> = (0..200).map(|number| format!("class {number}")).collect();
        let tokenizer = Tokenizer::clip();
        let one_by_one: Vec<TokenSequence> = texts.iter().map(|text| tokenizer.encode(text, 77)).collect();
        assert_eq!(tokenizer.encode_batch(&texts, 77), one_by_one);
    }
}
