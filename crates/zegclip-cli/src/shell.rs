//! Commands that can be pasted into a shell.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;

/// Quotes each argument where a shell needs it.
pub(crate) fn command(arguments: impl IntoIterator<Item = OsString>) -> String {
    let quoted: Vec<String> = arguments.into_iter().map(|argument| quoted(&argument)).collect();
    quoted.join(" ")
}

/// What is not UTF-8, and control characters, are written as `$'caf\xe9'`, which bash, zsh and ksh read.
pub(crate) fn quoted(argument: &OsStr) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "-_./=:,+@".contains(letter);
    match argument.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(is_plain) => text.to_owned(),
        Some(text) if !text.chars().any(char::is_control) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => escaped(argument.as_encoded_bytes()),
    }
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::from("$'");
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\'' | '\\' => text.extend(['\\', letter]),
                letter if letter.is_ascii_control() => hexadecimal(&mut text, letter as u8),
                letter => text.push(letter),
            }
        }
        chunk.invalid().iter().for_each(|byte| hexadecimal(&mut text, *byte));
    }
    text.push('\'');
    text
}

fn hexadecimal(text: &mut String, byte: u8) {
    // A string takes everything.
    let _ = write!(text, "\\x{byte:02x}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_pasted() {
        let arguments = ["zegclip", "eval", "--output", "my results", "it's", "", "a\nb'c"];
        assert_eq!(
            command(arguments.map(OsString::from)),
            r"zegclip eval --output 'my results' 'it'\''s' '' $'a\x0ab\'c'"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_shell_reads_any_bytes_back() {
        use std::os::unix::ffi::OsStrExt;

        let names = [
            &b"r\xe9sultats"[..],
            b"\xff\xfe'\\ \"$x\n\x01",
            "déjà vu\t🐈".as_bytes(),
            b"-e",
        ];
        for name in names {
            let script = format!("printf %s {}", quoted(OsStr::from_bytes(name)));
            let Ok(read) = std::process::Command::new("bash").args(["-c", &script]).output() else {
                eprintln!("skipped: there is no bash");
                return;
            };
            assert_eq!(read.stdout, name, "{script}");
        }
    }
}
