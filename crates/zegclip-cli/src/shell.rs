//! Commands that can be pasted into a shell.

/// Quotes each argument where a shell needs it.
pub(crate) fn command(arguments: impl IntoIterator<Item = String>) -> String {
    let quoted: Vec<String> = arguments.into_iter().map(quoted).collect();
    quoted.join(" ")
}

fn quoted(argument: String) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "-_./=:,+@".contains(letter);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        return argument;
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn commands_can_be_pasted() {
        let arguments = ["zegclip", "eval", "--output", "my results", "it's", ""];
        assert_eq!(
            super::command(arguments.map(str::to_owned)),
            r"zegclip eval --output 'my results' 'it'\''s' ''"
        );
    }
}
