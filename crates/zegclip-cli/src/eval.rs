//! `zegclip eval`

use zegclip::evaluation::{
    ASSUMED, Evaluation, EvaluationFiles, EvaluationIdentity, EvaluationState, InputFile, Scored, Shard,
};
use zegclip::{Precision, SegmentOptions, Segmenter, evaluate};
use zegclip_data::datasets::Dataset;
use zegclip_data::{TrainingSetting, Vocabulary, remove_if_there};
use zegclip_foundation::counted;
use zegclip_report::evaluation_page;

use crate::failure::Failure;
use crate::interrupt::interruptible;
use crate::plan::{EvalPlan, ModelPlan};
use crate::progress::bar;
use crate::score_lines::{print, running};
use crate::scored_dataset::{self, Request, ScoredDataset};
use crate::segment::{load, warn_of_unknown_names};
use crate::{assumptions, classes, hints, output, shell};

/// Number of images between two saved states.
const SAVE_EVERY: u64 = 20;

pub(crate) fn run(options: &EvalPlan) -> Result<(), Failure> {
    let ScoredDataset {
        mut dataset,
        vocabulary,
        other_classes,
        mut assumed,
    } = scored_dataset::open(&Request {
        dataset: &options.dataset,
        split: options.split.as_deref(),
        vocabulary: options.vocabulary.as_deref(),
        table: options.table.as_deref(),
        unmatched: options.unmatched.as_deref(),
        seen: options.seen.as_ref(),
    })?;
    let mut vocabulary = vocabulary;
    if let Some(protocol) = &options.model.protocol {
        vocabulary = scored_dataset::with_names_of(vocabulary, protocol)?;
    }
    assumed.extend(classes::note_single(&vocabulary, options.min_presence.is_some()));
    if let Some(limit) = options.limit {
        dataset = dataset.take(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    if let Some(shard) = options.shard {
        dataset = dataset.shard(shard.index(), shard.of());
    }
    // Before the model is loaded, so that a wrong folder is reported at once.
    let files = EvaluationFiles::new(
        &options.output,
        &options.shard.map_or("evaluation".to_owned(), Shard::stem),
    );
    files.prepare(options.overwrite)?;
    let _lock = files.lock()?;
    if !dataset.is_empty() && !dataset.has_images() {
        dataset.image(0)?;
    }
    let model = options.model.located()?;
    let stop = interruptible();
    let segmenter = load(&model)?;
    warn_of_unknown_names(&segmenter, &vocabulary)?;
    let setting = match options.setting {
        Some(name) => name.into(),
        None if other_classes => TrainingSetting::Full,
        None => segmenter.setting_for(&vocabulary),
    };
    let mut header = report_header(options, &dataset, &vocabulary, &segmenter, setting);
    header.extend(assumed.into_iter().map(|line| (ASSUMED.to_owned(), line)));
    let identity = identity(options, &model, &dataset, &vocabulary, &segmenter, setting)?;
    let state_path = files.state();
    let labels = options.output.join("labels");
    if options.overwrite {
        files.remove()?;
        if labels.is_dir() {
            let earlier = dataset
                .samples()
                .iter()
                .map(|sample| labels.join(format!("{}.png", sample.id())));
            earlier.into_iter().try_for_each(|path| remove_if_there(&path))?;
        }
    }
    let evaluation = Evaluation {
        boundary: options.boundary,
        state: Some(&state_path),
        save_every: SAVE_EVERY,
        ..Evaluation::new(&vocabulary, dataset.len(), identity.as_map(), &stop)
    };
    let progress = bar(dataset.len() as u64);
    let done = EvaluationState::load(&state_path, identity.as_map())?.map_or(0, |state| state.done());
    if done > 0 {
        output::message(format_args!("note: resuming after {done} of {} images", dataset.len()));
        progress.set_position(done);
        progress.reset_eta();
    }
    let labels = options.save_labels.then_some(labels);
    let scored = |image: &Scored| {
        if let Some(folder) = &labels {
            image.save_prediction(folder, dataset.id(image.index), &vocabulary)?;
        }
        progress.inc(1);
        if !progress.is_hidden() {
            progress.set_message(running(image.total));
        }
        Ok(())
    };
    let mut decoding = SegmentOptions::for_setting(setting);
    if let Some(minimum) = options.min_presence {
        decoding = decoding.with_min_presence(minimum);
    }
    let state = evaluate(&segmenter, &dataset, &evaluation, &decoding, scored)?;
    progress.finish_and_clear();
    if state.done() < dataset.len() as u64 {
        let interrupted = match state.done() {
            0 => "interrupted before the first image was done".to_owned(),
            done => format!(
                "interrupted after {done} of {} images, which are saved in `{}`",
                dataset.len(),
                state_path.display()
            ),
        };
        let arguments = std::env::args_os().skip(1).filter(|argument| argument != "--overwrite");
        let arguments = std::iter::once("zegclip".into()).chain(arguments);
        return Err(Failure::failed(interrupted).hint(hints::resume(&shell::command(arguments))));
    }
    let image = |index: usize| {
        let (image, labels) = dataset.load(index)?;
        Ok((dataset.id(index).to_owned(), Some(image), labels))
    };
    let html = evaluation_page(&header, &state, &vocabulary, image)?;
    files.write(&header, state.confusion(), &html)?;
    files.remove_state()?;
    print(state.confusion(), &header, options.json)
}

/// The header of a report.
fn report_header(
    options: &EvalPlan,
    dataset: &Dataset,
    vocabulary: &Vocabulary,
    segmenter: &Segmenter,
    setting: TrainingSetting,
) -> Vec<(String, String)> {
    let mut header = vec![
        ("model", segmenter.model_name()),
        ("data set", format!("{}, split {}", dataset.name(), dataset.split())),
        (
            "classes",
            format!(
                "{}: {}, {} unseen",
                vocabulary.name(),
                counted(vocabulary.len(), "class", "classes"),
                vocabulary.seen().unseen_count()
            ),
        ),
        ("setting", setting.name().to_owned()),
        ("device", segmenter.device().description.clone()),
        ("precision", segmenter.precision().name().to_owned()),
    ];
    if let Some(protocol) = segmenter.protocol() {
        header.push(("method", format!("{}, plain CLIP", protocol.method)));
    }
    if let Some(protocol) = &options.model.protocol {
        let published = protocol
            .published_miou
            .map_or_else(String::new, |miou| format!(", published mIoU {miou}"));
        header.push(("protocol", format!("{}{published}", protocol.name())));
    }
    if let Some(minimum) = options.min_presence {
        header.push(("presence", format!("at least {minimum}")));
    }
    if let Some(shard) = options.shard {
        header.push(("shard", shard.to_string()));
    }
    if let Some(limit) = options.limit {
        header.push(("images", format!("the first {limit}")));
    }
    header.extend(
        assumptions::lines(segmenter.assumptions())
            .into_iter()
            .map(|line| (ASSUMED, line)),
    );
    header
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// All that the scores depend on, apart from the device.
fn identity(
    options: &EvalPlan,
    model: &ModelPlan,
    dataset: &Dataset,
    vocabulary: &Vocabulary,
    segmenter: &Segmenter,
    setting: TrainingSetting,
) -> Result<EvaluationIdentity, Failure> {
    let mut identity = EvaluationIdentity::new(dataset, vocabulary, setting)
        .shard(options.shard.unwrap_or(Shard::ALL))
        .precision(Precision::from(options.model.precision))
        .method(segmenter.method())
        .boundary(options.boundary)
        .saved_labels(options.save_labels);
    if let Some(minimum) = options.min_presence {
        identity = identity.min_presence(minimum);
    }
    let files = [
        (InputFile::Weights, &model.weights),
        (InputFile::Clip, &model.clip),
        (InputFile::TextFeatures, &model.text_features),
        (InputFile::ModelConfig, &model.model_config),
        (InputFile::ClassTable, &options.table),
    ];
    for (input, path) in files {
        if let Some(path) = path {
            identity = identity.file(input, path)?;
        }
    }
    if let Some(protocol) = segmenter.protocol() {
        identity = identity.protocol(protocol);
    }
    if segmenter.templates(vocabulary) != vocabulary.templates() {
        identity = identity.templates(segmenter.templates(vocabulary));
    }
    #[cfg(feature = "demo")]
    if options.model.weights.is_none() {
        identity = identity.demo_model();
    }
    if let Some(treatment) = &options.unmatched {
        identity = identity.unmatched(treatment);
    }
    Ok(identity)
}
