//! Keys of a configuration's TOML: unknown and renamed ones, overrides, differences.
//!
//! Unknown keys are found by comparison with an example that has every key, not with `serde_ignored`: the configurations
//! reject unknown fields themselves, and the example also gives the existing names that an error lists.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use toml::{Table, Value};

use crate::TrainError;

/// Renamed keys with their tables: old name, new name.
pub(crate) type RenamedKeys = &'static [(&'static str, &'static str)];

/// A value in which two configurations differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigDifference {
    /// The key with its tables, such as `optimizer.lr`.
    pub key: String,
    /// The first configuration's value as TOML, or `absent`.
    pub recorded: String,
    /// The second configuration's value as TOML, or `absent`.
    pub given: String,
}

/// Whether old names of keys are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RenameNotes {
    Warn,
    Silent,
}

/// Fails for the first key of `table` that `schema` does not have.
pub(crate) fn check_keys(table: &Table, schema: &Table, origin: &str) -> Result<(), TrainError> {
    check_table(table, schema, "", origin)
}

fn check_table(table: &Table, schema: &Table, prefix: &str, origin: &str) -> Result<(), TrainError> {
    for (key, value) in table {
        let Some(expected) = schema.get(key) else {
            let nearest = zegclip_foundation::nearest_name(key, schema.keys().map(String::as_str));
            return Err(TrainError::UnknownKey {
                origin: origin.to_owned(),
                key: format!("{prefix}{key}"),
                nearest: nearest.map(|nearest| format!("{prefix}{nearest}")),
                known: schema.keys().cloned().collect(),
            });
        };
        match (value, expected) {
            (Value::Table(table), Value::Table(expected)) => {
                check_table(table, expected, &format!("{prefix}{key}."), origin)?;
            }
            (Value::Array(tables), Value::Array(expected)) => {
                let Some(Value::Table(expected)) = expected.first() else {
                    continue;
                };
                for (index, table) in tables.iter().enumerate() {
                    let Value::Table(table) = table else { continue };
                    check_table(table, expected, &format!("{prefix}{key}.{index}."), origin)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Moves values from old names to new ones.
pub(crate) fn rename_keys(
    table: &mut Table,
    renamed: RenamedKeys,
    origin: &str,
    notes: RenameNotes,
) -> Result<(), TrainError> {
    for &(old, new) in renamed {
        let Some(value) = remove(table, old) else { continue };
        if get(table, new).is_some() {
            return Err(TrainError::RenamedKeyTwice {
                origin: origin.to_owned(),
                old,
                new,
            });
        }
        warn_of_rename(origin, old, new, notes);
        insert(table, new, value);
    }
    Ok(())
}

/// Warns once for each file or override and old name, however often it is read.
fn warn_of_rename(origin: &str, old: &str, new: &str, notes: RenameNotes) {
    static REPORTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let first = || {
        let mut reported = REPORTED.lock().unwrap_or_else(PoisonError::into_inner);
        reported.insert(format!("{origin} {old}"))
    };
    if notes == RenameNotes::Warn && first() {
        tracing::warn!("{origin}: the key `{old}` has been renamed to `{new}`; the old name is still read");
    }
}

fn get<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => table.get(path),
        Some((key, rest)) => get(table.get(key)?.as_table()?, rest),
    }
}

fn remove(table: &mut Table, path: &str) -> Option<Value> {
    match path.split_once('.') {
        None => table.remove(path),
        Some((key, rest)) => remove(table.get_mut(key)?.as_table_mut()?, rest),
    }
}

fn insert(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((key, rest)) => {
            let inner = table.entry(key).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// A value of the form `a.b=value`, with the new name of a renamed key.
#[derive(Debug)]
pub(crate) struct Override {
    /// Names the override in errors.
    pub(crate) origin: String,
    key: String,
    value: Value,
    /// Old and new name, where it has the old name of a renamed key.
    renamed: Option<(&'static str, &'static str)>,
}

impl Override {
    pub(crate) fn parse(text: &str, renamed: RenamedKeys, notes: RenameNotes) -> Result<Self, TrainError> {
        let origin = format!("override `{text}`");
        let Some((key, value)) = text.split_once('=') else {
            let reason = "it has no `=`".to_owned();
            return Err(TrainError::InvalidOverride { origin, reason });
        };
        let mut key = key.trim().to_owned();
        let mut old_name = None;
        for &(old, new) in renamed {
            let rest = key.strip_prefix(old).map(str::to_owned);
            if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with('.')) {
                warn_of_rename(&origin, old, new, notes);
                key = format!("{new}{rest}");
                old_name = Some((old, new));
            }
        }
        let value = parse_value(&key, value.trim())?;
        Ok(Self {
            origin,
            key,
            value,
            renamed: old_name,
        })
    }

    /// Fails if overrides have a renamed key under its old and its new name.
    pub(crate) fn check_names(overrides: &[Self]) -> Result<(), TrainError> {
        for old_one in overrides {
            let Some((old, new)) = old_one.renamed else { continue };
            let has_new = |other: &&Self| {
                let rest = other.key.strip_prefix(new).filter(|_| other.renamed.is_none());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            if let Some(other) = overrides.iter().find(has_new) {
                let origin = format!("{} and {}", old_one.origin, other.origin);
                return Err(TrainError::RenamedKeyTwice { origin, old, new });
            }
        }
        Ok(())
    }

    /// Whether it sets the value at `key`, or a table around it.
    pub(crate) fn sets(&self, key: &str) -> bool {
        let rest = key.strip_prefix(self.key.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// Sets the value in `table`.
    pub(crate) fn apply(&self, table: &mut Table) -> Result<(), TrainError> {
        let fail = |reason: String| TrainError::InvalidOverride {
            origin: self.origin.clone(),
            reason,
        };
        let mut keys: Vec<&str> = self.key.split('.').collect();
        let last = keys.pop().unwrap_or_default();
        let mut inner = table;
        let mut keys = keys.into_iter();
        while let Some(key) = keys.next() {
            let entry = inner.entry(key).or_insert_with(|| Value::Table(Table::new()));
            inner = match entry {
                Value::Table(table) => table,
                // An element of a list of tables is named by its index: `stages.0.iterations`.
                Value::Array(list) => {
                    let count = list.len();
                    let element = keys.next().and_then(|index| list.get_mut(index.parse::<usize>().ok()?));
                    let Some(Value::Table(table)) = element else {
                        let example = format!("`{key}.0`");
                        return Err(fail(format!(
                            "`{key}` is a list of {count} elements, which are named by their index, as {example}"
                        )));
                    };
                    table
                }
                _ => return Err(fail(format!("`{key}` is a value, not a table"))),
            };
        }
        inner.insert(last.to_owned(), self.value.clone());
        Ok(())
    }
}

/// A TOML value, or a plain word: paths and names need no quotes.
fn parse_value(key: &str, text: &str) -> Result<Value, TrainError> {
    let toml = format!("value = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"));
    match toml {
        Some(value) => Ok(value),
        None if is_large_integer(text) => Err(TrainError::value(key, text, "integers must be below 2^63")),
        None => Ok(Value::String(text.to_owned())),
    }
}

/// Whether a text is an integer that TOML cannot represent.
fn is_large_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text).replace('_', "");
    let digits = digits.trim_start_matches('0');
    let integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    integer && digits.parse::<i64>().is_err()
}

/// The first value in which two tables differ, but for the keys `ignored`.
pub(crate) fn first_difference(recorded: &Table, given: &Table, ignored: &[&str]) -> Option<ConfigDifference> {
    difference(recorded, given, "", ignored)
}

fn difference(recorded: &Table, given: &Table, prefix: &str, ignored: &[&str]) -> Option<ConfigDifference> {
    let text = |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), ToString::to_string);
    let keys = recorded
        .keys()
        .chain(given.keys().filter(|key| !recorded.contains_key(*key)));
    for key in keys {
        let path = format!("{prefix}{key}");
        if ignored.contains(&path.as_str()) {
            continue;
        }
        let found = match (recorded.get(key), given.get(key)) {
            (Some(Value::Table(recorded)), Some(Value::Table(given))) => {
                difference(recorded, given, &format!("{path}."), ignored)
            }
            (Some(recorded), Some(given)) if same(recorded, given) => None,
            (recorded, given) => Some(ConfigDifference {
                key: path,
                recorded: text(recorded),
                given: text(given),
            }),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Equality under which NaN equals itself.
fn same(recorded: &Value, given: &Value) -> bool {
    match (recorded, given) {
        (Value::Float(recorded), Value::Float(given)) => recorded == given || recorded.is_nan() && given.is_nan(),
        (Value::Array(recorded), Value::Array(given)) => {
            recorded.len() == given.len()
                && recorded
                    .iter()
                    .zip(given)
                    .all(|(recorded, given)| same(recorded, given))
        }
        (Value::Table(recorded), Value::Table(given)) => difference(recorded, given, "", &[]).is_none(),
        (recorded, given) => recorded == given,
    }
}

/// A configuration as a TOML table.
pub(crate) fn to_table(config: &impl Serialize) -> Result<Table, TrainError> {
    Table::try_from(config).map_err(unserializable)
}

pub(crate) fn unserializable(source: toml::ser::Error) -> TrainError {
    TrainError::Unserializable {
        source: Box::new(source),
    }
}
