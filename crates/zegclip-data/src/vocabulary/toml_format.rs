//! Vocabularies as TOML, see [`Vocabulary::from_toml`].

use serde::Deserialize;

use super::{Class, Vocabulary};
use crate::{
    ClassIndex, DataError, LabelEncoding, SINGLE_TEMPLATE, SeenClasses,
    label_encoding::Rule,
    palette::Color,
    toml_table::{check_keys, parse as parse_table},
};

pub(crate) const KEYS: &[&str] = &[
    "name",
    "source",
    "extends",
    "classes",
    "palette",
    "seen",
    "unseen",
    "templates",
    "labels",
];
const CLASS_KEYS: &[&str] = &["name", "synonyms", "color"];
const LABEL_KEYS: &[&str] = &["first", "values", "ignore"];

#[derive(Deserialize)]
struct File {
    name: Option<String>,
    source: Option<String>,
    extends: Option<String>,
    classes: Option<Vec<ClassEntry>>,
    palette: Option<Vec<ColorEntry>>,
    seen: Option<Vec<String>>,
    unseen: Option<Vec<String>>,
    templates: Option<Vec<String>>,
    labels: Option<Labels>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a class is a name or `{ name = …, synonyms = […], color = … }`"
)]
enum ClassEntry {
    Name(String),
    Table {
        name: String,
        #[serde(default)]
        synonyms: Vec<String>,
        color: Option<ColorEntry>,
    },
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a color is `[red, green, blue]` of 0 to 255 or \"#rrggbb\"")]
enum ColorEntry {
    Rgb(Color),
    Hex(String),
}

/// What pixel values mean: `first` or `values`, and which are ignored (255 unless that is a class).
#[derive(Deserialize)]
struct Labels {
    first: Option<u16>,
    values: Option<toml::Table>,
    ignore: Option<Vec<u16>>,
}

/// Reads a vocabulary; its name is empty where the text states none. `origin` names the text in errors.
pub(super) fn parse(text: &str, origin: &str) -> Result<Vocabulary, DataError> {
    let table = parse_table(text, origin)?;
    check_all_keys(&table, origin)?;
    let file: File = table
        .try_into()
        .map_err(|error: toml::de::Error| mistake(origin, error.to_string().trim()))?;

    let mut vocabulary = match (file.extends, file.classes) {
        (Some(base), None) => Vocabulary {
            name: String::new(),
            source: None,
            ..Vocabulary::built_in(&base)?
        },
        (None, classes) => {
            let classes = classes.unwrap_or_default().into_iter().map(|entry| entry.class(origin));
            Vocabulary::from_classes("", classes.collect::<Result<_, _>>()?, origin)?
        }
        (Some(_), Some(_)) => return Err(mistake(origin, "`extends` and `classes` exclude each other")),
    };
    vocabulary.name = file.name.unwrap_or_default();
    vocabulary.source = file.source.map(|source| source.trim().to_owned());
    if let Some(palette) = file.palette {
        set_palette(&mut vocabulary.classes, palette, origin)?;
    }
    let classes = vocabulary.len();
    match (file.seen, file.unseen) {
        (Some(seen), None) => {
            let seen = vocabulary.indices(seen.iter().map(String::as_str), &format!("{origin}, `seen`"))?;
            vocabulary.seen = SeenClasses::from_seen_indices(classes, seen)?;
        }
        (None, Some(unseen)) => {
            let unseen = vocabulary.indices(unseen.iter().map(String::as_str), &format!("{origin}, `unseen`"))?;
            vocabulary.seen = SeenClasses::from_unseen_indices(classes, unseen)?;
        }
        (None, None) => {}
        (Some(_), Some(_)) => {
            return Err(mistake(origin, "`seen` and `unseen` exclude each other"));
        }
    }
    if let Some(templates) = file.templates {
        check_templates(&templates, origin)?;
        vocabulary.templates = templates;
    }
    if let Some(labels) = file.labels {
        vocabulary.encoding = encoding(labels, &vocabulary, origin)?;
    }
    Ok(vocabulary)
}

/// The inverse of [`parse`].
pub(super) fn write(vocabulary: &Vocabulary) -> String {
    use toml::Value;
    let strings = |items: Vec<String>| Value::Array(items.into_iter().map(Value::String).collect());
    let numbers = |items: Vec<u16>| Value::Array(items.into_iter().map(|item| Value::Integer(item.into())).collect());
    let name = |class: ClassIndex| vocabulary.class(class).map(|class| class.name().to_owned());

    let mut table = toml::Table::new();
    table.insert("name".into(), vocabulary.name.clone().into());
    if let Some(source) = &vocabulary.source {
        table.insert("source".into(), source.clone().into());
    }
    let classes = vocabulary.classes.iter().map(|class| {
        let Some(color) = class.color else {
            return class.to_spec().into();
        };
        let color = numbers(color.map(u16::from).to_vec());
        let synonyms = strings(class.synonyms.clone());
        let entries = [
            ("name", class.name.clone().into()),
            ("synonyms", synonyms),
            ("color", color),
        ];
        Value::Table(
            entries
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        )
    });
    table.insert("classes".into(), Value::Array(classes.collect()));
    table.insert(
        "unseen".into(),
        strings(vocabulary.seen.unseen().filter_map(name).collect()),
    );
    table.insert("templates".into(), strings(vocabulary.templates.clone()));
    let mut labels = toml::Table::new();
    match vocabulary.encoding.rule() {
        Rule::Offset { first } => labels.insert("first".into(), i64::from(*first).into()),
        Rule::Table(values) => {
            let values = values
                .iter()
                .filter_map(|(value, &class)| Some((value.to_string(), name(class)?.into())));
            labels.insert("values".into(), Value::Table(values.collect()))
        }
    };
    labels.insert("ignore".into(), numbers(vocabulary.encoding.ignored_values().collect()));
    table.insert("labels".into(), Value::Table(labels));
    table.to_string()
}

/// Each template must say where the class name goes.
pub(super) fn check_templates(templates: &[String], origin: &str) -> Result<(), DataError> {
    if templates.is_empty() {
        return Err(mistake(
            origin,
            &format!("`templates` is empty (default: `{SINGLE_TEMPLATE}`)"),
        ));
    }
    match templates.iter().find(|template| template.matches("{}").count() != 1) {
        Some(template) => Err(DataError::Template {
            origin: origin.to_owned(),
            template: template.clone(),
        }),
        None => Ok(()),
    }
}

fn check_all_keys(table: &toml::Table, origin: &str) -> Result<(), DataError> {
    check_keys(table, KEYS, origin)?;
    let classes = table
        .get("classes")
        .and_then(toml::Value::as_array)
        .into_iter()
        .flatten();
    for class in classes.filter_map(toml::Value::as_table) {
        check_keys(class, CLASS_KEYS, &format!("{origin}, `classes`"))?;
    }
    table
        .get("labels")
        .and_then(toml::Value::as_table)
        .map_or(Ok(()), |labels| {
            check_keys(labels, LABEL_KEYS, &format!("{origin}, `labels`"))
        })
}

impl ClassEntry {
    fn class(self, origin: &str) -> Result<Class, DataError> {
        match self {
            Self::Name(name) => Ok(Class::parse(&name)),
            Self::Table { name, synonyms, color } => {
                let color = color.map(|color| color.color(origin)).transpose()?;
                let mut class = Class {
                    color,
                    ..Class::parse(&name)
                };
                class.synonyms.extend(
                    synonyms
                        .iter()
                        .flat_map(|name| name.split('|'))
                        .map(|name| name.trim().to_owned()),
                );
                Ok(class)
            }
        }
    }
}

impl ColorEntry {
    fn color(self, origin: &str) -> Result<Color, DataError> {
        let hex = match self {
            Self::Rgb(color) => return Ok(color),
            Self::Hex(hex) => hex,
        };
        let digits = hex
            .strip_prefix('#')
            .filter(|digits| digits.len() == 6 && digits.is_ascii());
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let [_, red, green, blue] = number
            .ok_or_else(|| {
                mistake(
                    origin,
                    &format!("`{hex}` is not a color, \"#rrggbb\" or [red, green, blue]"),
                )
            })?
            .to_be_bytes();
        Ok([red, green, blue])
    }
}

fn set_palette(classes: &mut [Class], palette: Vec<ColorEntry>, origin: &str) -> Result<(), DataError> {
    if palette.len() != classes.len() {
        let (colors, classes) = (palette.len(), classes.len());
        return Err(DataError::PaletteLength {
            origin: origin.to_owned(),
            colors,
            classes,
        });
    }
    for (class, color) in classes.iter_mut().zip(palette) {
        class.color = Some(color.color(origin)?);
    }
    Ok(())
}

fn encoding(labels: Labels, vocabulary: &Vocabulary, origin: &str) -> Result<LabelEncoding, DataError> {
    let origin = &format!("{origin}, `labels`");
    let named = |error: DataError| mistake(origin, &error.to_string());
    let ignore = |is_class: bool| {
        labels
            .ignore
            .clone()
            .unwrap_or_else(|| vec![if is_class { u16::MAX } else { 255 }])
    };
    let Some(values) = &labels.values else {
        let first = labels.first.unwrap_or_default();
        let ignore = ignore(usize::from(first) + vocabulary.len() > 255);
        let encoding = LabelEncoding::offset(vocabulary.len(), first, ignore).map_err(named)?;
        return Ok(encoding.with_assumed_ignored(labels.ignore.is_none()));
    };
    if labels.first.is_some() {
        return Err(mistake(origin, "`first` and `values` exclude each other"));
    }
    let pairs = values.iter().map(|(value, class)| {
        let number = value.trim().parse::<u16>();
        let number = number.map_err(|_| mistake(origin, &format!("`{value}` is not a pixel value from 0 to 65535")))?;
        let name = class
            .as_str()
            .ok_or_else(|| mistake(origin, &format!("the class of {value} must be a name")))?;
        Ok((number, vocabulary.require(name, origin)?))
    });
    let pairs = pairs.collect::<Result<Vec<_>, DataError>>()?;
    let ignore = ignore(pairs.iter().any(|&(value, _)| value == 255));
    let encoding = LabelEncoding::table(pairs, ignore).map_err(named)?;
    Ok(encoding.with_assumed_ignored(labels.ignore.is_none()))
}

fn mistake(origin: &str, message: &str) -> DataError {
    DataError::Toml {
        origin: origin.to_owned(),
        message: message.replace('\n', ", "),
    }
}
