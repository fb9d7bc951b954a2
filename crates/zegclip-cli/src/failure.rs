//! Failures as the user sees them: `error: FACT`, then `hint: FIX` on its own line.

use std::error::Error;
use std::process::ExitCode;

use crate::hints::Explain;
use crate::notices;

/// A fact, and what to do about it where that is known.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    fact: String,
    hint: Option<String>,
}

/// Why the program ends without success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line asks for something impossible.
    Usage(Message),
    /// Something could not be done.
    Failed(Message),
    /// Single images failed and were reported; the others are done.
    Partly {
        /// Images that failed.
        failed: usize,
        /// All images.
        total: usize,
    },
    /// A signal came before all was done; the program ends as by that signal.
    Signaled(Message, i32),
    /// The reader of stdout has closed it.
    ClosedPipe,
}

impl Failure {
    pub(crate) fn usage(message: impl Into<Message>) -> Self {
        Self::Usage(message.into())
    }

    pub(crate) fn failed(message: impl Into<Message>) -> Self {
        Self::Failed(message.into())
    }

    /// Adds a hint, in place of the one that the message has.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Self::Usage(message) | Self::Failed(message) | Self::Signaled(message, _) = &mut self {
            message.hint = Some(hint.into());
        }
        self
    }

    /// Prints the message on stderr.
    pub(crate) fn report(&self) {
        match self {
            Self::Usage(message) | Self::Failed(message) | Self::Signaled(message, _) => {
                notices::line(format_args!("error: {}", message.fact));
                if let Some(hint) = &message.hint {
                    notices::line(format_args!("hint: {hint}"));
                }
            }
            Self::Partly { failed, total } => notices::line(format_args!("error: {failed} of {total} images failed")),
            Self::ClosedPipe => {}
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => 2,
            Self::Failed(_) | Self::Partly { .. } | Self::Signaled(..) => 1,
            // A broken pipe is success.
            Self::ClosedPipe => 0,
        })
    }
}

impl From<String> for Message {
    fn from(fact: String) -> Self {
        Self { fact, hint: None }
    }
}

impl From<&str> for Message {
    fn from(fact: &str) -> Self {
        fact.to_owned().into()
    }
}

impl<E: Explain> From<E> for Message {
    fn from(error: E) -> Self {
        Self {
            fact: with_sources(&error),
            hint: error.hint(),
        }
    }
}

impl<E: Explain> From<E> for Failure {
    fn from(error: E) -> Self {
        if error.is_usage() {
            Self::usage(error)
        } else {
            Self::failed(error)
        }
    }
}

/// The error, followed by those of its sources that its own text does not contain.
fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        // Parsers write an excerpt around the message that the error's own text has.
        let mut lines = cause.lines().map(str::trim).filter(|line| line.contains(' '));
        if !text.contains(&cause) && !lines.any(|line| text.contains(line)) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use zegclip_data::DataError;
    use zegclip_data::datasets::DatasetError;

    use super::*;

    #[test]
    fn sources_are_named_once() {
        let source = std::io::Error::other("no such disk");
        let error = DataError::Io {
            action: "read",
            path: "a.png".into(),
            source,
        };
        let text = with_sources(&DatasetError::Data(error));
        assert_eq!(text, "cannot read `a.png`: no such disk");
    }

    #[test]
    fn hints_come_from_the_innermost_error() {
        let error = DataError::NotText {
            path: "names.txt".into(),
        };
        let Failure::Failed(message) = Failure::from(DatasetError::Data(error)) else {
            panic!("a wrong file is not a wrong command line");
        };
        assert_eq!(message.hint.as_deref(), Some("save the file as UTF-8"));
    }
}
