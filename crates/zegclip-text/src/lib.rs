//! Text clean-up as Python's `ftfy.fix_text` and `html.unescape` do it, and CLIP's tokenizer.
//!
//! - [`fix_text`]: repair of mojibake, ligatures, full-width forms, curly quotes, control characters (ftfy 6.3, defaults);
//! - [`unescape`]: HTML character references (Python 3's `html.unescape`);
//! - [`clean`]: what CLIP does to a text before its tokenizer: both, then single spaces and lower case;
//! - [`templates`]: published prompt templates;
//! - [`tokenizer`]: CLIP's byte-pair encoding (feature `tokenizer`, on by default).
//!
//! A class name typed with curly quotes, copied from a web page or decoded with the wrong code page gets the same token ids
//! as in the published systems.
//!
//! ```
//! assert_eq!(zegclip_text::fix_text("voilÃ le “cafÃ©”"), "voilà le \"café\"");
//! assert_eq!(zegclip_text::unescape("salt &amp; pepper"), "salt & pepper");
//! assert_eq!(zegclip_text::clean("A  Dog&#39;s\u{3000}BOWL"), "a dog's bowl");
//! ```
//!
//! # Limits
//! - Input is UTF-8 (`str`). Surrogates cannot occur, so ftfy's repair of them is absent.
//! - A line longer than a million characters is not split, unlike in ftfy. Time is linear in the length for plain text;
//!   damaged lines are repaired until nothing changes.
//! - Character properties are those of this build's Unicode tables. Characters newer than the Unicode version of a Python
//!   (14 in Python 3.11) may be split into words or lower-cased differently there.
//! - ftfy's options and its explanations of what it did are absent.

#![forbid(unsafe_code)]

mod badness;
mod characters;
mod clean;
mod code_page;
mod html;
mod mojibake;
pub mod templates;
#[cfg(feature = "tokenizer")]
pub mod tokenizer;
mod utf8_bytes;

pub use clean::{clean, fix_text};
pub use html::unescape;
