//! `zegclip eval`

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use zegclip::evaluation::{Evaluation, Scored};
use zegclip::{SegmentOptions, Segmenter, evaluate};
use zegclip_data::datasets::Dataset;
use zegclip_data::{DataError, TrainingSetting, Vocabulary, write_label_png};
use zegclip_report::evaluation_page;

use crate::arguments::MethodName;
use crate::evaluation_files::{EvaluationFiles, print, running};
use crate::failure::Failure;
use crate::interrupt::interruptible;
use crate::plan::EvalPlan;
use crate::progress::bar;
use crate::scored_dataset::{self, Request, ScoredDataset};
use crate::segment::{load, model_name, warn_of_unknown_names};
use crate::{hints, output, shell};

/// Number of images between two saved states.
const SAVE_EVERY: u64 = 20;

pub(crate) fn run(options: &EvalPlan) -> Result<(), Failure> {
    let ScoredDataset {
        mut dataset,
        vocabulary,
        other_classes,
    } = scored_dataset::open(&Request {
        dataset: &options.dataset,
        split: options.split.as_deref(),
        vocabulary: options.vocabulary.as_deref(),
        table: options.table.as_deref(),
        unmatched: options.unmatched.as_deref(),
        seen: options.seen.as_deref(),
    })?;
    if let Some(limit) = options.limit {
        dataset = dataset.take(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    let mut stem = "evaluation".to_owned();
    if let Some(shard) = options.shard {
        dataset = dataset.shard(shard.number - 1, shard.of);
        stem = format!("evaluation.shard-{}-of-{}", shard.number, shard.of);
    }
    // Before the model is loaded, so that a wrong folder is reported at once.
    let files = EvaluationFiles::new(&options.output, &stem);
    files.prepare(options.overwrite)?;
    if options.overwrite {
        files.remove_state()?;
    }
    if !dataset.is_empty() && !dataset.has_images() {
        dataset.image(0)?;
    }
    let stop = interruptible();
    let segmenter = load(&options.model)?;
    warn_of_unknown_names(&segmenter, &vocabulary)?;
    let other_classes = other_classes || has_other_classes(&segmenter, &vocabulary);
    let setting = match options.setting {
        Some(name) => name.into(),
        None if other_classes => TrainingSetting::Full,
        None => segmenter.setting().unwrap_or(TrainingSetting::Inductive),
    };
    let header = report_header(options, &dataset, &vocabulary, &segmenter, setting);
    let identity = identity(options, &dataset, &vocabulary, setting)?;
    let state_path = files.state();
    let evaluation = Evaluation {
        boundary: options.boundary,
        state: Some(&state_path),
        save_every: SAVE_EVERY,
        ..Evaluation::new(&vocabulary, dataset.len(), &identity, &stop)
    };
    let progress = bar(dataset.len() as u64);
    let done = zegclip::evaluation::EvaluationState::load(&state_path, &identity)?.map_or(0, |state| state.done());
    if done > 0 {
        output::message(format_args!("note: resuming after {done} of {} images", dataset.len()));
        progress.set_position(done);
        progress.reset_eta();
    }
    let labels = options.save_labels.then(|| options.output.join("labels"));
    let scored = |image: &Scored| {
        if let Some(folder) = &labels {
            save_labels(folder, &dataset, image, &vocabulary)?;
        }
        progress.inc(1);
        if !progress.is_hidden() {
            progress.set_message(running(image.total));
        }
        Ok(())
    };
    let decoding = SegmentOptions {
        // Where all classes count as seen, the bias changes no label.
        seen_class_bias: Some(setting == TrainingSetting::Inductive),
        ..SegmentOptions::default()
    };
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
        let arguments = std::env::args().filter(|argument| argument != "--overwrite");
        return Err(Failure::failed(interrupted).hint(hints::resume(&shell::command(arguments))));
    }
    let image = |index: usize| {
        let (image, labels) = dataset.load(index)?;
        let name = dataset.samples().get(index).map_or("", |sample| sample.id());
        Ok((name.to_owned(), Some(image), labels))
    };
    let html = evaluation_page(&header, &state, &vocabulary, image)?;
    files.write(&header, state.confusion(), &html)?;
    files.remove_state()?;
    print(state.confusion(), options.json)
}

/// Whether the model file states other classes.
fn has_other_classes(segmenter: &Segmenter, vocabulary: &Vocabulary) -> bool {
    segmenter
        .vocabulary()
        .is_some_and(|own| !own.names().eq(vocabulary.names()))
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
        ("model", model_name(options.model.weights.as_deref())),
        ("data set", format!("{}, split {}", dataset.name(), dataset.split())),
        (
            "classes",
            format!(
                "{}: {} classes, {} unseen",
                vocabulary.name(),
                vocabulary.len(),
                vocabulary.seen().unseen_count()
            ),
        ),
        ("setting", setting.name().to_owned()),
        ("device", segmenter.device().description.clone()),
        ("precision", options.model.precision.name().to_owned()),
    ];
    if options.model.method == MethodName::MaskClip {
        header.push(("method", "maskclip, plain CLIP".to_owned()));
    }
    if let Some(shard) = options.shard {
        header.push(("shard", shard.to_string()));
    }
    if let Some(limit) = options.limit {
        header.push(("images", format!("the first {limit}")));
    }
    header
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// All that the scores depend on, apart from the device.
fn identity(
    options: &EvalPlan,
    dataset: &Dataset,
    vocabulary: &Vocabulary,
    setting: TrainingSetting,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut identity = BTreeMap::new();
    let mut insert = |name: &str, value: String| identity.insert(name.to_owned(), value);
    let files = [
        ("model", &options.model.weights),
        ("CLIP", &options.model.clip),
        ("file of text features", &options.model.text_features),
        ("model configuration", &options.model.model_config),
    ];
    for (name, path) in files {
        if let Some(path) = path {
            insert(name, fingerprint(path)?);
        }
    }
    if options.model.weights.is_none() {
        let bytes = zegclip::demo_model();
        let checksum = crc32fast::hash(bytes);
        insert("model", format!("demo model ({} bytes, {checksum:08x})", bytes.len()));
    }
    let ids: Vec<&str> = dataset.samples().iter().map(|sample| sample.id()).collect();
    let ids = crc32fast::hash(ids.join("\n").as_bytes());
    insert("data set", dataset.name().to_owned());
    insert("split", dataset.split().to_owned());
    insert("list of images", format!("{} ({ids:08x})", dataset.len()));
    let classes = crc32fast::hash(vocabulary.to_toml().as_bytes());
    insert("class list", format!("{} ({classes:08x})", vocabulary.name()));
    if let Some(unmatched) = &options.unmatched {
        insert("treatment of unmatched classes", unmatched.clone());
    }
    if let Some(table) = &options.table {
        insert("table of classes", fingerprint(table)?);
    }
    let shard = options
        .shard
        .map_or_else(|| "1/1".to_owned(), |shard| shard.to_string());
    insert("part", shard);
    insert("setting", setting.name().to_owned());
    insert("precision", options.model.precision.name().to_owned());
    if options.model.method == MethodName::MaskClip {
        insert("method", "maskclip".to_owned());
    }
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    insert("--boundary", yes(options.boundary));
    insert("--save-labels", yes(options.save_labels));
    Ok(identity)
}

/// Name, size and checksum of a file.
fn fingerprint(path: &Path) -> Result<String, Failure> {
    let wrong = |error| Failure::failed(format!("cannot read `{}`: {error}", path.display()));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if path.is_dir() {
        return Ok(path.display().to_string());
    }
    let mut file = std::fs::File::open(path).map_err(wrong)?;
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        let read = file.read(&mut buffer).map_err(wrong)?;
        if read == 0 {
            break;
        }
        length += read;
        hasher.update(&buffer[..read]);
    }
    Ok(format!("{name} ({length} bytes, {:08x})", hasher.finalize()))
}

fn save_labels(folder: &Path, dataset: &Dataset, image: &Scored, vocabulary: &Vocabulary) -> Result<(), DataError> {
    let id = dataset.samples().get(image.index).map_or("", |sample| sample.id());
    let path: PathBuf = folder.join(format!("{id}.png"));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|source| DataError::Io {
            action: "create",
            path: folder.to_owned(),
            source,
        })?;
    }
    write_label_png(&path, image.prediction, &vocabulary.palette())
}
