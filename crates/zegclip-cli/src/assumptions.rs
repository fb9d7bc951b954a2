//! What is assumed of a model, on stderr and in reports.

use zegclip::Assumption;
use zegclip_weights::Assumed;

use crate::notices;

/// Prints each assumption as a note, and how to state what is assumed.
pub(crate) fn report(assumptions: &[Assumption], hint: impl FnOnce(&[&str]) -> String) {
    if assumptions.is_empty() {
        return;
    }
    for line in lines(assumptions) {
        notices::line(format_args!("note: {line}"));
    }
    notices::line(format_args!("hint: {}", hint(&keys(assumptions))));
}

/// The assumptions in words; one line for an activation of both encoders of a file.
pub(crate) fn lines(assumptions: &[Assumption]) -> Vec<String> {
    let both = |first: &Assumption| {
        let of_text = |other: &&Assumption| other.property == Assumed::TextActivation;
        let text = assumptions.iter().filter(of_text);
        let mut text = text.filter(|other| other.file == first.file && other.value == first.value);
        first.property == Assumed::VisionActivation && text.next().is_some()
    };
    let mut lines = Vec::new();
    for assumption in assumptions {
        let Assumption { file, property, value } = assumption;
        if both(assumption) {
            lines.push(format!(
                "`{}` does not state its activation; {value} is assumed",
                file.display()
            ));
            continue;
        }
        let vision = assumptions.iter().find(|other| other.file == *file && both(other));
        if *property != Assumed::TextActivation || vision.is_none() {
            lines.push(assumption.to_string());
        }
    }
    lines
}

/// The keys of `--model-config` that state what is assumed, each once.
fn keys(assumptions: &[Assumption]) -> Vec<&'static str> {
    let mut keys = Vec::new();
    for key in assumptions.iter().map(Assumption::key) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_activation_of_both_encoders_is_one_line() {
        let assumption = |file: &str, property, value: &str| Assumption {
            file: file.into(),
            property,
            value: value.to_owned(),
        };
        let all = [
            assumption("a", Assumed::VisionHeads, "5"),
            assumption("a", Assumed::VisionActivation, "quick_gelu"),
            assumption("a", Assumed::TextActivation, "quick_gelu"),
        ];
        let expected = [
            "`a` does not state the heads of its image encoder; 5 are assumed, 64 channels a head",
            "`a` does not state its activation; quick_gelu is assumed",
        ];
        assert_eq!(lines(&all), expected);
        assert_eq!(keys(&all), ["vision_heads", "activation"]);
        let two = [
            assumption("a", Assumed::VisionActivation, "quick_gelu"),
            assumption("b", Assumed::TextActivation, "quick_gelu"),
        ];
        let expected = [
            "`a` does not state the activation of its image encoder; quick_gelu is assumed",
            "`b` does not state the activation of its text encoder; quick_gelu is assumed",
        ];
        assert_eq!(lines(&two), expected);
    }
}
