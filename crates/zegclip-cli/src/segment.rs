//! `zegclip segment`

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use zegclip::{
    ClassIndex, DEMO_MODEL_LIMITS, DEMO_MODEL_NAME, RgbImage, SegmentOptions, Segmentation, Segmenter,
    SegmenterBuilder, Vocabulary,
};
use zegclip_data::draw::overlay;
use zegclip_data::{write_atomically, write_label_png};
use zegclip_model::ModelOverrides;

use crate::arguments::SettingName;
use crate::classes::vocabulary;
use crate::failure::Failure;
use crate::inputs::Input;
use crate::plan::{ModelPlan, SegmentPlan};
use crate::progress::bar;
use crate::{device_choice, hints, output};

/// What all images share.
struct Run<'a> {
    options: &'a SegmentPlan,
    segmenter: Segmenter,
    /// The classes of the results.
    listed: Vocabulary,
    /// `listed`, followed by background classes that it lacks.
    scored: Vocabulary,
    background: Vec<ClassIndex>,
    decoding: SegmentOptions,
}

pub(crate) fn run(options: &SegmentPlan) -> Result<(), Failure> {
    // Before the weights are read, so that a wrong class list is reported at once.
    vocabulary(&options.classes, None)?;
    prepare_output(options)?;
    let segmenter = load(&options.model)?;
    let listed = vocabulary(&options.classes, segmenter.vocabulary())?;
    let scored = with_background(&listed, &options.background_classes)?;
    let run = Run {
        options,
        background: options
            .background_classes
            .iter()
            .filter_map(|name| scored.find(name))
            .collect(),
        decoding: SegmentOptions {
            seen_class_bias: options
                .classes
                .setting
                .map(|setting| setting != SettingName::Transductive),
            threshold: options.min_score,
            scores: options.scores,
        },
        segmenter,
        listed,
        scored,
    };
    // Class names that the text encoder cannot encode are one failure, not one per image.
    run.segmenter.text_features(&run.scored)?;
    warn_of_unknown_names(&run.segmenter, &run.scored)?;
    run.all(&options.inputs)
}

/// Loads a model and reports where it runs.
pub(crate) fn load(options: &ModelPlan) -> Result<Segmenter, Failure> {
    let builder = match &options.weights {
        Some(path) => SegmenterBuilder::new(path),
        None => SegmenterBuilder::demo(),
    };
    let mut builder = builder
        .device(options.device)
        .batch(options.batch)
        .method(options.method.into())
        .precision(options.precision.into());
    if let Some(clip) = &options.clip {
        builder = builder.clip(clip);
    }
    if let Some(features) = &options.text_features {
        builder = builder.text_features(features);
    }
    if let Some(path) = &options.model_config {
        builder = builder.model_overrides(model_overrides(path)?);
    }
    let segmenter = builder.load()?;
    if options.weights.is_none() {
        output::message(format_args!(
            "model: {DEMO_MODEL_NAME}; {DEMO_MODEL_LIMITS}; `--weights FILE` selects another"
        ));
    }
    device_choice::report(options.device, segmenter.device());
    Ok(segmenter)
}

/// Warns of class names with words that the model was not trained on.
pub(crate) fn warn_of_unknown_names(segmenter: &Segmenter, classes: &Vocabulary) -> Result<(), Failure> {
    let unknown = segmenter.unknown_names(classes)?;
    if !unknown.is_empty() {
        tracing::warn!(
            "the model was not trained on all words of `{}`; its results for {} are meaningless",
            unknown.join("`, `"),
            if unknown.len() == 1 { "this name" } else { "these names" },
        );
    }
    Ok(())
}

/// Name of a model in results.
pub(crate) fn model_name(weights: Option<&Path>) -> String {
    weights.map_or_else(
        || format!("{DEMO_MODEL_NAME}; {DEMO_MODEL_LIMITS}"),
        |path| path.display().to_string(),
    )
}

/// The sizes that a TOML file states instead of the weights.
pub(crate) fn model_overrides(path: &Path) -> Result<ModelOverrides, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::failed(format!("cannot read `{}`: {error}", path.display())))?;
    toml::from_str(&text).map_err(|error| Failure::failed(format!("`{}`: {}", path.display(), error.message())))
}

impl Run<'_> {
    fn all(&self, inputs: &[Input]) -> Result<(), Failure> {
        let progress = match inputs.len() {
            0 | 1 => ProgressBar::hidden(),
            images => bar(images as u64),
        };
        let mut failed = 0;
        for input in inputs {
            progress.set_message(input.name());
            match self.one(input) {
                Ok(result) => progress.suspend(|| self.print(&result))?,
                Err(failure) if inputs.len() == 1 => return Err(failure),
                Err(failure) => {
                    failed += 1;
                    progress.suspend(|| failure.report());
                }
            }
            progress.inc(1);
        }
        progress.finish_and_clear();
        match failed {
            0 => Ok(()),
            failed => Err(Failure::Partly {
                failed,
                total: inputs.len(),
            }),
        }
    }

    /// Segments one image and writes its files. The JSON is written last: where it is, everything else is.
    fn one(&self, input: &Input) -> Result<Value, Failure> {
        let image = input.read()?;
        let mut result = self.segmenter.segment_with(&image, &self.scored, &self.decoding)?;
        if !self.background.is_empty() {
            let labels = result
                .labels
                .map(|class| (!self.background.contains(&class)).then_some(class));
            result.labels.0 = labels;
        }
        let path = |suffix: &str| self.options.output.join(format!("{}.{suffix}", input.name()));
        let palette = self.listed.palette();
        write_label_png(&path("labels.png"), &result.labels, &palette)?;
        let picture = overlay(&image, &result.labels, &self.listed, self.options.overlay_opacity)?;
        save_png(&path("overlay.png"), &picture)?;
        if let Some(scores) = &result.scores {
            save_scores(&path("scores.safetensors"), scores, self.listed.len(), &result)?;
        }
        let description = self.describe(input, &image, &result);
        let text = serde_json::to_string_pretty(&description).map_err(Failure::failed)?;
        write_atomically(&path("json"), |file| writeln!(file, "{text}"))?;
        Ok(description)
    }

    fn describe(&self, input: &Input, image: &RgbImage, result: &Segmentation) -> Value {
        let shares = result.shares();
        let seen: Vec<bool> = self.listed.seen().flags().collect();
        let classes: Vec<Value> = self
            .listed
            .names()
            .zip(self.listed.palette())
            .enumerate()
            .map(|(index, (name, color))| {
                json!({ "name": name, "color": color, "share": shares[index], "seen": seen[index] })
            })
            .collect();
        let milliseconds = |time: std::time::Duration| (time.as_secs_f64() * 1e5).round() / 100.0;
        let timings = result.timings;
        json!({
            "image": input.origin(),
            "width": image.width(),
            "height": image.height(),
            "classes": classes,
            "unlabelled_share": 1.0 - shares.iter().take(self.listed.len()).sum::<f64>(),
            "model": model_name(self.options.model.weights.as_deref()),
            "device": self.segmenter.device().description,
            "precision": self.options.model.precision.name(),
            "windows": result.windows,
            "milliseconds": {
                "preparation": milliseconds(timings.preparation),
                "model": milliseconds(timings.model),
                "decoding": milliseconds(timings.decoding),
                "total": milliseconds(timings.total()),
            },
        })
    }

    fn print(&self, result: &Value) -> Result<(), Failure> {
        if self.options.json {
            return output::json(result);
        }
        let classes = result["classes"].as_array().map_or(&[][..], Vec::as_slice);
        let mut found: Vec<(f64, &str)> = classes
            .iter()
            .filter_map(|class| Some((class["share"].as_f64()?, class["name"].as_str()?)))
            .filter(|(share, _)| *share > 0.0)
            .collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        let found: Vec<String> = found
            .iter()
            .map(|(share, name)| format!("{name} {:.1} %", 100.0 * share))
            .collect();
        output::line(format!(
            "{}: {}",
            result["image"].as_str().unwrap_or_default(),
            if found.is_empty() {
                "none of the classes".to_owned()
            } else {
                found.join(", ")
            }
        ))
    }
}

/// The class list, followed by background classes that it lacks.
fn with_background(listed: &Vocabulary, names: &[String]) -> Result<Vocabulary, Failure> {
    let missing: Vec<&String> = names.iter().filter(|name| listed.find(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(listed.clone());
    }
    let mut all: Vec<String> = listed.classes().iter().map(|class| class.to_spec()).collect();
    all.extend(missing.iter().map(|name| (*name).clone()));
    // The background is seen if all other classes are.
    let all_seen = listed.seen().unseen_count() == 0;
    let names = listed.names().zip(listed.seen().flags());
    let mut seen: Vec<&str> = names.filter_map(|(name, seen)| seen.then_some(name)).collect();
    seen.extend(missing.iter().filter(|_| all_seen).map(|name| name.as_str()));
    Vocabulary::from_names(&all.join(","))
        .and_then(|list| list.with_seen_names(seen))
        .and_then(|list| list.with_templates(listed.templates().to_vec()))
        .map_err(Failure::usage)
}

fn prepare_output(options: &SegmentPlan) -> Result<(), Failure> {
    let folder = &options.output;
    output::create_folder(folder)?;
    if options.overwrite {
        return Ok(());
    }
    let suffixes = ["labels.png", "overlay.png", "json", "scores.safetensors"];
    let existing: Option<PathBuf> = options
        .inputs
        .iter()
        .flat_map(|input| suffixes.map(|suffix| folder.join(format!("{}.{suffix}", input.name()))))
        .find(|path| path.exists());
    match existing {
        Some(path) => Err(Failure::usage(format!("`{}` already exists", path.display())).hint(hints::CHOOSE_OUTPUT)),
        None => Ok(()),
    }
}

pub(crate) fn save_png(path: &Path, picture: &RgbImage) -> Result<(), Failure> {
    let bytes = zegclip_data::encode_png(picture)?;
    Ok(write_atomically(path, |file| file.write_all(&bytes))?)
}

fn save_scores(path: &Path, scores: &[f32], classes: usize, result: &Segmentation) -> Result<(), Failure> {
    let (width, height) = result.labels.dimensions();
    let (width, height) = (width as usize, height as usize);
    // Background classes that are not in the list are last and are left out.
    let scores: Vec<u8> = scores[..classes * height * width]
        .iter()
        .flat_map(|score| score.to_le_bytes())
        .collect();
    let labels: Vec<u8> = result
        .labels
        .as_raw()
        .iter()
        .flat_map(|label| label.to_le_bytes())
        .collect();
    let view = |dtype, shape: Vec<usize>, data| TensorView::new(dtype, shape, data).map_err(Failure::failed);
    let tensors = [
        (
            "scores",
            view(Dtype::F32, vec![classes, height, width], scores.as_slice())?,
        ),
        ("labels", view(Dtype::U16, vec![height, width], labels.as_slice())?),
    ];
    let bytes = safetensors::serialize(tensors, None).map_err(Failure::failed)?;
    Ok(write_atomically(path, |file| file.write_all(&bytes))?)
}
