//! What CLIP does to a text before its byte-pair encoding: repair, unescape, collapse spaces, lower-case.
//!
//! CLIP cleans text with Python's `ftfy.fix_text` and `html.unescape`. These files follow the behaviour of ftfy 6.3 and
//! Python 3, so that a class name typed with curly quotes, copied from a web page or decoded with the wrong code page gets
//! the same token ids as in the published system.
//!
//! Lines are repaired one by one, as ftfy does. Unlike ftfy, a line longer than a million characters is not cut, and
//! surrogates need no repair because a `str` has none. Characters newer than the Unicode version of a Python (14 in Python
//! 3.11) may be split or lower-cased differently there.

mod badness;
mod characters;
mod clean;
mod code_page;
mod html;
mod mojibake;
#[cfg(test)]
mod recorded;
mod utf8_bytes;

pub(super) use clean::clean;
