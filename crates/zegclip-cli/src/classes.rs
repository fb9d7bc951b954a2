//! Class lists and class names of the command line.

use std::ffi::OsStr;
use std::path::Path;

use zegclip::{SeenClasses, Vocabulary};

use crate::arguments::{ClassArguments, ClassNames, SettingName};
use crate::failure::Failure;
use crate::{hints, output};

/// What the files of class lists and other text files end in.
const LIST_EXTENSIONS: [&str; 14] = [
    "txt", "csv", "tsv", "json", "jsonl", "toml", "yaml", "yml", "names", "pbtxt", "lst", "xml", "md", "py",
];
/// What other programs separate names by, where ours has commas. Names may contain the last ones.
const SEPARATORS: [&str; 14] = [
    ";", "；", "，", "、", "\n", "\t", " . ", ". ", " / ", "/", " & ", " + ", " and ", " or ",
];
/// How many of [`SEPARATORS`] are never part of a name.
const CERTAIN_SEPARATORS: usize = 6;
/// A list of class names is not larger.
const LIST_BYTES: u64 = 1 << 20;

/// The class list, and what of it is assumed, which is also printed.
pub(crate) fn list(options: &ClassArguments) -> Result<(Vocabulary, Vec<String>), Failure> {
    match (&options.classes, &options.vocabulary) {
        (Some(names), _) => {
            refuse_file("--classes", names)?;
            let list = Vocabulary::from_names(names).map_err(Failure::usage)?;
            let notes = separator_notes(&list);
            print(&notes);
            Ok((list, notes))
        }
        (None, Some(vocabulary)) => {
            let list = from_name_or_file(vocabulary)?;
            let notes = list.assumptions().to_vec();
            Ok((list, notes))
        }
        (None, None) => Err(Failure::usage("no classes are named").hint(hints::LIST_CLASSES)),
    }
}

/// A built-in vocabulary or a file; what is assumed of a file is printed.
pub(crate) fn from_name_or_file(name: impl AsRef<OsStr>) -> Result<Vocabulary, Failure> {
    let list = Vocabulary::from_name_or_file(name)?;
    print(list.assumptions());
    Ok(list)
}

fn print(notes: &[String]) {
    for note in notes {
        output::message(format_args!("note: {note}"));
    }
}

/// The list with its seen classes; `trained` is the list of the model file, whose seen names are seen here.
pub(crate) fn with_setting(
    list: Vocabulary,
    options: &ClassArguments,
    trained: Option<&Vocabulary>,
) -> Result<Vocabulary, Failure> {
    if options.setting == Some(SettingName::Full) {
        let classes = list.len();
        return list.with_seen(SeenClasses::all(classes)).map_err(Failure::usage);
    }
    if options.seen.is_some() {
        return with_seen(list, options.seen.as_ref());
    }
    match trained {
        Some(trained) if options.classes.is_some() => list.with_seen_as_in(trained).map_err(Failure::usage),
        _ => Ok(list),
    }
}

/// The list, of which the named classes are seen.
pub(crate) fn with_seen(list: Vocabulary, seen: Option<&ClassNames>) -> Result<Vocabulary, Failure> {
    let names = match seen {
        None => return Ok(list),
        Some(ClassNames::Text(text)) => {
            refuse_file("--seen", text)?;
            list.split_names(text)
        }
        Some(ClassNames::List(names)) => names.clone(),
    };
    list.with_seen_names(names.iter().map(String::as_str))
        .map_err(Failure::usage)
}

/// Checks classes of `--background-class`, each of which is one name. The notes are also printed.
pub(crate) fn check_background(names: &[String], list: &Vocabulary) -> Result<Vec<String>, Failure> {
    let mut notes = Vec::new();
    for name in names.iter().filter(|name| list.find(name).is_none()) {
        refuse_file("--background-class", name)?;
        let parts = list.split_names(name);
        if parts.len() < 2 {
            continue;
        }
        if parts.iter().all(|part| list.find(part).is_some()) {
            let parts = zegclip_foundation::quoted(&parts);
            return Err(Failure::usage(format!(
                "`--background-class {name}`: this is not a class of the list, but {parts} are"
            ))
            .hint(hints::BACKGROUND_CLASSES));
        }
        notes.push(format!("the background class `{name}` is one name, with its commas"));
    }
    print(&notes);
    Ok(notes)
}

/// A list of one class gives it to every pixel; the note is also printed.
pub(crate) fn note_single(list: &Vocabulary, may_be_absent: bool) -> Option<String> {
    let [class] = list.classes() else { return None };
    let unless = if may_be_absent {
        ", or none where it is not present"
    } else {
        ""
    };
    let note = format!("there is one class, so every pixel is `{}`{unless}", class.name());
    output::message(format_args!("note: {note}"));
    Some(note)
}

/// What looks as if several names were meant.
fn separator_notes(list: &Vocabulary) -> Vec<String> {
    let mut notes = Vec::new();
    let single = list.len() == 1;
    for class in list.classes() {
        let names: Vec<&str> = class.names().collect();
        let separators = match single {
            true => &SEPARATORS[..],
            false => &SEPARATORS[..CERTAIN_SEPARATORS],
        };
        let separated = names
            .iter()
            .find(|name| separators.iter().any(|separator| name.contains(separator)));
        if let Some(name) = separated {
            notes.push(format!(
                "`{}` is taken as one name; names are separated by commas",
                name.replace(['\n', '\t'], " ")
            ));
        } else if single && names.len() > 1 {
            let names = zegclip_foundation::quoted(&names);
            notes.push(format!(
                "{names} are taken as names of one class, since `|` separates synonyms; classes are separated by commas"
            ));
        }
    }
    notes
}

/// Fails for a file where class names are expected.
pub(crate) fn refuse_file(option: &str, names: &str) -> Result<(), Failure> {
    let entries: Vec<&str> = names.split(',').map(str::trim).collect();
    let single = entries.len() == 1;
    let is_list_name = |text: &str| {
        let extension = Path::new(text)
            .extension()
            .map(|end| end.to_string_lossy().to_lowercase());
        extension.is_some_and(|end| LIST_EXTENSIONS.contains(&end.as_str()))
    };
    let is_file = |text: &str| {
        let path = Path::new(text);
        let looks_like_path =
            path.extension().is_some() || text.contains(['/', '\\']) || (single && is_text_list(path));
        looks_like_path && path.is_file()
    };
    let whole = std::iter::once(names.trim());
    let found = whole
        .chain(entries.iter().copied())
        .find(|text| is_list_name(text) || is_file(text));
    let Some(file) = found else { return Ok(()) };
    let what = match Path::new(file).is_file() {
        true => "this is a file, not a class name",
        false => "this is the name of a file, not of a class",
    };
    let hint = match option {
        "--classes" => format!(
            "`--vocabulary {}` reads a class list",
            crate::shell::command([file.to_owned().into()])
        ),
        _ => hints::NAMES_NOT_FILE.to_owned(),
    };
    Err(Failure::usage(format!("`{option} {file}`: {what}")).hint(hint))
}

/// Whether a file is lines of text.
fn is_text_list(path: &Path) -> bool {
    let is_small = std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= LIST_BYTES);
    let text = std::fs::read(path).ok().filter(|_| is_small);
    let text = text.and_then(|bytes| String::from_utf8(bytes).ok());
    text.is_some_and(|text| text.trim().contains('\n') && !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_hide_several_are_noted() {
        let notes = |names: &str| separator_notes(&Vocabulary::from_names(names).expect("names"));
        for names in [
            "cat; dog",
            "cat. dog",
            "cat . dog .",
            "cat，dog",
            "cat\ndog",
            "cat/dog",
            "cat and dog",
        ] {
            let notes = notes(names);
            assert!(
                matches!(&notes[..], [note] if note.contains("separated by commas")),
                "{names}: {notes:?}"
            );
        }
        assert!(notes("cat | dog")[0].contains("`|` separates synonyms"));
        assert_eq!(notes("cat; dog, grass").len(), 1);
        for names in [
            "cat",
            "traffic light",
            "St. Bernard, dog",
            "cat|kitten, dog",
            "black and white cat, dog",
        ] {
            assert_eq!(notes(names), [""; 0], "{names}");
        }
    }
}
