//! The text form of a configuration: TOML and overrides.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use toml::{Table, Value};

use crate::TrainError;
use crate::config_keys::{
    ConfigDifference, Override, RenameNotes, RenamedKeys, check_keys, first_difference, rename_keys, to_table,
    unserializable,
};

/// Renamed keys with their tables: old name, new name. Old names are still read, with a warning.
const RENAMED_KEYS: RenamedKeys = &[("optimiser", "optimizer")];

/// A configuration of a run in its text form.
pub trait Configuration: Sized + Clone + Serialize + DeserializeOwned {
    /// Keys that the result does not depend on, so that a resumed run may change them.
    const RESUME_MUTABLE_KEYS: &'static [&'static str];

    /// A configuration with a value for every existing key.
    fn schema_example() -> Self;

    /// Checks ranges and contradictions.
    ///
    /// # Errors
    /// [`TrainError::Value`] with the key and the range, [`TrainError::Unserializable`].
    fn validate(&self) -> Result<(), TrainError>;

    /// Checks the configuration against the files that it names, without creating anything.
    ///
    /// # Errors
    /// [`TrainError::Value`], and those of reading the files.
    fn preflight(&self) -> Result<(), TrainError> {
        Ok(())
    }

    /// Reads a TOML file and applies `overrides` of the form `a.b=value`, where a value is TOML or a plain word. Absent keys
    /// have their defaults.
    ///
    /// # Errors
    /// [`TrainError::Io`], and those of [`from_toml`](Self::from_toml).
    fn from_file(path: &Path, overrides: &[String]) -> Result<Self, TrainError> {
        let text = std::fs::read_to_string(path).map_err(TrainError::io("read", path))?;
        Self::from_toml(&text, &format!("`{}`", path.display()), overrides)
    }

    /// As [`from_file`](Self::from_file) for text; `origin` names the text in errors.
    ///
    /// # Errors
    /// [`TrainError::InvalidToml`], [`TrainError::WrongType`], [`TrainError::InvalidOverride`], [`TrainError::UnknownKey`]
    /// with the nearest existing key, [`TrainError::RenamedKeyTwice`], and those of [`validate`](Self::validate).
    fn from_toml(text: &str, origin: &str, overrides: &[String]) -> Result<Self, TrainError> {
        let parsed: Self = parse(text, origin, overrides, RenameNotes::Warn)?;
        parsed.validate()?;
        Ok(parsed)
    }

    /// The configuration as TOML, every value stated.
    ///
    /// # Errors
    /// [`TrainError::Unserializable`].
    fn to_toml(&self) -> Result<String, TrainError> {
        toml::to_string(self).map_err(unserializable)
    }

    /// The first value in which two configurations differ and that the result depends on.
    ///
    /// # Errors
    /// [`TrainError::Unserializable`].
    fn first_difference(&self, other: &Self) -> Result<Option<ConfigDifference>, TrainError> {
        let (recorded, given) = (to_table(self)?, to_table(other)?);
        Ok(first_difference(&recorded, &given, Self::RESUME_MUTABLE_KEYS))
    }

    /// Fails if `given` differs from `self`, the configuration in `path`, in a value that the result depends on.
    ///
    /// # Errors
    /// [`TrainError::OtherConfig`].
    fn require_same(&self, given: &Self, path: &Path) -> Result<(), TrainError> {
        match self.first_difference(given)? {
            None => Ok(()),
            Some(ConfigDifference { key, recorded, given }) => Err(TrainError::OtherConfig {
                path: path.to_owned(),
                key,
                recorded,
                given,
            }),
        }
    }
}

/// The configuration that a run or a checkpoint recorded, possibly under old keys.
#[derive(Debug)]
pub(crate) struct RecordedConfig<'a> {
    pub(crate) text: &'a str,
    /// Where it is recorded.
    pub(crate) path: &'a Path,
}

impl RecordedConfig<'_> {
    /// Fails if `given` differs in a value that the result depends on. Renamed keys are the same key, without a warning.
    pub(crate) fn require_same<C: Configuration>(&self, given: &C) -> Result<(), TrainError> {
        let origin = format!("`{}`", self.path.display());
        parse::<C>(self.text, &origin, &[], RenameNotes::Silent)?.require_same(given, self.path)
    }
}

fn parse<C: Configuration>(
    text: &str,
    origin: &str,
    overrides: &[String],
    notes: RenameNotes,
) -> Result<C, TrainError> {
    let mut table: Table = text
        .parse()
        .map_err(|source: toml::de::Error| TrainError::InvalidToml {
            origin: origin.to_owned(),
            line: line_of(text, &source),
            source: Box::new(source),
        })?;
    rename_keys(&mut table, RENAMED_KEYS, origin, notes)?;
    let schema = to_table(&C::schema_example())?;
    check_keys(&table, &schema, origin)?;
    let mut applied = Vec::with_capacity(overrides.len());
    for text in overrides {
        let parsed = Override::parse(text, RENAMED_KEYS, notes)?;
        parsed.apply(&mut table)?;
        check_keys(&table, &schema, &parsed.origin)?;
        applied.push(parsed);
    }
    Override::check_names(&applied)?;
    serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
        let key = dotted(error.path());
        let source = error.into_inner();
        let override_ = applied.iter().rev().find(|applied| applied.sets(&key));
        // The values have no position once overrides are applied; the text alone still has.
        let line = toml::from_str::<C>(text)
            .err()
            .filter(|in_text| override_.is_none() && in_text.message() == source.message())
            .and_then(|in_text| line_of(text, &in_text));
        TrainError::WrongType {
            origin: override_.map_or_else(|| origin.to_owned(), |applied| applied.origin.clone()),
            line,
            key,
            source: Box::new(source),
        }
    })
}

/// The line of an error, from 1.
fn line_of(text: &str, error: &toml::de::Error) -> Option<usize> {
    let before = text.get(..error.span()?.start)?;
    Some(1 + before.matches('\n').count())
}

/// `stages.0.iterations`, the form that overrides have.
fn dotted(path: &serde_path_to_error::Path) -> String {
    let segments = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    segments.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::TrainConfig;

    const SMALLEST: &str = "[model]\nclip = \"ViT-B-16.pt\"\n[data]\ndataset = \"voc2012=data\"\n";

    fn parse(text: &str, overrides: &[&str]) -> Result<TrainConfig, String> {
        let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
        TrainConfig::from_toml(text, "`a.toml`", &overrides).map_err(|error| error.to_string())
    }

    #[test]
    fn absent_keys_have_published_values() {
        let config = parse(SMALLEST, &[]).unwrap();
        let expected = TrainConfig::default();
        assert_eq!((config.iterations, config.optimizer), (20_000, expected.optimizer));
        assert_eq!(
            config.model.prompts.to_model(),
            zegclip_model::ZegClipConfig::voc().prompts
        );
        assert_eq!(config.data.threads, 2);
    }

    #[test]
    fn numbers_that_mean_nothing_are_refused() {
        for value in [
            "loss.focal_weight=-1",
            "loss.dice_weight=nan",
            "loss.alpha=1.5",
            "loss.gamma=-0.5",
            "schedule.power=-1",
            "schedule.min_lr=-1e-5",
            "schedule.warmup_ratio=2",
            "optimizer.lr=1e300",
            "optimizer.lr=inf",
            "optimizer.lr=0",
            "optimizer.lr_multiplier=-1",
            "optimizer.weight_decay=-0.1",
            "optimizer.betas=[0.9, 1.0]",
            "optimizer.epsilon=0",
            "optimizer.clip_norm=nan",
            "model.decoder={ layers = 2, heads = 2, ffn_ratio = 2, dropout = 1.0 }",
            "data.pipeline.flip=1.5",
            "data.pipeline.std=[1.0, -1.0, 1.0]",
        ] {
            let error = parse(SMALLEST, &[value]).unwrap_err();
            let (key, _) = value.split_once('=').unwrap();
            assert!(
                error.contains(key) && error.contains("must be") | error.contains("must not be"),
                "{value}: {error}"
            );
        }
    }

    #[test]
    fn overrides_have_one_name_for_a_key() {
        for values in [
            ["optimiser.lr=1e-3", "optimizer.lr=1e-4"],
            ["optimizer.lr=1e-3", "optimiser.weight_decay=0.1"],
        ] {
            let error = parse(SMALLEST, &values).unwrap_err();
            assert!(
                error.contains("`optimiser` is the old name of `optimizer`, and both are present"),
                "{error}"
            );
        }
        assert_eq!(
            parse(SMALLEST, &["optimizer.lr=1e-3", "optimizer.lr=1e-4"])
                .unwrap()
                .optimizer
                .lr,
            1e-4
        );
    }

    #[test]
    fn a_configuration_survives_its_text_form() {
        let config = parse(SMALLEST, &["optimizer.clip_norm=0.5", "model.prompts.form=reverse"]).unwrap();
        assert_eq!(parse(&config.to_toml().unwrap(), &[]).unwrap(), config);
    }

    #[test]
    fn overrides_take_toml_and_plain_words() {
        let set = [
            "schedule.warmup=7",
            "loss.form=cross_entropy",
            "data.pipeline.flip=0.25",
            "model.clip=a b/c.pt",
            "optimizer.betas=[0.5, 0.9]",
        ];
        let config = parse(SMALLEST, &set).unwrap();
        assert_eq!((config.schedule.warmup, config.data.pipeline.flip), (7, 0.25));
        assert_eq!(config.loss.form, zegclip_model::loss::LossForm::CrossEntropy);
        assert_eq!(config.model.clip, Some(PathBuf::from("a b/c.pt")));
        assert_eq!(config.optimizer.betas, [0.5, 0.9]);
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = parse(&format!("{SMALLEST}[optimizer]\nweight_decya = 1"), &[]).unwrap_err();
        assert_eq!(
            error,
            "`a.toml`: unknown key `optimizer.weight_decya` (did you mean `optimizer.weight_decay`?)"
        );
        let error = parse(SMALLEST, &["schedul.warmup=3"]).unwrap_err();
        assert!(
            error.contains("did you mean `schedule`?") && error.contains("override `schedul.warmup=3`"),
            "{error}"
        );
        let error = parse(SMALLEST, &["loss.zzz=3"]).unwrap_err();
        assert!(error.contains("(existing keys: `alpha`, `dice_weight`"), "{error}");
    }

    #[test]
    fn wrong_values_are_reported_with_their_key() {
        for (set, expected) in [
            ("accumulation=3", "`accumulation` = 3: must divide `batch_size` = 16"),
            (
                "model.image_size=64",
                "`model.stride` = 426: must be in 1..=64 (`model.image_size`)",
            ),
            (
                "data.pipeline.crop_size=64",
                "`data.pipeline.crop_size` = 64: must equal `model.image_size` = 512",
            ),
            (
                "data.pipeline.flip=1.5",
                "`data.pipeline.flip` = 1.5: must be a probability of 0 to 1",
            ),
            ("optimizer.lr=-1.0", "`optimizer.lr` = -1: must be positive"),
            ("optimizer.lr=nan", "`optimizer.lr` = nan: must be a finite number"),
            (
                "optimizer.betas=[0.5, inf]",
                "`optimizer.betas.1` = inf: must be a finite number",
            ),
            ("iterations=0", "`iterations` = 0: must be in 1..=9223372036854775807"),
            (
                "batch_size=1000000000000",
                "`batch_size` = 1000000000000: must be in 1..=65536",
            ),
            (
                "batch_size=60000",
                "`batch_size` = 60000: a batch of images of 512 × 512 pixels has more than 2^32 pixels",
            ),
            (
                "iterations=9223372036854775808",
                "`iterations` = 9223372036854775808: integers must be below 2^63",
            ),
            (
                "seed=18446744073709551616",
                "`seed` = 18446744073709551616: integers must be below 2^63",
            ),
            ("data.threads=100000", "`data.threads` = 100000: must be in 0..=1024"),
            (
                "model.decoder={ layers = 0, heads = 8, ffn_ratio = 4 }",
                "`model.decoder.layers` = 0: must be in 1..=1024",
            ),
        ] {
            assert_eq!(parse(SMALLEST, &[set]).unwrap_err(), expected);
        }
        let error = parse(SMALLEST, &["iterations=many"]).unwrap_err();
        assert_eq!(
            error,
            "override `iterations=many`: `iterations`: invalid type: string \"many\", expected u64"
        );
        let error = parse(&format!("{SMALLEST}[schedule]\nwarmup = \"long\"\n"), &["seed=1"]).unwrap_err();
        assert_eq!(
            error,
            "`a.toml`: line 6: `schedule.warmup`: invalid type: string \"long\", expected u64"
        );
        let error = parse("seed = 9223372036854775808", &[]).unwrap_err();
        assert!(
            error.starts_with("`a.toml`: line 1: ") && !error.contains("string"),
            "{error}"
        );
        assert!(parse("seed = = 1", &[]).unwrap_err().starts_with("`a.toml`: line 1: "));
        assert!(parse(SMALLEST, &["seed"]).unwrap_err().contains("has no `=`"));
    }

    #[test]
    fn sizes_of_an_untrained_clip_are_checked() {
        const UNTRAINED: &str = r#"
            [model]
            image_size = 32
            stride = 26
            [model.untrained_clip]
            embed_dim = 16
            vision = { patch_size = 8, width = 32, layers = 2, heads = 2, position_grid = 4 }
            text = { width = 16, layers = 1, heads = 2, context_length = 16, vocabulary_size = 49408 }
            [model.prompts]
            blocks = 1
            [model.decoder]
            layers = 1
            heads = 2
            ffn_ratio = 1
            [data]
            dataset = "voc2012=data"
            [data.pipeline]
            crop_size = 32
        "#;
        parse(UNTRAINED, &[]).unwrap();
        for (set, expected) in [
            (
                "prompts.blocks=99",
                "`model.prompts.blocks` = 99: the image encoder has 2 blocks, the first of which the deep form adds",
            ),
            ("decoder.heads=7", "`model.decoder.heads` = 7: must divide the width 16"),
            ("decoder.heads=0", "`model.decoder.heads` = 0: must divide the width 16"),
            (
                "untrained_clip.vision.heads=3",
                "`model.untrained_clip.vision.heads` = 3: must divide the width 32",
            ),
            (
                "untrained_clip.vision.patch_size=0",
                "`model.untrained_clip.vision.patch_size` = 0: must be in 1..=32 (`model.image_size`)",
            ),
            (
                "untrained_clip.text.vocabulary_size=10",
                "`model.untrained_clip.text.vocabulary_size` = 10: must be in 49408..=1048576",
            ),
            (
                "untrained_clip.vision.width=1000000000000",
                "`model.untrained_clip.vision.width` = 1000000000000: must be in 1..=65536",
            ),
        ] {
            assert_eq!(parse(UNTRAINED, &[&format!("model.{set}")]).unwrap_err(), expected);
        }
    }

    #[test]
    fn differences_that_the_result_depends_on_are_found() {
        let config = parse(SMALLEST, &[]).unwrap();
        let other = parse(SMALLEST, &["run.keep=9", "data.threads=5"]).unwrap();
        assert_eq!(config.first_difference(&other).unwrap(), None);
        let other = parse(SMALLEST, &["schedule.power=1.0"]).unwrap();
        let expected = ConfigDifference {
            key: "schedule.power".to_owned(),
            recorded: "0.9".to_owned(),
            given: "1.0".to_owned(),
        };
        assert_eq!(config.first_difference(&other).unwrap(), Some(expected));
    }

    #[test]
    fn not_a_number_equals_itself() {
        let mut config = parse(SMALLEST, &[]).unwrap();
        config.optimizer.lr = f64::NAN;
        assert_eq!(config.first_difference(&config).unwrap(), None);
        let error = config.validate().unwrap_err();
        assert!(
            matches!(&error, TrainError::Value { key, .. } if key == "optimizer.lr"),
            "{error}"
        );
    }

    #[test]
    fn old_keys_are_read_with_one_warning_each() {
        let old = format!("{SMALLEST}[optimiser]\nlr = 1e-3\n");
        let read = |origin: &str, text: &str, overrides: &[&str]| {
            let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
            warnings_of(|| TrainConfig::from_toml(text, origin, &overrides))
        };
        let expected = parse(SMALLEST, &["optimizer.lr=1e-3"]).unwrap();
        let (config, warnings) = read("`old-keys.toml`", &old, &[]);
        assert_eq!(config.unwrap(), expected);
        assert_eq!(
            warnings,
            ["`old-keys.toml`: the key `optimiser` has been renamed to `optimizer`; the old name is still read"]
        );
        // Once per file.
        assert!(read("`old-keys.toml`", &old, &[]).1.is_empty());
        let (config, warnings) = read("`b`", SMALLEST, &["optimiser.lr=0.001"]);
        assert_eq!(config.unwrap(), expected);
        assert_eq!(
            warnings,
            [
                "override `optimiser.lr=0.001`: the key `optimiser` has been renamed to `optimizer`; the old name is still read"
            ]
        );
        let (config, _) = read("`c`", &old, &["optimizer.lr=0.5"]);
        assert_eq!(config.unwrap().optimizer.lr, 0.5);
        let both = format!("{old}[optimizer]\nlr = 1e-3\n");
        let error = parse(&both, &[]).unwrap_err();
        assert_eq!(
            error,
            "`a.toml`: `optimiser` is the old name of `optimizer`, and both are present"
        );
        // A slip under an old key is reported under the new one.
        let error = parse(SMALLEST, &["optimiser.weight_decya=1"]).unwrap_err();
        assert!(error.contains("did you mean `optimizer.weight_decay`?"), "{error}");
    }

    #[test]
    fn a_recorded_configuration_with_old_keys_is_the_same() {
        let config = parse(SMALLEST, &["optimizer.lr=1e-3"]).unwrap();
        let old = config.to_toml().unwrap().replace("[optimizer]", "[optimiser]");
        assert!(old.contains("[optimiser]"));
        let recorded = RecordedConfig {
            text: &old,
            path: Path::new("config.toml"),
        };
        let (same, warnings) = warnings_of(|| recorded.require_same(&config));
        assert!(same.is_ok() && warnings.is_empty(), "{same:?} {warnings:?}");
        let other = parse(SMALLEST, &["optimizer.lr=2e-3"]).unwrap();
        let error = recorded.require_same(&other).unwrap_err();
        assert!(
            matches!(&error, TrainError::OtherConfig { key, .. } if key == "optimizer.lr"),
            "{error}"
        );
    }

    /// The texts that `work` logs.
    fn warnings_of<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
        use std::sync::{Arc, Mutex};

        use tracing::field::{Field, Visit};
        use tracing::span::{Attributes, Id, Record};
        use tracing::{Event, Metadata, Subscriber};

        #[derive(Clone, Default)]
        struct Collect(Arc<Mutex<Vec<String>>>);
        struct Message<'a>(&'a Collect);
        impl Visit for Message<'_> {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0.0.lock().unwrap().push(format!("{value:?}"));
                }
            }
        }
        impl Subscriber for Collect {
            fn enabled(&self, metadata: &Metadata<'_>) -> bool {
                *metadata.level() == tracing::Level::WARN
            }
            fn new_span(&self, _: &Attributes<'_>) -> Id {
                Id::from_u64(1)
            }
            fn record(&self, _: &Id, _: &Record<'_>) {}
            fn record_follows_from(&self, _: &Id, _: &Id) {}
            fn event(&self, event: &Event<'_>) {
                event.record(&mut Message(self));
            }
            fn enter(&self, _: &Id) {}
            fn exit(&self, _: &Id) {}
        }
        let collected = Collect::default();
        let result = tracing::subscriber::with_default(collected.clone(), work);
        let warnings = std::mem::take(&mut *collected.0.lock().unwrap());
        (result, warnings)
    }
}
