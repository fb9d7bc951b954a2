//! `zegclip eval`: the command line, and the TOML behind it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::weights;
use clap::Args;
use zegclip::DeviceName;
use zegclip_foundation::{did_you_mean, nearest_name, split_at_equals};

use super::ModelPlan;
use zegclip::evaluation::Shard;

use crate::arguments::{ClassNames, DenseArguments, EvalArguments, MinPresence, SettingName};
use crate::failure::Failure;
use crate::hints;

const DEFAULT_OUTPUT: &str = "zegclip-evaluation";

#[derive(Debug)]
pub(crate) struct EvalPlan {
    pub(crate) dataset: OsString,
    pub(crate) split: Option<String>,
    pub(crate) model: ModelPlan,
    pub(crate) vocabulary: Option<OsString>,
    pub(crate) table: Option<PathBuf>,
    pub(crate) unmatched: Option<String>,
    pub(crate) seen: Option<ClassNames>,
    /// The least presence of a class that takes pixels.
    pub(crate) min_presence: Option<f32>,
    pub(crate) setting: Option<SettingName>,
    pub(crate) output: PathBuf,
    pub(crate) shard: Option<Shard>,
    pub(crate) limit: Option<u64>,
    pub(crate) boundary: bool,
    pub(crate) save_labels: bool,
    pub(crate) overwrite: bool,
    pub(crate) json: bool,
}

impl EvalPlan {
    /// The command line takes precedence over the TOML.
    pub(crate) fn new(arguments: EvalArguments) -> Result<Self, Failure> {
        let file = arguments.config.as_deref().map(read).transpose()?.unwrap_or_default();
        let Some(dataset) = arguments.dataset.or(file.dataset) else {
            return Err(Failure::usage("no data set is named").hint(hints::NAME_DATASET));
        };
        // A method on the command line replaces the protocol of the file, and the other way around.
        let (method, protocol) = match (arguments.method, arguments.protocol) {
            (None, None) => (file.method, file.protocol),
            given => given,
        };
        let vocabulary = arguments.vocabulary.or(file.vocabulary);
        let table = arguments.table.or(file.table);
        let unmatched = arguments.unmatched.or(file.unmatched);
        let mapped = [("table", table.is_some()), ("unmatched", unmatched.is_some())];
        if let (Some((key, _)), None) = (mapped.into_iter().find(|(_, given)| *given), &vocabulary) {
            return Err(Failure::usage(format!(
                "`{key}` needs `vocabulary`, the classes to score"
            )));
        }
        Ok(Self {
            dataset,
            split: arguments.split.or(file.split),
            model: ModelPlan {
                weights: arguments.weights.or(file.weights),
                clip: arguments.clip.or(file.clip),
                text_features: arguments.text_features.or(file.text_features),
                model_config: arguments.model_config.or(file.model_config),
                device: arguments.device.or(file.device).unwrap_or(DeviceName::Auto),
                precision: arguments.precision.or(file.precision).unwrap_or_default(),
                method,
                protocol,
                dense: arguments.dense.or(file.dense),
                batch: arguments.batch.or(file.batch).map_or(1, usize::from),
                no_mmap: arguments.no_mmap || file.no_mmap,
            },
            vocabulary,
            table,
            unmatched,
            seen: arguments.seen.or(file.seen),
            min_presence: arguments.presence.or(file.presence).and_then(MinPresence::minimum),
            setting: arguments.setting.or(file.setting),
            output: arguments
                .output
                .or(file.output)
                .unwrap_or_else(|| PathBuf::from(DEFAULT_OUTPUT)),
            shard: arguments.shard.or(file.shard),
            limit: arguments.limit.or(file.limit),
            boundary: arguments.boundary || file.boundary,
            save_labels: arguments.save_labels || file.save_labels,
            overwrite: arguments.overwrite,
            json: arguments.json,
        })
    }
}

/// The options of a TOML, whose paths are relative to its folder.
fn read(path: &Path) -> Result<EvalArguments, Failure> {
    let shown = path.display();
    let wrong = |reason: String| Failure::usage(format!("`{shown}`: {}", reason.trim().replace('\n', ", ")));
    let text =
        std::fs::read_to_string(path).map_err(|error| Failure::failed(format!("cannot read `{shown}`: {error}")))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        wrong(format!(
            "line {}: {}",
            1 + before.matches('\n').count(),
            error.message()
        ))
    })?;
    let known = keys();
    if let Some(key) = table.keys().find(|key| !known.contains(key)) {
        let nearest = nearest_name(key, known.iter().map(String::as_str)).map_or_else(
            || format!("; known keys are {}", known.join(", ")),
            |near| did_you_mean(Some(near)),
        );
        return Err(wrong(format!("unknown key `{key}`{nearest}")));
    }
    let options: EvalArguments = table
        .try_into()
        .map_err(|error: toml::de::Error| wrong(error.to_string()))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let at_folder = |path: PathBuf| match weights::is_name(&path) {
        true => path,
        false => folder.join(path),
    };
    Ok(EvalArguments {
        dataset: options.dataset.map(|dataset| match split_at_equals(&dataset) {
            Some((mut name, root)) => {
                name.push("=");
                name.push(folder.join(root));
                name
            }
            None => folder.join(dataset).into(),
        }),
        weights: options.weights.map(at_folder),
        clip: options.clip.map(at_folder),
        text_features: options.text_features.map(at_folder),
        model_config: options.model_config.map(at_folder),
        dense: DenseArguments {
            templates: options.dense.templates.map(|name| match name.as_str() {
                "single" | "imagenet80" => name,
                file => folder.join(file).display().to_string(),
            }),
            ..options.dense
        },
        table: options.table.map(at_folder),
        output: options.output.map(at_folder),
        vocabulary: options.vocabulary.map(|name| {
            let file = folder.join(&name);
            if file.is_file() { file.into() } else { name }
        }),
        ..options
    })
}

/// The keys of a TOML: the options that do not belong to a single run of the program.
fn keys() -> Vec<String> {
    let command = EvalArguments::augment_args(clap::Command::new("eval"));
    let ids = command.get_arguments().map(|argument| argument.get_id().to_string());
    ids.filter(|id| !["config", "overwrite", "json"].contains(&id.as_str()))
        .collect()
}
