//! Lists in brackets: JSON, JSON lines, and list literals of Python.

use super::list_file::{Entry, Problem};
use super::list_problem::ListProblem;

/// Deeper files are not lists.
const DEEPEST: usize = 16;
/// Under which key a table has its list of names, the first that it has.
const LIST_KEYS: [&str; 11] = [
    "classes",
    "names",
    "class_names",
    "categories",
    "labels",
    "label_names",
    "id2label",
    "idx2label",
    "id_to_label",
    "label2id",
    "label_map",
];
pub(super) const NAME_KEYS: [&str; 8] = [
    "name",
    "class_name",
    "class",
    "label_name",
    "label",
    "category_name",
    "category",
    "title",
];
pub(super) const NUMBER_KEYS: [&str; 9] = [
    "id",
    "class_id",
    "category_id",
    "label_id",
    "index",
    "idx",
    "value",
    "number",
    "no",
];

/// A value and the line where it begins.
#[derive(Debug)]
struct Node {
    line: usize,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Text(String),
    /// A number, `true`, `null` and the like.
    Word(String),
    List(Vec<Node>),
    Table(Vec<(Node, Node)>),
}

/// Whether a text begins as a list in brackets, perhaps after the name of a variable: `CLASSES = (`.
pub(super) fn is_literal(text: &str) -> bool {
    start(text).is_some()
}

/// Where the brackets begin.
fn start(text: &str) -> Option<usize> {
    let mut position = 0;
    for line in text.split_inclusive(['\n', '\r']) {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            position += line.len();
            continue;
        }
        let bracket = line.find(['[', '{', '('])?;
        let before = line.get(..bracket)?.trim();
        let name = before.strip_suffix('=').or_else(|| before.strip_suffix(':'));
        let is_name = |name: &str| {
            let mut letters = name.trim().chars();
            letters.all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '.' | '"' | '\''))
        };
        let begins = before.is_empty() || name.is_some_and(is_name);
        // `(old) town` is a name.
        let is_name =
            before.is_empty() && line.get(bracket..)?.starts_with('(') && !after_is_quoted(line.get(bracket + 1..)?);
        return (begins && !is_name).then_some(position + bracket);
    }
    None
}

fn after_is_quoted(rest: &str) -> bool {
    let rest = rest.trim_start();
    rest.is_empty() || rest.starts_with(['"', '\'', '#'])
}

/// The entries of a list in brackets, and what it is.
pub(super) fn read(text: &str) -> Result<(Vec<Entry>, &'static str), Problem> {
    let mut parser = Parser {
        text,
        position: start(text).unwrap_or_default(),
        counted: (0, 1),
    };
    let mut values = Vec::new();
    loop {
        values.push(parser.value(0)?);
        parser.skip();
        while parser.rest().starts_with([';', ',']) {
            parser.position += 1;
            parser.skip();
        }
        if parser.rest().is_empty() {
            break;
        }
        // A line each: JSON lines.
        if !matches!(
            values.last(),
            Some(Node {
                value: Value::Table(_),
                ..
            })
        ) || !parser.rest().starts_with('{')
        {
            return Err(parser.wrong("more text follows it"));
        }
    }
    match values.pop() {
        Some(only) if values.is_empty() => entries(&only, 0),
        last => {
            values.extend(last);
            Ok((items(&values)?, "JSON lines"))
        }
    }
}

fn entries(node: &Node, depth: usize) -> Result<(Vec<Entry>, &'static str), Problem> {
    match &node.value {
        Value::List(list) => Ok((items(list)?, "a list in brackets")),
        Value::Table(pairs) => table(node, pairs, depth),
        Value::Text(_) | Value::Word(_) => Err(item(node)),
    }
}

fn table(node: &Node, pairs: &[(Node, Node)], depth: usize) -> Result<(Vec<Entry>, &'static str), Problem> {
    let number = |node: &Node| match &node.value {
        Value::Text(text) | Value::Word(text) => text.trim().parse::<i64>().is_ok(),
        _ => false,
    };
    if !pairs.is_empty() && pairs.iter().all(|(key, _)| number(key)) {
        let entry = |(key, value): &(Node, Node)| {
            Ok(Entry {
                number: Some(key.number()?),
                ..items_of(value)?
            })
        };
        let read = pairs.iter().map(entry).collect::<Result<_, Problem>>()?;
        return Ok((read, "names by number"));
    }
    if !pairs.is_empty() && pairs.iter().all(|(_, value)| number(value)) {
        let entry = |(key, value): &(Node, Node)| {
            Ok(Entry {
                number: Some(value.number()?),
                ..items_of(key)?
            })
        };
        let read = pairs.iter().map(entry).collect::<Result<_, Problem>>()?;
        return Ok((read, "numbers by name"));
    }
    let is_list = |value: &Node| matches!(value.value, Value::List(_) | Value::Table(_));
    let named = LIST_KEYS.iter().find_map(|known| {
        let mut pairs = pairs.iter();
        pairs.find(|(key, value)| key.text().is_some_and(|key| key.eq_ignore_ascii_case(known)) && is_list(value))
    });
    let only = match pairs {
        [only] if is_list(&only.1) => Some(only),
        _ => None,
    };
    match named.or(only) {
        Some((_, value)) if depth < DEEPEST => entries(value, depth + 1),
        _ => {
            const SHOWN: usize = 5;
            let keys = pairs.iter().filter_map(|(key, _)| key.text()).take(SHOWN);
            let mut keys = keys.map(|key| format!("`{}`", shortened(key))).collect::<Vec<_>>();
            if pairs.len() > SHOWN {
                keys.push("…".to_owned());
            }
            let keys = keys.join(", ");
            Err((node.line, ListProblem::NoListOfNames { keys }))
        }
    }
}

/// The items of a list.
fn items(list: &[Node]) -> Result<Vec<Entry>, Problem> {
    let read = list.iter().map(items_of).collect::<Result<Vec<_>, _>>()?;
    let numbered = read.iter().filter(|entry| entry.number.is_some()).count();
    let without = read.iter().find(|entry| entry.number.is_none());
    match without {
        Some(entry) if numbered > 0 => {
            let text = entry.name.clone();
            Err((entry.line, ListProblem::NoNumber { text }))
        }
        _ => Ok(read),
    }
}

/// One item: a name, a table with a name, or a short list with one name.
fn items_of(node: &Node) -> Result<Entry, Problem> {
    let line = node.line;
    match &node.value {
        Value::Text(name) => Ok(Entry {
            line,
            name: name.trim().to_owned(),
            number: None,
        }),
        Value::Table(pairs) => {
            let find = |keys: &[&str], accepts: fn(&Value) -> bool| {
                keys.iter().find_map(|known| {
                    let mut pairs = pairs.iter();
                    let found = pairs.find(|(key, value)| {
                        key.text().is_some_and(|key| key.eq_ignore_ascii_case(known)) && accepts(&value.value)
                    });
                    found.map(|(_, value)| value)
                })
            };
            let name = find(&NAME_KEYS, |value| matches!(value, Value::Text(_)));
            let number = find(&NUMBER_KEYS, |value| matches!(value, Value::Text(_) | Value::Word(_)));
            let name = name.and_then(Node::text).ok_or_else(|| item(node))?;
            Ok(Entry {
                line,
                name: name.trim().to_owned(),
                number: number.map(Node::number).transpose()?,
            })
        }
        Value::List(parts) => {
            let mut names = parts.iter().filter_map(|part| match &part.value {
                Value::Text(name) => Some(name),
                _ => None,
            });
            let (Some(name), None) = (names.next(), names.next()) else {
                return Err(item(node));
            };
            // `(7, "road")`, but not `("road", (128, 64, 128))`.
            let number = match &parts[..] {
                [_, _] => parts.iter().find(|part| matches!(part.value, Value::Word(_))),
                _ => None,
            };
            Ok(Entry {
                line,
                name: name.trim().to_owned(),
                number: number.map(Node::number).transpose()?,
            })
        }
        Value::Word(_) => Err(item(node)),
    }
}

fn item(node: &Node) -> Problem {
    let item = match &node.value {
        Value::Text(text) | Value::Word(text) => shortened(text),
        Value::List(_) => "[…]".to_owned(),
        Value::Table(_) => "{…}".to_owned(),
    };
    (node.line, ListProblem::Item { item })
}

/// The first characters.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

impl Node {
    fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) | Value::Word(text) => Some(text),
            _ => None,
        }
    }

    fn number(&self) -> Result<u16, Problem> {
        let text = self.text().unwrap_or_default().trim();
        let number = text.to_owned();
        text.parse().map_err(|_| {
            (
                self.line,
                ListProblem::Number {
                    number: shortened(&number),
                },
            )
        })
    }
}

/// Line ends of any system; `\r\n` is one.
fn line_ends(text: &str) -> usize {
    let bytes = text.as_bytes();
    let alone = |at: usize| bytes.get(at + 1) != Some(&b'\n');
    let ends = bytes.iter().enumerate();
    ends.filter(|&(at, byte)| *byte == b'\n' || (*byte == b'\r' && alone(at)))
        .count()
}

struct Parser<'a> {
    text: &'a str,
    position: usize,
    /// A position and its line.
    counted: (usize, usize),
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.position..).unwrap_or_default()
    }

    /// The line of the position, counted onward from the last one.
    fn line(&mut self) -> usize {
        let (from, line) = self.counted;
        let passed = self.text.get(from..self.position).unwrap_or_default();
        self.counted = (self.position, line + line_ends(passed));
        self.counted.1
    }

    fn wrong(&mut self, problem: &str) -> Problem {
        let problem = problem.to_owned();
        (self.line(), ListProblem::Literal { problem })
    }

    /// Skips white space and comments.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches(|letter: char| letter.is_whitespace() || letter == '\u{feff}');
            self.position += rest.len() - trimmed.len();
            if !(trimmed.starts_with('#') || trimmed.starts_with("//")) {
                return;
            }
            self.position += trimmed.find(['\n', '\r']).unwrap_or(trimmed.len());
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Problem> {
        if depth > DEEPEST {
            return Err(self.wrong("it is nested too deeply"));
        }
        self.skip();
        let line = self.line();
        let value = match self.rest().chars().next() {
            Some('[') => Value::List(self.list(']', depth)?),
            Some('(') => Value::List(self.list(')', depth)?),
            Some('{') => self.table(depth)?,
            Some('"' | '\'') => Value::Text(self.string()?),
            None => return Err(self.wrong("it ends too early")),
            Some(_) => {
                let rest = self.rest();
                let end =
                    rest.find(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-' | '+')));
                let word = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
                let after = rest.get(word.len()..).unwrap_or_default();
                if word.is_empty() {
                    let found = rest.chars().next().unwrap_or_default();
                    return Err(self.wrong(&format!("`{found}` is unexpected")));
                }
                self.position += word.len();
                // Prefixes of Python's strings.
                if matches!(word, "u" | "r" | "b") && after.starts_with(['"', '\'']) {
                    Value::Text(self.string()?)
                } else {
                    Value::Word(word.to_owned())
                }
            }
        };
        Ok(Node { line, value })
    }

    /// Whether another item follows; ends behind a comma or the closing bracket.
    fn next(&mut self, closing: char, first: bool) -> Result<bool, Problem> {
        self.skip();
        if self.rest().starts_with(closing) {
            self.position += 1;
            return Ok(false);
        }
        if first {
            return Ok(true);
        }
        match self.rest().chars().next() {
            Some(',') => self.position += 1,
            None => return Err(self.wrong(&format!("`{closing}` is missing at its end"))),
            Some('"' | '\'') => return Err(self.wrong("a comma is missing between two names")),
            Some(found) => return Err(self.wrong(&format!("`{found}` is unexpected"))),
        }
        self.skip();
        if self.rest().starts_with(closing) {
            self.position += 1;
            return Ok(false);
        }
        Ok(true)
    }

    fn list(&mut self, closing: char, depth: usize) -> Result<Vec<Node>, Problem> {
        self.position += 1;
        let mut list = Vec::new();
        while self.next(closing, list.is_empty())? {
            list.push(self.value(depth + 1)?);
        }
        Ok(list)
    }

    /// A table, or a set of Python's.
    fn table(&mut self, depth: usize) -> Result<Value, Problem> {
        self.position += 1;
        let (mut pairs, mut set) = (Vec::new(), Vec::new());
        while self.next('}', pairs.is_empty() && set.is_empty())? {
            let key = self.value(depth + 1)?;
            self.skip();
            if self.rest().starts_with(':') {
                self.position += 1;
                pairs.push((key, self.value(depth + 1)?));
            } else {
                set.push(key);
            }
            if !pairs.is_empty() && !set.is_empty() {
                return Err(self.wrong("a `:` is missing between key and value"));
            }
        }
        Ok(if set.is_empty() {
            Value::Table(pairs)
        } else {
            Value::List(set)
        })
    }

    fn string(&mut self) -> Result<String, Problem> {
        let rest = self.rest();
        let mut letters = rest.char_indices();
        let quote = letters.next().map(|(_, quote)| quote).unwrap_or_default();
        let mut text = String::new();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\n' | '\r' => break,
                '\\' => {
                    let Some((_, escaped)) = letters.next() else { break };
                    let digits = match escaped {
                        'u' => 4,
                        'x' => 2,
                        _ => 0,
                    };
                    let hex: String = letters.by_ref().take(digits).map(|(_, digit)| digit).collect();
                    text.push(match escaped {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        'b' => '\u{8}',
                        'f' => '\u{c}',
                        'u' | 'x' => {
                            let mut code = u32::from_str_radix(&hex, 16).unwrap_or(u32::MAX);
                            if (0xD800..0xDC00).contains(&code) {
                                let second: String = letters.by_ref().take(6).map(|(_, digit)| digit).collect();
                                let low = second
                                    .strip_prefix("\\u")
                                    .and_then(|hex| u32::from_str_radix(hex, 16).ok());
                                let low = low.filter(|low| (0xDC00..0xE000).contains(low));
                                code = low.map_or(u32::MAX, |low| 0x1_0000 + ((code - 0xD800) << 10) + (low - 0xDC00));
                            }
                            char::from_u32(code).ok_or_else(|| self.wrong("an escaped character is not one"))?
                        }
                        other => other,
                    });
                }
                letter if letter == quote => {
                    self.position += at + letter.len_utf8();
                    return Ok(text);
                }
                letter => text.push(letter),
            }
        }
        Err(self.wrong("a quotation mark is missing at the end of a name"))
    }
}
