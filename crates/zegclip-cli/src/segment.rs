//! `zegclip segment`

use std::path::Path;
use std::sync::atomic::Ordering;

use indicatif::ProgressBar;
use zegclip::{
    ImageOutputs, ImageReport, Method, ModelOverrides, OutputFile, RgbImage, SegmentOptions, Segmenter,
    TRAINED_MIN_PRESENCE, Vocabulary,
};
use zegclip_data::{SINGLE_TEMPLATE, write_atomically};
use zegclip_foundation::{cache_folder, environment, text_of};
use zegclip_model::clip::templates::IMAGENET_80;
use zegclip_weights::set_memory_mapping;

use crate::arguments::{MinPresence, SettingName};
use crate::failure::Failure;
use crate::inputs::Input;
use crate::interrupt::{interruptible, received};
use crate::plan::{ModelPlan, SegmentPlan};
use crate::progress::bar;
use crate::{assumptions, classes, device_choice, hints, output, shell};

/// What all images share.
struct Run<'a> {
    options: &'a SegmentPlan,
    segmenter: Segmenter,
    classes: Vocabulary,
    decoding: SegmentOptions,
    outputs: ImageOutputs,
}

pub(crate) fn run(options: &SegmentPlan) -> Result<(), Failure> {
    // Before the weights are read, so that a wrong class list is reported at once.
    let (list, mut notes) = classes::list(&options.classes)?;
    classes::with_setting(list.clone(), &options.classes, None)?;
    notes.extend(classes::check_background(&options.background_classes, &list)?);
    let inputs = remaining(options, &list)?;
    let names = || inputs.iter().map(|input| input.name());
    options.outputs.prepare(names())?;
    if inputs.is_empty() {
        return Ok(());
    }
    let segmenter = load(&options.model.located()?)?;
    let classes = classes::with_setting(list, &options.classes, segmenter.vocabulary())?;
    let decoding = decoding(options, segmenter.method());
    // Class names that the text encoder cannot encode are one failure, not one per image.
    let scored = decoding.scored_classes(&classes).map_err(Failure::usage)?;
    segmenter.text_features(&scored)?;
    warn_of_unknown_names(&segmenter, &scored)?;
    if options.min_score.is_none()
        && let Some(note) = classes::note_single(&scored, decoding.min_presence().is_some())
    {
        output::message(format_args!("hint: {}", hints::SINGLE_CLASS));
        notes.push(note);
    }
    let outputs = options.outputs.clone().notes(notes);
    let run = Run {
        options,
        segmenter,
        classes,
        decoding,
        outputs,
    };
    // Once nothing but single images can fail.
    options.outputs.clear(names())?;
    run.all(&inputs)
}

/// The images that have no results yet, if those that have are skipped.
fn remaining<'a>(options: &'a SegmentPlan, listed: &Vocabulary) -> Result<Vec<&'a Input>, Failure> {
    if !options.skip_existing {
        return Ok(options.inputs.iter().collect());
    }
    let mut remaining = Vec::new();
    let mut classes = None;
    for input in &options.inputs {
        let name = input.name();
        match options.outputs.existing_classes(&name) {
            None => remaining.push(input),
            Some(found) => classes = Some((name, found)),
        }
    }
    let done = options.inputs.len() - remaining.len();
    if let Some((name, found)) = classes {
        if !listed.names().eq(found.iter().map(String::as_str)) {
            let path = options.outputs.path(&name, OutputFile::Report);
            return Err(Failure::usage(format!(
                "`{}` has the results of other classes: {}",
                path.display(),
                found.join(", ")
            ))
            .hint(hints::OTHER_CLASSES));
        }
        output::message(format_args!("note: {done} of {} images are done", options.inputs.len()));
    }
    Ok(remaining)
}

fn decoding(options: &SegmentPlan, method: Method) -> SegmentOptions {
    let mut decoding = match options.classes.setting {
        None => SegmentOptions::new(),
        // All classes are seen in the setting `full`, which lowers all scores alike.
        Some(SettingName::Full) => SegmentOptions::for_setting(SettingName::Inductive.into()),
        Some(setting) => SegmentOptions::for_setting(setting.into()),
    };
    decoding = decoding.with_background_classes(&options.background_classes);
    if let Some(score) = options.min_score {
        decoding = decoding.with_min_score(score);
    }
    let trained = (method == Method::ZegClip).then_some(TRAINED_MIN_PRESENCE);
    if let Some(minimum) = options.presence.map_or(trained, MinPresence::minimum) {
        decoding = decoding.with_min_presence(minimum);
    }
    if options.scores {
        decoding = decoding.with_scores();
    }
    decoding
}

/// Loads a model and reports where it runs.
pub(crate) fn load(options: &ModelPlan) -> Result<Segmenter, Failure> {
    set_memory_mapping(!options.no_mmap);
    let mut builder = Segmenter::builder()
        .device(options.device)
        .window_batch(options.batch)
        .dense_overrides(options.dense.overrides())
        .precision(options.precision.into());
    match &options.weights {
        Some(path) => builder = builder.weights(path),
        #[cfg(feature = "demo")]
        None => builder = builder.demo(),
        #[cfg(not(feature = "demo"))]
        None => {}
    }
    if let Some(clip) = &options.clip {
        builder = builder.clip(clip);
    }
    if let Some(folder) = cache_folder(&environment) {
        builder = builder.text_cache(folder.join("text-features"));
    }
    if let Some(features) = &options.text_features {
        builder = builder.text_features(features);
    }
    if let Some(path) = &options.model_config {
        builder = builder.model_overrides(model_overrides(path)?);
    }
    if let Some(method) = options.method {
        builder = builder.method(method.into());
    }
    if let Some(protocol) = &options.protocol {
        builder = builder.protocol(protocol.clone());
    }
    if let Some(templates) = options.dense.templates.as_deref().map(templates).transpose()? {
        builder = builder.templates(templates);
    }
    let segmenter = builder.build()?;
    if options.method.is_none() && options.protocol.is_none() && segmenter.method() != Method::ZegClip {
        output::message(format_args!(
            "method: {}, since `{}` is plain CLIP without training for segmentation; a trained model makes better masks",
            segmenter.method().name(),
            segmenter.model_name()
        ));
    }
    if options.weights.is_none() {
        output::message(format_args!(
            "model: {}; `--weights FILE` selects another",
            segmenter.model_name()
        ));
    }
    device_choice::report(options.device, segmenter.device());
    assumptions::report(segmenter.assumptions(), hints::state);
    Ok(segmenter)
}

/// Prompt templates by name, or of a file with one a line.
fn templates(name: &str) -> Result<Vec<String>, Failure> {
    let templates: Vec<String> = match name {
        "single" => return Ok(vec![SINGLE_TEMPLATE.to_owned()]),
        "imagenet80" => return Ok(IMAGENET_80.map(str::to_owned).to_vec()),
        file => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| Failure::failed(format!("cannot read the templates `{file}`: {error}")))?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            lines.map(str::to_owned).collect()
        }
    };
    // A list of one class checks them.
    let checked = Vocabulary::from_names("any")?.with_templates(templates);
    Ok(checked.map_err(Failure::usage)?.templates().to_vec())
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

/// What a TOML file states of a model instead of the weights.
pub(crate) fn model_overrides(path: &Path) -> Result<ModelOverrides, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::failed(format!("cannot read `{}`: {error}", path.display())))?;
    let wrong = |reason: &str| Failure::usage(format!("`{}`: {}", path.display(), reason.replace('\n', ", ")));
    let overrides: ModelOverrides = toml::from_str(&text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let number = text.bytes().take(start).filter(|byte| *byte == b'\n').count();
        let line = text.lines().nth(number).unwrap_or_default().trim();
        wrong(&format!("line {}, `{line}`: {}", number + 1, error.message()))
    })?;
    overrides.check().map_err(|error| wrong(&error.to_string()))?;
    Ok(overrides)
}

impl Run<'_> {
    fn all(&self, inputs: &[&Input]) -> Result<(), Failure> {
        let progress = match inputs.len() {
            0 | 1 => ProgressBar::hidden(),
            images => bar(images as u64),
        };
        let (mut failed, mut has_reader) = (0, true);
        // Of a single image nothing would be left to do.
        let stop = (inputs.len() > 1).then(interruptible);
        for (index, input) in inputs.iter().enumerate() {
            if stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                progress.finish_and_clear();
                return Err(self.interrupted(index - failed, inputs.len()));
            }
            progress.set_message(text_of(input.name()));
            match self.one(input) {
                // The files are wanted also where stdout has no reader any more.
                Ok(result) if has_reader => match progress.suspend(|| self.print(&result)) {
                    Err(Failure::ClosedPipe) => has_reader = false,
                    printed => printed?,
                },
                Ok(_) => {}
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

    /// The failure of a run whose images are not all done.
    fn interrupted(&self, done: usize, of: usize) -> Failure {
        let (signal, name) = received().unwrap_or((0, "a signal"));
        let arguments = std::env::args_os()
            .skip(1)
            .filter(|argument| argument != "--overwrite" && argument != "--skip-existing");
        let command = ["zegclip".into()].into_iter().chain(arguments);
        let command = shell::command(command.chain(["--skip-existing".into()]));
        Failure::Signaled(format!("ended by {name} after {done} of {of} images").into(), signal)
            .hint(hints::remaining_images(&command))
    }

    fn one(&self, input: &Input) -> Result<ImageReport, Failure> {
        let image = input.read()?;
        let (name, origin) = (input.name(), input.origin());
        let result = self.segmenter.segment_with(&image, &self.classes, &self.decoding);
        let result = result.map_err(|error| error.of_image(&origin))?;
        let written = self
            .outputs
            .write(&name, &origin, &image, &result, &self.classes, &self.segmenter);
        Ok(written?)
    }

    fn print(&self, report: &ImageReport) -> Result<(), Failure> {
        if self.options.json {
            return output::json(report);
        }
        let found: Vec<String> = report
            .found()
            .iter()
            .map(|class| format!("{} {:.1} %", class.name, 100.0 * class.fraction))
            .collect();
        output::line(format!(
            "{}: {}",
            report.image,
            if found.is_empty() {
                "none of the classes".to_owned()
            } else {
                found.join(", ")
            }
        ))
    }
}

pub(crate) fn save_png(path: &Path, picture: &RgbImage) -> Result<(), Failure> {
    let bytes = zegclip_data::encode_png(picture)?;
    Ok(write_atomically(path, |file| file.write_all(&bytes))?)
}
