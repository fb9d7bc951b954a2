//! The text form of a configuration: TOML, overrides, and what is wrong with a key.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};
use zegclip_model::config::{ClipConfig, Similarity};

use crate::{TrainConfig, TrainError};

/// A configuration of a run in its text form.
pub trait Configuration: Sized + Clone + Serialize + DeserializeOwned {
    /// Keys that change nothing about the result, so that a run may go on with other values.
    const FREE_KEYS: &'static [&'static str];

    /// A configuration with a value for every key that exists.
    fn every_key() -> Self;

    /// Looks at ranges and contradictions that a type cannot exclude.
    ///
    /// # Errors
    /// [`TrainError::Value`] with the key and what to do.
    fn validate(&self) -> Result<(), TrainError>;

    /// Reads a TOML and puts `overrides` (`a.b=value`, value in TOML or a plain word) over it. What neither names has its
    /// default.
    ///
    /// # Errors
    /// [`TrainError::Config`] for text that is no such TOML, [`TrainError::UnknownKey`] with the nearest key that exists, and
    /// those of [`validate`](Self::validate).
    fn from_file(path: &Path, overrides: &[String]) -> Result<Self, TrainError> {
        let text = std::fs::read_to_string(path).map_err(TrainError::io("read", path))?;
        Self::from_toml(&text, &format!("`{}`", path.display()), overrides)
    }

    /// As [`from_file`](Self::from_file) for text; `origin` names it in errors.
    ///
    /// # Errors
    /// Those of [`from_file`](Self::from_file).
    fn from_toml(text: &str, origin: &str, overrides: &[String]) -> Result<Self, TrainError> {
        let config = |message: String| TrainError::Config {
            origin: origin.to_owned(),
            message,
        };
        let mut table: Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error
                .span()
                .map(|span| 1 + text.get(..span.start).unwrap_or(text).matches('\n').count());
            let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            config(format!("{line}{}", one_line(error.message())))
        })?;
        let known = to_table(&Self::every_key())?;
        check_keys(&table, &known, "", origin)?;
        for text in overrides {
            let origin = format!("`--set {text}`");
            put(&mut table, text, &origin)?;
            check_keys(&table, &known, "", &origin)?;
        }
        let parsed: Self = table
            .try_into()
            .map_err(|error: toml::de::Error| config(one_line(&error.to_string())))?;
        parsed.validate()?;
        Ok(parsed)
    }

    /// The configuration as TOML, every value spelled out.
    ///
    /// # Errors
    /// [`TrainError::Config`] if a path is no UTF-8.
    fn to_toml(&self) -> Result<String, TrainError> {
        toml::to_string(self).map_err(unwritable)
    }

    /// The first key in which two configurations differ that matters for the result: key, value here, value there.
    ///
    /// # Errors
    /// [`TrainError::Config`] if a path is no UTF-8.
    fn first_difference(&self, other: &Self) -> Result<Option<(String, String, String)>, TrainError> {
        Ok(difference(&to_table(self)?, &to_table(other)?, "", Self::FREE_KEYS))
    }

    /// Fails if `given` is another configuration than `self`, which `path` was made with.
    ///
    /// # Errors
    /// [`TrainError::OtherConfig`].
    fn require_same(&self, given: &Self, path: &Path) -> Result<(), TrainError> {
        match self.first_difference(given)? {
            None => Ok(()),
            Some((key, recorded, given)) => Err(TrainError::OtherConfig {
                path: path.to_owned(),
                key,
                recorded,
                given,
            }),
        }
    }
}

impl Configuration for TrainConfig {
    const FREE_KEYS: &'static [&'static str] = &["run", "data.threads", "data.batches_ahead"];

    fn every_key() -> Self {
        let mut config = Self::default();
        config.model.clip = Some(PathBuf::new());
        config.model.initial = Some(PathBuf::new());
        config.model.similarity = Some(Similarity {
            scale: 1.0,
            threshold: 0.5,
        });
        config.model.untrained_clip = Some(ClipConfig::vit_b16());
        if let Some(clip) = &mut config.model.untrained_clip {
            clip.text.pruned_vocabulary = Some(Vec::new());
        }
        config.data.split = Some(String::new());
        config.run.evaluation_split = Some(String::new());
        config.optimiser.clip_norm = Some(1.0);
        config
    }

    fn validate(&self) -> Result<(), TrainError> {
        self.check()
    }
}

fn to_table(config: &impl Serialize) -> Result<Table, TrainError> {
    Table::try_from(config).map_err(unwritable)
}

fn unwritable(error: toml::ser::Error) -> TrainError {
    TrainError::Config {
        origin: "the configuration".to_owned(),
        message: one_line(&error.to_string()),
    }
}

fn check_keys(table: &Table, known: &Table, place: &str, origin: &str) -> Result<(), TrainError> {
    for (key, value) in table {
        let Some(expected) = known.get(key) else {
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            let hint = zegclip_foundation::nearest_name(key, names.iter().copied()).map_or_else(
                || {
                    format!(
                        "; keys there are {}",
                        names
                            .iter()
                            .map(|name| format!("`{name}`"))
                            .collect::<Vec<_>>()
                            .join(", ")
                    )
                },
                |near| format!(" (did you mean `{place}{near}`?)"),
            );
            return Err(TrainError::UnknownKey {
                origin: origin.to_owned(),
                key: format!("{place}{key}"),
                hint,
            });
        };
        match (value, expected) {
            (Value::Table(table), Value::Table(expected)) => {
                check_keys(table, expected, &format!("{place}{key}."), origin)?;
            }
            (Value::Array(tables), Value::Array(expected)) => {
                let Some(Value::Table(expected)) = expected.first() else {
                    continue;
                };
                for (index, table) in tables.iter().enumerate() {
                    let Value::Table(table) = table else { continue };
                    check_keys(table, expected, &format!("{place}{key}.{index}."), origin)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Puts `a.b=value` into a table.
fn put(table: &mut Table, text: &str, origin: &str) -> Result<(), TrainError> {
    let fail = |message: &str| {
        Err(TrainError::Config {
            origin: origin.to_owned(),
            message: message.to_owned(),
        })
    };
    let Some((path, value)) = text.split_once('=') else {
        return fail("it has no `=`; write `key=value`, for example `schedule.warmup=0`");
    };
    let value = value.trim();
    // What TOML does not take for a value is a word: paths and names need no quotes.
    let value = format!("value = {value}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(value.to_owned()));
    let mut keys: Vec<&str> = path.trim().split('.').collect();
    let last = keys.pop().unwrap_or_default();
    let mut place = table;
    let mut keys = keys.into_iter().peekable();
    while let Some(key) = keys.next() {
        let entry = place.entry(key).or_insert_with(|| Value::Table(Table::new()));
        place = match entry {
            Value::Table(inner) => inner,
            // An element of a list of tables is named by its place: `stages.0.iterations`.
            Value::Array(list) => {
                let count = list.len();
                let element = keys.next().and_then(|index| list.get_mut(index.parse::<usize>().ok()?));
                let Some(Value::Table(inner)) = element else {
                    return fail(&format!(
                        "`{key}` is a list of {count}; name an element, as `{key}.0`, and a key of it"
                    ));
                };
                inner
            }
            _ => return fail(&format!("`{key}` is a value, not a table")),
        };
    }
    place.insert(last.to_owned(), value);
    Ok(())
}

fn difference(ours: &Table, theirs: &Table, place: &str, free: &[&str]) -> Option<(String, String, String)> {
    let absent = || "absent".to_owned();
    let keys = ours.keys().chain(theirs.keys().filter(|key| !ours.contains_key(*key)));
    for key in keys {
        let path = format!("{place}{key}");
        if free.contains(&path.as_str()) {
            continue;
        }
        let found = match (ours.get(key), theirs.get(key)) {
            (Some(Value::Table(ours)), Some(Value::Table(theirs))) => {
                difference(ours, theirs, &format!("{path}."), free)
            }
            (ours, theirs) if ours == theirs => None,
            (ours, theirs) => Some((
                path,
                ours.map_or_else(absent, ToString::to_string),
                theirs.map_or_else(absent, ToString::to_string),
            )),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

fn one_line(message: &str) -> String {
    message.trim().replace('\n', ", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: &str = "[model]\nclip = \"ViT-B-16.pt\"\n[data]\ndataset = \"voc2012=data\"\n";

    fn parse(text: &str, overrides: &[&str]) -> Result<TrainConfig, String> {
        let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
        TrainConfig::from_toml(text, "`a.toml`", &overrides).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_named_is_published() {
        let config = parse(SMALLEST, &[]).unwrap();
        let expected = TrainConfig::default();
        assert_eq!((config.iterations, config.optimiser), (20_000, expected.optimiser));
        assert_eq!(
            config.model.prompts.to_model(),
            zegclip_model::ZegClipConfig::voc().prompts
        );
        assert_eq!(config.data.threads, 2);
    }

    #[test]
    fn text_and_back_is_the_same() {
        let config = parse(SMALLEST, &["optimiser.clip_norm=0.5", "model.prompts.form=reverse"]).unwrap();
        assert_eq!(parse(&config.to_toml().unwrap(), &[]).unwrap(), config);
    }

    #[test]
    fn overrides_take_toml_and_plain_words() {
        let set = [
            "schedule.warmup=7",
            "loss.form=cross_entropy",
            "data.pipeline.flip=0.25",
            "model.clip=a b/c.pt",
            "optimiser.betas=[0.5, 0.9]",
        ];
        let config = parse(SMALLEST, &set).unwrap();
        assert_eq!((config.schedule.warmup, config.data.pipeline.flip), (7, 0.25));
        assert_eq!(config.loss.form, zegclip_model::loss::LossForm::CrossEntropy);
        assert_eq!(config.model.clip, Some(PathBuf::from("a b/c.pt")));
        assert_eq!(config.optimiser.betas, [0.5, 0.9]);
    }

    #[test]
    fn a_slip_names_the_nearest_key() {
        let error = parse(&format!("{SMALLEST}[optimiser]\nweight_decya = 1"), &[]).unwrap_err();
        assert_eq!(
            error,
            "`a.toml`: there is no key `optimiser.weight_decya` (did you mean `optimiser.weight_decay`?)"
        );
        let error = parse(SMALLEST, &["schedul.warmup=3"]).unwrap_err();
        assert!(
            error.contains("did you mean `schedule`?") && error.contains("--set schedul.warmup=3"),
            "{error}"
        );
        let error = parse(SMALLEST, &["loss.zzz=3"]).unwrap_err();
        assert!(error.contains("keys there are `alpha`, `dice_weight`"), "{error}");
    }

    #[test]
    fn wrong_values_are_told_with_their_key() {
        for (set, expected) in [
            ("accumulation=3", "`accumulation` = 3: it must divide `batch_size` = 16"),
            (
                "model.image_size=64",
                "`data.pipeline.crop_size` = 512: crops must have the model's `model.image_size` = 64",
            ),
            ("optimiser.lr=-1.0", "`optimiser.lr` = -1: it must be a positive number"),
            ("iterations=0", "`iterations` = 0: at least one is needed"),
        ] {
            assert_eq!(parse(SMALLEST, &[set]).unwrap_err(), expected);
        }
        assert!(
            parse(SMALLEST, &["iterations=many"])
                .unwrap_err()
                .contains("iterations")
        );
        assert!(parse("seed = = 1", &[]).unwrap_err().starts_with("`a.toml`: line 1: "));
        assert!(parse(SMALLEST, &["seed"]).unwrap_err().contains("has no `=`"));
    }

    #[test]
    fn differences_that_matter_are_found() {
        let config = parse(SMALLEST, &[]).unwrap();
        let other = parse(SMALLEST, &["run.keep=9", "data.threads=5"]).unwrap();
        assert_eq!(config.first_difference(&other).unwrap(), None);
        let other = parse(SMALLEST, &["schedule.power=1.0"]).unwrap();
        let expected = ("schedule.power".to_owned(), "0.9".to_owned(), "1.0".to_owned());
        assert_eq!(config.first_difference(&other).unwrap(), Some(expected));
    }
}
