//! List files: one class a line, and the other forms in which projects write down their classes.
//!
//! What is read other than line by line is certain from every line of the file, and stated as an assumption; what could be
//! read in two ways is refused.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::class_list::{key, notation};
use super::list_literal::{self, NAME_KEYS, NUMBER_KEYS, shortened};
use super::list_problem::ListProblem;
use super::{Class, Vocabulary};
use crate::{ClassIndex, DataError, LabelEncoding};

/// A line, from 1, and what is wrong with it.
pub(super) type Problem = (usize, ListProblem);

/// A name in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// From 1.
    pub(super) line: usize,
    /// With synonyms after `|`.
    pub(super) name: String,
    /// The number that the file gives it: its label value.
    pub(super) number: Option<u16>,
}

/// Separators of names on one line, the certain ones first.
const SEPARATORS: [char; 7] = ['\t', ';', '；', '、', '，', ',', '|'];
/// Names that stand for pixels without a class.
const UNLABELED: [&str; 7] = ["unlabeled", "unlabelled", "ignore", "ignored", "void", "n/a", "none"];
/// How LabelMe begins its lists; it does not number this entry.
const LABELME_IGNORE: &str = "__ignore__";
const BACKGROUND: [&str; 3] = ["background", "_background_", "__background__"];

/// Reads a list; `path` names it in errors and in what is assumed.
pub(super) fn parse(text: &str, path: &Path) -> Result<Vocabulary, DataError> {
    let origin = format!("`{}`", path.display());
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let failed = |(line, problem): Problem| match problem {
        ListProblem::Markup => DataError::ListFile {
            origin: origin.clone(),
            problem,
        },
        problem => DataError::ListFile {
            origin: format!("{origin}, line {line}"),
            problem,
        },
    };
    let mut reading = Reading::default();
    let entries = reading.entries(text, &extension).map_err(failed)?;
    if entries.is_empty() {
        return Err(DataError::NoClasses { origin });
    }
    check_entries(&entries).map_err(failed)?;
    reading.finish(entries, &name, &origin)
}

/// What was found out about a file.
#[derive(Default)]
struct Reading {
    /// What it is read as, where it is not one name a line.
    forms: Vec<String>,
    /// Further sentences.
    remarks: Vec<String>,
}

impl Reading {
    fn entries(&mut self, text: &str, extension: &str) -> Result<Vec<Entry>, Problem> {
        if text.trim_start().starts_with('<') {
            return Err((1, ListProblem::Markup));
        }
        if extension == "json" || list_literal::is_literal(text) {
            let (entries, form) = list_literal::read(text)?;
            let form = match form {
                "a list in brackets" if extension == "json" => "a JSON list",
                form => form,
            };
            self.forms.push(form.to_owned());
            return Ok(entries);
        }
        let mut lines = lines(text);
        self.plain(&mut lines, extension)?;
        self.separators(&mut lines);
        if let Some(entries) = self.table(&lines, extension)? {
            return Ok(entries);
        }
        if let Some(entries) = self.numbered(&lines)? {
            return Ok(entries);
        }
        self.unquote(lines.iter_mut().map(|(_, line)| line));
        Ok(self.names(lines))
    }

    /// Removes what stands around all names: a key above them, bullets, header of one column.
    fn plain(&mut self, lines: &mut Vec<(usize, String)>, extension: &str) -> Result<(), Problem> {
        let is_yaml = matches!(extension, "yaml" | "yml");
        if is_yaml && lines.first().is_some_and(|(_, line)| line == "---") {
            lines.remove(0);
        }
        let is_key = |line: &str| {
            let key = line.strip_suffix(':').map(str::trim).unwrap_or_default();
            NAME_KEYS
                .iter()
                .any(|name| is_word(key, name) || is_word(key, &plural(name)))
        };
        if lines.len() > 1 && lines.first().is_some_and(|(_, line)| is_key(line)) {
            lines.remove(0);
            self.forms.push("the list below its key".to_owned());
        }
        for bullet in ["- ", "* ", "• "] {
            if lines.len() > 1 && lines.iter().all(|(_, line)| line.starts_with(bullet)) {
                for (_, line) in lines.iter_mut() {
                    *line = line.get(bullet.len()..).unwrap_or_default().trim().to_owned();
                }
                self.forms.push("names after bullets".to_owned());
            }
        }
        // Synset numbers of ImageNet.
        let synset = |line: &str| {
            let (number, rest) = line.split_once([' ', '\t', ',', ':'])?;
            let digits = number.strip_prefix('n')?;
            (digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_digit())).then(|| rest.trim().to_owned())
        };
        if lines.len() > 1 && lines.iter().all(|(_, line)| synset(line).is_some()) {
            for (_, line) in lines.iter_mut() {
                *line = synset(line).unwrap_or_default();
            }
            self.forms.push("names after synset numbers".to_owned());
        }
        Ok(())
    }

    /// One line with all names, or lines that each end in a separator.
    fn separators(&mut self, lines: &mut Vec<(usize, String)>) {
        for separator in [',', ';'] {
            let ends = lines.iter().rev().skip(1).all(|(_, line)| line.ends_with(separator));
            if lines.len() > 1 && ends {
                for (_, line) in lines.iter_mut() {
                    *line = line.trim_end_matches([separator, ' ']).to_owned();
                }
                self.forms.push(format!("names that end in `{separator}`"));
            }
        }
        let [(number, line)] = lines.as_slice() else { return };
        let (number, line) = (*number, line.clone());
        let Some(separator) = SEPARATORS.into_iter().find(|separator| line.contains(*separator)) else {
            return;
        };
        let parts = fields(line.trim_end_matches(separator), separator);
        // `1, person` is a name after its number; `sofa|couch` is a name with a synonym.
        if parts.len() < 2 || separator == '|' || (parts.len() == 2 && parts.iter().any(|part| is_number(part))) {
            return;
        }
        *lines = parts.into_iter().map(|part| (number, part)).collect();
        let separator = match separator {
            '\t' => "tabs".to_owned(),
            other => format!("`{other}`"),
        };
        self.forms
            .push(format!("one line of names with {separator} between them"));
    }

    /// Columns of equal number, one of which has the names.
    fn table(&mut self, lines: &[(usize, String)], extension: &str) -> Result<Option<Vec<Entry>>, Problem> {
        if let Some((_, header)) = lines.first()
            && lines.len() > 1
            && NAME_KEYS
                .iter()
                .any(|name| is_word(header, name) || is_word(header, &plural(name)))
        {
            self.forms.push(format!("a column titled `{header}`"));
            let mut names = lines.get(1..).unwrap_or_default().to_vec();
            self.unquote(names.iter_mut().map(|(_, line)| line));
            return Ok(Some(self.names(names)));
        }
        for separator in ['\t', ';', ','] {
            if !lines.iter().any(|(_, line)| line.contains(separator)) {
                continue;
            }
            let rows: Vec<_> = lines
                .iter()
                .map(|(line, text)| (*line, text, fields(text, separator)))
                .collect();
            let Some((_, _, header)) = rows.first() else { continue };
            let columns = header.len();
            let titled = title(header, &NAME_KEYS)
                .filter(|_| rows.len() > 1 && columns > 1 && !header.iter().any(|field| is_number(field)));
            let uneven = rows.iter().find(|(_, _, fields)| fields.len() != columns);
            if let Some((line, text, fields)) = uneven {
                let number = title(header, &NUMBER_KEYS);
                if separator == '\t' && numbers_first(lines, true).is_none() || (titled.is_some() && number.is_some()) {
                    let problem = ListProblem::ColumnCount {
                        text: shortened(text),
                        found: fields.len(),
                        expected: columns,
                    };
                    return Err((*line, problem));
                }
                continue;
            }
            if let Some(names) = titled {
                let number = title(header, &NUMBER_KEYS);
                let title = header.get(names).cloned().unwrap_or_default();
                self.forms
                    .push(format!("a table with the names in the column `{title}`"));
                return column(rows.get(1..).unwrap_or_default(), names, number).map(Some);
            }
            let texts: Vec<_> = (0..columns)
                .filter(|&column| {
                    rows.iter()
                        .any(|(_, _, fields)| fields.get(column).is_some_and(|field| !is_number(field)))
                })
                .collect();
            match texts.as_slice() {
                &[names] if columns > 1 => {
                    // Further columns are colors or shares.
                    let integers = (0..columns).filter(|&other| other != names).find(|&other| {
                        let number =
                            |(_, _, fields): &(usize, &String, Vec<String>)| fields.get(other)?.parse::<u32>().ok();
                        let numbers = rows.iter().map(number).collect::<Option<Vec<_>>>();
                        let rises = |numbers: Vec<u32>| {
                            let first = numbers.first().copied().unwrap_or_default();
                            let consecutive = (first..).zip(&numbers).all(|(expected, number)| expected == *number);
                            columns == 2 || consecutive || (other == 0 && numbers.is_sorted_by(|a, b| a < b))
                        };
                        numbers.is_some_and(rises)
                    });
                    self.forms.push(match integers {
                        Some(_) => "a table of names and numbers".to_owned(),
                        None => "a table with one column of names".to_owned(),
                    });
                    return column(&rows, names, integers).map(Some);
                }
                [_, _, ..] => {
                    let first_is_number = texts.first() != Some(&0);
                    let spaced = rows.iter().any(|(_, text, _)| text.contains(", "));
                    let is_table = match separator {
                        ',' => extension == "csv" && !spaced || (first_is_number && columns > 2 && !spaced),
                        _ => true,
                    };
                    if let Some((line, text, _)) = rows.first().filter(|_| is_table && columns > 1) {
                        return Err((*line, ListProblem::Columns { text: shortened(text) }));
                    }
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Names after or before their numbers.
    fn numbered(&mut self, lines: &[(usize, String)]) -> Result<Option<Vec<Entry>>, Problem> {
        // Colors beside names.
        let numbers = |line: &str| {
            line.split([' ', '\t'])
                .filter(|part| !part.is_empty() && is_number(part))
                .count()
        };
        if let Some((line, text)) = lines.first()
            && lines.iter().all(|(_, line)| numbers(line) > 1)
        {
            return Err((*line, ListProblem::Columns { text: shortened(text) }));
        }
        let (form, found) = match (numbers_first(lines, false), numbers_last(lines)) {
            (Some(found), _) => ("names after their numbers", found),
            (None, Some(found)) => ("names before their numbers", found),
            (None, None) => return Ok(None),
        };
        let mut entries = Vec::new();
        for ((line, text), numbered) in lines.iter().zip(found) {
            let Some((number, name)) = numbered else {
                return Err((*line, ListProblem::NoNumber { text: shortened(text) }));
            };
            let parsed = number.parse();
            let number = parsed.map_err(|_| {
                (
                    *line,
                    ListProblem::Number {
                        number: shortened(&number),
                    },
                )
            })?;
            entries.push(Entry {
                line: *line,
                name,
                number: Some(number),
            });
        }
        if entries.len() > 1 && entries.iter().all(|entry| number_first(&entry.name).is_some()) {
            let text = lines.first().map_or("", |(_, text)| text);
            return Err((
                lines.first().map_or(1, |(line, _)| *line),
                ListProblem::Columns { text: shortened(text) },
            ));
        }
        self.forms.push(form.to_owned());
        self.unquote(entries.iter_mut().map(|entry| &mut entry.name));
        Ok(Some(entries))
    }

    /// Removes quotation marks around all names.
    fn unquote<'a>(&mut self, names: impl Iterator<Item = &'a mut String>) {
        let names: Vec<_> = names.collect();
        let quoted = |name: &str| {
            let mut letters = name.chars();
            let (first, last) = (letters.next(), letters.next_back());
            let inner = letters.as_str();
            (first == last && matches!(first, Some('"' | '\'' | '`')) && !inner.contains(first.unwrap_or_default()))
                .then(|| inner.trim().to_owned())
        };
        // In a CSV only the names with a comma are quoted.
        let some = names.iter().any(|name| quoted(name).is_some());
        let clear = names
            .iter()
            .all(|name| quoted(name).is_some() || !name.contains(['"', '`', ',']));
        if some && clear {
            for name in names {
                if let Some(inner) = quoted(name) {
                    *name = inner;
                }
            }
            self.forms.push("names in quotation marks".to_owned());
        }
    }

    fn names(&mut self, lines: Vec<(usize, String)>) -> Vec<Entry> {
        let commas = lines.iter().filter(|(_, line)| line.contains(',')).count();
        let many = lines.len();
        if commas > 0 && self.forms.is_empty() {
            let lines = if many == 1 { "line contains" } else { "lines contain" };
            let of = format!("{commas} of {many} {lines} commas");
            self.remarks.push(format!("{of}, which belong to the names"));
        }
        let entry = |(line, name)| Entry {
            line,
            name,
            number: None,
        };
        lines.into_iter().map(entry).collect()
    }

    /// The vocabulary of the entries, whose numbers are label values.
    fn finish(mut self, mut entries: Vec<Entry>, name: &str, origin: &str) -> Result<Vocabulary, DataError> {
        let numbered = entries.iter().all(|entry| entry.number.is_some());
        if numbered {
            if !entries.is_sorted_by_key(|entry| entry.number) {
                self.remarks
                    .push("the classes are in the order of their numbers".to_owned());
            }
            entries.sort_by_key(|entry| entry.number);
        }
        let mut ignored = Vec::new();
        let mut classes = Vec::new();
        let mut value = 0_u16;
        for entry in entries {
            let lower = entry.name.to_lowercase();
            if lower == LABELME_IGNORE && !numbered {
                self.remarks.push(format!("`{}` is not a class", entry.name));
                continue;
            }
            let number = entry.number.unwrap_or(value);
            value = number.saturating_add(1);
            if UNLABELED.contains(&lower.trim_matches('_')) {
                self.remarks.push(format!(
                    "`{}` ({number}) is not a class: its pixels are ignored",
                    entry.name
                ));
                ignored.push(number);
                continue;
            }
            let mut class = Class::parse(&entry.name);
            if BACKGROUND.contains(&lower.as_str()) {
                class = Class::parse(BACKGROUND[0]);
                self.remarks
                    .push(format!("`{}` is a class like the others", entry.name));
            }
            classes.push((number, class));
        }
        let first = classes.first().map_or(0, |(number, _)| *number);
        let consecutive = (first..=u16::MAX)
            .zip(&classes)
            .all(|(expected, (number, _))| expected == *number);
        let positional = consecutive && first == 0 && ignored.is_empty();
        let last = classes.last().map_or(0, |(number, _)| *number);
        if numbered && !classes.is_empty() {
            let numbers = if consecutive {
                format!("{first} to {last}")
            } else {
                format!("{first} to {last} with gaps")
            };
            self.remarks.push(format!("the numbers, {numbers}, are label values"));
        }
        let values: Vec<u16> = classes.iter().map(|(number, _)| *number).collect();
        let classes: Vec<_> = classes.into_iter().map(|(_, class)| class).collect();
        let count = classes.len();
        let mut vocabulary = Vocabulary::from_classes(name, classes, origin)?;
        if !positional {
            let default = if values.contains(&255) { u16::MAX } else { 255 };
            if !values.contains(&default) {
                ignored.push(default);
            }
            let encoding = if consecutive {
                LabelEncoding::offset(count, first, ignored)
            } else {
                LabelEncoding::table(values.into_iter().zip((0..).filter_map(ClassIndex::new)), ignored)
            };
            let encoding = encoding.map(|encoding| encoding.with_assumed_ignored(true));
            vocabulary.encoding = encoding.map_err(|error| DataError::Toml {
                origin: origin.to_owned(),
                message: error.to_string(),
            })?;
        }
        if !self.forms.is_empty() || !self.remarks.is_empty() {
            let shown = |class: Option<&Class>| class.map_or("", Class::name).to_owned();
            let (first, last) = (shown(vocabulary.classes.first()), shown(vocabulary.classes.last()));
            let classes = if count == 1 { "class" } else { "classes" };
            let mut text = match self.forms.as_slice() {
                [] => format!("{origin} is read as one name a line: {count} {classes}"),
                forms => format!("{origin} is read as {}: {count} {classes}", forms.join(", ")),
            };
            text += &if count == 1 {
                format!(", `{first}`")
            } else {
                format!(", `{first}` to `{last}`")
            };
            for remark in self.remarks {
                text += &format!("; {remark}");
            }
            vocabulary.assumptions.push(text);
        }
        Ok(vocabulary)
    }
}

/// The lines that count, without comments: number from 1, and text. Ends are those of any system.
fn lines(text: &str) -> Vec<(usize, String)> {
    let text = text.replace("\r\n", "\n");
    let lines = (1..).zip(text.split(['\n', '\r']));
    let lines = lines.map(|(number, line)| {
        let line = line.split('#').next().unwrap_or_default();
        (
            number,
            line.trim_matches(|letter: char| letter.is_whitespace() || letter == '\u{feff}')
                .to_owned(),
        )
    });
    lines.filter(|(_, line)| !line.is_empty()).collect()
}

/// Refuses names that are none, or that occur twice.
fn check_entries(entries: &[Entry]) -> Result<(), Problem> {
    let (mut names, mut numbers) = (HashMap::new(), HashMap::new());
    for Entry { line, name, number } in entries {
        let class = Class::parse(name);
        for name in class.names() {
            if name.is_empty() {
                return Err((*line, ListProblem::EmptyName));
            }
            if let Some(problem) = notation(name).or_else(|| line_notation(name)) {
                let text = shortened(name);
                return Err((*line, ListProblem::Notation { text, problem }));
            }
            if let Some(first) = names.insert(key(name), *line) {
                let name = shortened(name);
                return Err((*line, ListProblem::NameTwice { name, first }));
            }
        }
        if let Some(number) = *number
            && let Some(first) = numbers.insert(number, *line)
        {
            return Err((*line, ListProblem::NumberTwice { number, first }));
        }
    }
    Ok(())
}

/// What the lines of other kinds of files contain.
fn line_notation(name: &str) -> Option<&'static str> {
    let colon = name.ends_with(':') || name.contains(": ") || name.contains(":\t");
    if name.ends_with(['"', ';']) {
        Some("a quotation mark or semicolon at its end")
    } else if colon {
        Some("a colon after a word, as a key has")
    } else if name.contains(';') || name.contains('\t') {
        Some("a semicolon or tab")
    } else if name.contains("\u{2019},") || name.contains("\",") || name.contains("',") {
        Some("a quotation mark before a comma")
    } else {
        None
    }
}

/// `Some` of each line's number and name where lines begin with numbers, `None` where they do not.
fn numbers_first(lines: &[(usize, String)], all: bool) -> Option<Vec<Option<(String, String)>>> {
    let found: Vec<_> = lines.iter().map(|(_, line)| number_first(line)).collect();
    let certain = found
        .iter()
        .flatten()
        .filter(|(separator, ..)| *separator != ' ')
        .count();
    let plain = |found: Vec<Option<(char, String, String)>>| {
        let parts = found
            .into_iter()
            .map(|found| found.map(|(_, number, name)| (number, name)));
        Some(parts.collect::<Vec<_>>())
    };
    if found.iter().all(Option::is_some) && !found.is_empty() {
        // `2 wheeler` and `4 wheeler` are names.
        let spaced = certain < found.len();
        let rising = found
            .iter()
            .flatten()
            .map(|(_, number, _)| number.parse::<u64>().unwrap_or(u64::MAX));
        let rising = rising.collect::<Vec<_>>();
        let names: BTreeSet<_> = found.iter().flatten().map(|(_, _, name)| key(name)).collect();
        let consecutive = rising.windows(2).all(|pair| pair[1] == pair[0].saturating_add(1))
            && rising.first().is_some_and(|first| *first < 2);
        let many = rising.len() >= 10 && rising.is_sorted_by(|a, b| a < b);
        if spaced && !(names.len() == found.len() && (consecutive && rising.len() > 1 || many)) {
            return None;
        }
        return plain(found);
    }
    // Most lines have a number, so that those without are mistakes.
    let colons = found
        .iter()
        .flatten()
        .filter(|(separator, ..)| matches!(separator, ':' | '=' | ')'))
        .count();
    (!all && (colons > 0 || (certain > 1 && 2 * certain >= found.len()))).then_some(())?;
    plain(found)
}

/// Separator, number and name of `1: person`, `1 person`, `1, person`, `1. person`, `1) person`, `1 - person`.
fn number_first(line: &str) -> Option<(char, String, String)> {
    let digits = line.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, rest) = line.split_at_checked(digits).filter(|(number, _)| !number.is_empty())?;
    let after = rest.trim_start();
    let separator = after.chars().next()?;
    let spaced = after.len() < rest.len();
    let (separator, name) = match separator {
        ':' | '=' | ',' | ';' | ')' => (separator, after.get(1..)?),
        '.' => (
            separator,
            after
                .get(1..)
                .filter(|name| !name.starts_with(|letter: char| letter.is_ascii_digit()))?,
        ),
        '-' if spaced => (separator, after.get(1..).filter(|name| name.starts_with(' '))?),
        _ if rest.starts_with('\t') => ('\t', after),
        _ if spaced => (' ', after),
        _ => return None,
    };
    let name = name.trim();
    (!name.is_empty()).then(|| (separator, number.to_owned(), name.to_owned()))
}

/// Each line's number and name where all lines end in numbers: `person: 1`, `person = 1`, `person 1`.
fn numbers_last(lines: &[(usize, String)]) -> Option<Vec<Option<(String, String)>>> {
    let found = lines.iter().map(|(_, line)| {
        let digits = line.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let number = line.get(digits.len()..).filter(|number| !number.is_empty())?;
        let before = digits.trim_end();
        let name = before.strip_suffix([':', '=', ',', ';', '\t']);
        let certain = name.is_some();
        let name = name.unwrap_or(before).trim();
        let is_name = !name.is_empty() && (certain || before.len() < digits.len());
        is_name.then(|| (certain, number.to_owned(), name.to_owned()))
    });
    let found = found.collect::<Option<Vec<_>>>().filter(|found| !found.is_empty())?;
    let names: BTreeSet<_> = found.iter().map(|(_, _, name)| key(name)).collect();
    // `zone 1` and `zone 2` are names.
    let numbers: Vec<u64> = found
        .iter()
        .map(|(_, number, _)| number.parse().unwrap_or(u64::MAX))
        .collect();
    let consecutive = numbers.windows(2).all(|pair| pair[1] == pair[0].saturating_add(1))
        && numbers.first().is_some_and(|first| *first < 2);
    let certain = found.iter().all(|(certain, ..)| *certain);
    let is_numbered = names.len() == found.len() && (certain || (consecutive && found.len() > 1));
    is_numbered.then(|| {
        found
            .into_iter()
            .map(|(_, number, name)| Some((number, name)))
            .collect()
    })
}

/// The entries of a column of names, and one of numbers.
fn column(rows: &[(usize, &String, Vec<String>)], names: usize, numbers: Option<usize>) -> Result<Vec<Entry>, Problem> {
    let field = |fields: &[String], column: usize| fields.get(column).cloned().unwrap_or_default();
    let entry = |(line, _, fields): &(usize, &String, Vec<String>)| {
        let number = numbers.map(|numbers| {
            let number = field(fields, numbers);
            let parsed = number.parse::<u16>();
            parsed.map_err(|_| {
                (
                    *line,
                    ListProblem::Number {
                        number: shortened(&number),
                    },
                )
            })
        });
        Ok(Entry {
            line: *line,
            name: field(fields, names),
            number: number.transpose()?,
        })
    };
    rows.iter().map(entry).collect()
}

/// The first of `known` that is a column's title.
fn title(header: &[String], known: &[&str]) -> Option<usize> {
    known
        .iter()
        .find_map(|known| header.iter().position(|field| is_word(field, known)))
}

fn is_word(text: &str, word: &str) -> bool {
    text.trim().replace([' ', '-'], "_").eq_ignore_ascii_case(word)
}

fn plural(word: &str) -> String {
    match word.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if word.ends_with('s') => format!("{word}es"),
        None => format!("{word}s"),
    }
}

fn is_number(text: &str) -> bool {
    text.is_empty()
        || text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '.' | '+'))
            && text.parse::<f64>().is_ok()
}

/// The fields of a line; those in quotation marks may contain the separator.
fn fields(line: &str, separator: char) -> Vec<String> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let trimmed = rest.trim_start_matches(' ');
        let quoted = trimmed.strip_prefix('"').and_then(|inner| {
            let (mut field, mut inner) = (String::new(), inner);
            loop {
                let end = inner.find('"')?;
                field.push_str(inner.get(..end)?);
                inner = inner.get(end + 1..)?;
                match inner.strip_prefix('"') {
                    Some(more) => {
                        field.push('"');
                        inner = more;
                    }
                    None => break,
                }
            }
            let after = inner.trim_start_matches(' ');
            (after.is_empty() || after.starts_with(separator)).then_some((field, after))
        });
        let (field, after) = match quoted {
            Some(quoted) => quoted,
            None => {
                let end = rest.find(separator).unwrap_or(rest.len());
                let (field, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                (field.to_owned(), after)
            }
        };
        fields.push(field.trim().to_owned());
        match after.strip_prefix(separator) {
            Some(more) => rest = more,
            None => return fields,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str, text: &str) -> Result<Vocabulary, DataError> {
        parse(text.strip_prefix('\u{feff}').unwrap_or(text), Path::new(file))
    }

    /// The names, those with label values other than their positions with the value.
    fn names(file: &str, text: &str) -> Vec<String> {
        let vocabulary = read(file, text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let value = |index| {
            vocabulary
                .encoding()
                .value_of(ClassIndex::from_usize(index).unwrap())
                .unwrap()
        };
        let name = |(index, class): (usize, &Class)| match value(index) {
            value if usize::from(value) == index => class.to_spec(),
            value => format!("{value} {}", class.to_spec()),
        };
        vocabulary.classes().iter().enumerate().map(name).collect()
    }

    fn problem(file: &str, text: &str) -> String {
        match read(file, text) {
            Ok(vocabulary) => panic!("{text:?}: {:?}", vocabulary.names().collect::<Vec<_>>()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_plain_list_assumes_nothing() {
        for text in [
            "cat\ndog\ngrass\n",
            "\u{feff}# animals\r\ncat\r\n\r\ndog # barks\r\ngrass",
            "cat\rdog\rgrass\r",
            "  cat \n\tdog\n\n\ngrass|meadow",
            "2 wheeler\n4 wheeler",
            "zone 1\nzone 2\nzone 3",
            "children's toy\nbull's eye\n(old) town\nSt. Bernard\nC++ book",
            "3d printer\n2000s car\ncat",
            "日本 猫\n🐈\ntraffic light",
            "sofa|couch",
        ] {
            let vocabulary = read("list.txt", text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert_eq!(vocabulary.assumptions(), [""; 0], "{text:?}");
            assert_eq!(
                vocabulary.encoding(),
                &LabelEncoding::identity(vocabulary.len()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_line_with_commas_is_one_name() {
        assert_eq!(
            names("commas.txt", "floor, flooring\nroad, route\ngrass\n"),
            ["floor, flooring", "road, route", "grass"]
        );
        let vocabulary = read("commas.txt", "floor, flooring\nroad, route\ngrass\n").unwrap();
        let [assumption] = vocabulary.assumptions() else {
            panic!()
        };
        assert!(
            assumption.contains("`commas.txt`") && assumption.contains("2 of 3 lines contain commas"),
            "{assumption}"
        );
        assert_eq!(
            names("a.txt", "\"floor, flooring\"\n\"road, route\"\ngrass"),
            ["floor, flooring", "road, route", "grass"]
        );
        assert_eq!(
            names("a.json", "[\"floor, flooring\", \"road\"]"),
            ["floor, flooring", "road"]
        );
        assert_eq!(
            names("a.csv", "id,name\n0,\"floor, flooring\"\n1,road"),
            ["floor, flooring", "road"]
        );
        assert_eq!(
            names("a.txt", "0: floor, flooring\n1: road"),
            ["floor, flooring", "road"]
        );
        assert_eq!(
            names("a.txt", "0, floor, flooring\n1, road"),
            ["floor, flooring", "road"]
        );
    }

    #[test]
    fn the_forms_of_other_projects_are_read_as_they_are_meant() {
        for (file, text) in [
            ("a.txt", "0: cat\n1: dog\n2: grass"),
            ("a.txt", "0 cat\n1 dog\n2 grass"),
            ("a.txt", "0, cat\n1, dog\n2, grass"),
            ("a.txt", "0. cat\n1. dog\n2. grass"),
            ("a.txt", "0) cat\n1) dog\n2) grass"),
            ("a.txt", "0 - cat\n1 - dog\n2 - grass"),
            ("a.txt", "0=cat\n1=dog\n2=grass"),
            ("a.txt", "0\tcat\n1\tdog\n2\tgrass"),
            ("a.txt", "2: grass\n0: cat\n1: dog"),
            ("a.txt", "cat,0\ndog,1\ngrass,2"),
            ("a.txt", "cat 0\ndog 1\ngrass 2"),
            ("a.txt", "cat: 0\ndog: 1\ngrass: 2"),
            ("a.txt", "cat\t0\ndog\t1\ngrass\t2"),
            ("a.txt", "cat, dog, grass\n"),
            ("a.txt", "cat; dog; grass"),
            ("a.txt", "cat\tdog\tgrass"),
            ("a.txt", "cat，dog，grass"),
            ("a.txt", "0: cat, 1: dog, 2: grass"),
            ("a.txt", "cat,\ndog,\ngrass"),
            ("a.txt", "\"cat\",\n\"dog\",\n\"grass\""),
            ("a.txt", "'cat'\n'dog'\n'grass'"),
            ("a.txt", "'cat', 'dog', 'grass'"),
            ("a.txt", "- cat\n- dog\n- grass"),
            ("a.yaml", "names:\n  - cat\n  - dog\n  - grass"),
            ("a.yaml", "names:\n  0: cat\n  1: dog\n  2: grass"),
            ("a.yaml", "names: ['cat', 'dog', 'grass']"),
            ("a.txt", "n02123045 cat\nn02084071 dog\nn12102133 grass"),
            ("a.csv", "name\ncat\ndog\ngrass"),
            ("a.csv", "id,name\n0,cat\n1,dog\n2,grass"),
            ("a.csv", "name;id\ncat;0\ndog;1\ngrass;2"),
            ("class_dict.csv", "name,r,g,b\ncat,1,2,3\ndog,4,5,6\ngrass,7,8,9"),
            ("a.csv", "cat,1,2,3\ndog,4,5,6\ngrass,4,8,9"),
            ("a.tsv", "Idx\tRatio\tName\n0\t0.5\tcat\n1\t0.3\tdog\n2\t0.2\tgrass"),
            ("a.json", "[\"cat\", \"dog\", \"grass\"]"),
            ("a.txt", "[\"cat\",\n \"dog\",\n \"grass\",\n]"),
            ("a.json", "{\"0\": \"cat\", \"2\": \"grass\", \"1\": \"dog\"}"),
            ("a.json", "{\"cat\": 0, \"dog\": 1, \"grass\": 2}"),
            (
                "a.json",
                "[{\"id\": 0, \"name\": \"cat\"}, {\"name\": \"dog\", \"id\": 1}, {\"id\": 2, \"name\": \"grass\"}]",
            ),
            (
                "a.json",
                "[{\"name\": \"cat\"}, {\"name\": \"dog\", \"color\": [1, 2, 3]}, {\"name\": \"grass\"}]",
            ),
            (
                "a.json",
                "{\"id\": 0, \"name\": \"cat\"}\n{\"id\": 1, \"name\": \"dog\"}\n{\"id\": 2, \"name\": \"grass\"}\n",
            ),
            ("a.json", "{\"info\": {}, \"classes\": [\"cat\", \"dog\", \"grass\"]}"),
            (
                "a.json",
                "{\"categories\": [{\"id\": 0, \"name\": \"cat\"}, {\"id\": 1, \"name\": \"dog\"}, {\"id\": 2, \"name\": \"grass\"}]}",
            ),
            (
                "config.json",
                "{\"a\": 1, \"id2label\": {\"0\": \"cat\", \"1\": \"dog\", \"2\": \"grass\"}}",
            ),
            ("a.json", "[[0, \"cat\"], [1, \"dog\"], [2, \"grass\"]]"),
            ("a.py", "# classes\nCLASSES = ('cat', 'dog',\n           'grass')"),
            ("a.txt", "['cat', 'dog', 'grass']"),
            (
                "a.txt",
                "classes = [\n    'cat',  # meows\n    'dog',\n    'grass',\n]\n",
            ),
            ("a.txt", "{0: 'cat', 1: 'dog', 2: u'grass'}"),
            ("a.txt", "{'cat', 'dog', 'grass'}"),
            ("labels.txt", "__ignore__\ncat\ndog\ngrass"),
            ("a.txt", "\u{feff}0: cat\r\n1: dog\r\n# no more\r\n\r\n2: grass\r\n"),
        ] {
            assert_eq!(names(file, text), ["cat", "dog", "grass"], "{text:?}");
            let vocabulary = read(file, text).unwrap();
            let [assumption] = vocabulary.assumptions() else {
                panic!("{text:?}")
            };
            assert!(
                assumption.contains(&format!("`{file}`")) && assumption.contains("3 classes"),
                "{assumption}"
            );
        }
    }

    #[test]
    fn numbers_are_label_values() {
        assert_eq!(
            names("a.txt", "1: cat\n2: dog\n7: grass"),
            ["1 cat", "2 dog", "7 grass"]
        );
        assert_eq!(names("a.txt", "0: unlabeled\n1: cat\n2: dog"), ["1 cat", "2 dog"]);
        assert_eq!(names("a.txt", "unlabeled\ncat\ndog"), ["1 cat", "2 dog"]);
        let vocabulary = read("a.txt", "0: unlabeled\n1: cat\n255: dog").unwrap();
        let ignored: Vec<_> = vocabulary.encoding().ignored_values().collect();
        assert_eq!(ignored, [0, 65_535]);
        let assumption = vocabulary.assumptions().concat();
        assert!(
            assumption.contains("`unlabeled` (0) is not a class") && assumption.contains("label values"),
            "{assumption}"
        );
        let again = Vocabulary::from_toml_text(&vocabulary.to_toml(), "again").unwrap();
        assert_eq!(again.encoding(), vocabulary.encoding());
        let background = read("a.txt", "_background_\ncat").unwrap();
        assert_eq!(background.names().collect::<Vec<_>>(), ["background", "cat"]);
        assert!(background.assumptions().concat().contains("`_background_` is a class"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_line() {
        for (file, text, words) in [
            (
                "a.txt",
                "cat\n['dog'\ngrass",
                "`a.txt`, line 2: `['dog'` is not a class name",
            ),
            (
                "a.json",
                "[\"cat\", \"dog\"",
                "line 1: the list in brackets cannot be read: `]` is missing",
            ),
            (
                "a.json",
                "[\"cat\"\n\"dog\"]",
                "line 2: the list in brackets cannot be read: a comma is missing",
            ),
            ("a.json", "[\"cat\", 5]", "item without one name: `5`"),
            (
                "a.json",
                "{\"a\": 1, \"b\": [1], \"c\": \"x\"}",
                "none of the keys `a`, `b`, `c`",
            ),
            ("a.json", "[1, 2]", "item without one name"),
            (
                "a.json",
                "{\"0\": \"cat\", \"0\": \"dog\"}",
                "the number 0 is also that of line 1",
            ),
            ("a.json", "cat\ndog", "line 2: the list in brackets cannot be read"),
            (
                "a.json",
                "[{\"id\": 1, \"name\": \"cat\"}, {\"name\": \"dog\"}]",
                "`dog` has no number",
            ),
            ("a.json", "{\"-1\": \"cat\"}", "the number -1 is not a label value"),
            (
                "a.txt",
                "1: cat\n2: dog\n2: grass",
                "line 3: the number 2 is also that of line 2",
            ),
            ("a.txt", "1: cat\ndog\n2: grass", "line 2: `dog` has no number"),
            ("a.txt", "70000: cat\n2: dog", "the number 70000 is not a label value"),
            ("a.txt", "1: cat\n2:\n3: dog", "line 2: `2:` has no number"),
            ("a.txt", "cat\ndog\n\n# x\nCat", "line 5: `Cat` is also named in line 1"),
            ("a.txt", "cat\ndog|\n", "line 2: the name is empty"),
            ("a.txt", "| 1 | cat |\n| 2 | dog |", "line 1: the name is empty"),
            ("a.txt", "<html><body>404</body></html>", "XML or HTML"),
            (
                "a.pbtxt",
                "item {\n  id: 1\n  name: 'cat'\n}",
                "`item {` is not a class name",
            ),
            ("a.yaml", "path: data\ntrain: images\nnames:\n  0: cat\n", "line 1: "),
            ("a.txt", "128 64 128 road\n0 0 64 sky", "several columns"),
            ("a.txt", "road 128 64 128\nsky 0 0 64", "several columns"),
            ("a.txt", "road\tway\nsky\tair", "several columns"),
            ("a.csv", "1,cat,animal\n2,grass,plant", "several columns"),
            (
                "a.csv",
                "id,name\n1,cat\n2,dog,pet",
                "line 3: `2,dog,pet` has 3 columns, the first line 2",
            ),
            ("a.txt", "cat\u{0}\ndog", "an invisible character"),
            ("a.txt", "cat\n---\ndog", "line 2: `---` is not a class name"),
            ("a.txt", "cat\nname: dog", "line 2: `name: dog` is not a class name"),
            ("a.txt", "# nothing\n\n", "names no class"),
            ("a.json", "[]", "names no class"),
            ("a.json", "{}", "none of the keys"),
            ("a.txt", "cat; dog\ngrass; sky", "several columns"),
            ("a.txt", "cat; dog\ngrass", "a semicolon"),
        ] {
            let message = problem(file, text);
            assert!(message.contains(words), "{text:?}: {message}");
        }
        assert!(problem("a.json", &"[".repeat(100_000)).contains("nested too deeply"));
    }

    #[test]
    fn long_lists_take_linear_time() {
        let names: Vec<String> = (0..60_000).map(|number| format!("\"thing {number}\"")).collect();
        let begun = std::time::Instant::now();
        assert_eq!(
            read("a.json", &format!("[{}]", names.join(",\n"))).unwrap().len(),
            60_000
        );
        assert_eq!(read("a.txt", &names.join(",\n")).unwrap().len(), 60_000);
        let numbered: Vec<String> = (0..60_000).map(|number| format!("{number}: thing {number}")).collect();
        assert_eq!(read("a.txt", &numbered.join("\n")).unwrap().len(), 60_000);
        assert!(begun.elapsed().as_secs() < 20);
    }
}
