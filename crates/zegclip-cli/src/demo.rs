//! `zegclip demo`

use std::path::Path;
use std::sync::atomic::Ordering;

use zegclip::demo::{DemoResult, DemoScene, DemoSettings, run as run_split};
use zegclip::{Segmenter, TrainingSetting};
use zegclip_data::metrics::Scores;
use zegclip_data::{remove_if_there, write_atomically};
use zegclip_report::{EvaluationPage, Example, ExampleFigure, ExampleGroup, evaluation_collection};
use zegclip_scenes::TestSplit;

use crate::arguments::DemoArguments;
use crate::failure::Failure;
use crate::interrupt::interruptible;
use crate::plan::ModelPlan;
use crate::progress::bar;
use crate::segment::{load, save_png};
use crate::{hints, output};

/// Number of scenes of each split that are drawn.
const SHOWN: u64 = 8;

pub(crate) fn run(options: &DemoArguments) -> Result<(), Failure> {
    let page_path = options.output.join("index.html");
    prepare(options, &page_path)?;
    let model = ModelPlan::new(options.weights.clone(), options.device).located()?;
    let stop = interruptible();
    let segmenter = load(&model)?;
    if options.overwrite {
        remove_results(options, &page_path)?;
    }
    let settings = DemoSettings {
        scenes: options.count,
        shown: options.count.min(SHOWN) as usize,
        size: options.size,
        seed: options.seed,
    };
    let progress = bar(options.count * TestSplit::ALL.len() as u64);
    let mut results = Vec::new();
    for split in TestSplit::ALL {
        progress.set_message(split.title());
        let result = run_split(&segmenter, split, &settings, &stop, || progress.inc(1))?;
        if stop.load(Ordering::Relaxed) {
            progress.finish_and_clear();
            return Err(Failure::failed("interrupted; no results were written"));
        }
        results.push((split, result));
    }
    progress.finish_and_clear();
    let model = segmenter.model_name();
    for (split, result) in &results {
        write_split(options, *split, &model, result)?;
    }
    let html = page(options, &segmenter, &results)?;
    write_atomically(&page_path, |file| file.write_all(html.as_bytes()))?;
    print(options, &model, &results)?;
    output::message(format_args!("page: {}", page_path.display()));
    Ok(())
}

fn prepare(options: &DemoArguments, page: &Path) -> Result<(), Failure> {
    if page.exists() && !options.overwrite {
        return Err(Failure::usage(format!("`{}` already exists", page.display())).hint(hints::CHOOSE_OUTPUT));
    }
    for split in TestSplit::ALL {
        output::create_folder(&options.output.join(split.name()))?;
    }
    Ok(())
}

/// Removes what an earlier demo wrote.
fn remove_results(options: &DemoArguments, page: &Path) -> Result<(), Failure> {
    remove_if_there(page)?;
    for split in TestSplit::ALL {
        let folder = options.output.join(split.name());
        remove_if_there(&folder.join("evaluation.json"))?;
        for index in 0..SHOWN as usize {
            remove_if_there(&folder.join(drawing(index)))?;
        }
    }
    Ok(())
}

fn drawing(index: usize) -> String {
    format!("scene-{index:02}.png")
}

/// The scores of a split as JSON, and a drawing of each shown scene.
fn write_split(options: &DemoArguments, split: TestSplit, model: &str, result: &DemoResult) -> Result<(), Failure> {
    let folder = options.output.join(split.name());
    for (index, shown) in result.shown.iter().enumerate() {
        save_png(&folder.join(drawing(index)), &shown.drawing(&result.vocabulary)?)?;
    }
    let text = serde_json::to_string_pretty(&result.json(split, model)).map_err(Failure::failed)?;
    write_atomically(&folder.join("evaluation.json"), |file| writeln!(file, "{text}"))?;
    Ok(())
}

/// The page of both splits.
fn page(
    options: &DemoArguments,
    segmenter: &Segmenter,
    results: &[(TestSplit, DemoResult)],
) -> Result<String, Failure> {
    let scores = results
        .iter()
        .map(|(_, result)| Scores::of(&result.confusion))
        .collect::<Vec<_>>();
    let parts = results.iter().zip(&scores).map(|((split, result), scores)| {
        let facts = [
            ("artists", result.artists.join(", ")),
            (
                "scenes",
                format!(
                    "{} of {size}×{size} pixels, seed {}",
                    scores.images,
                    options.seed,
                    size = options.size
                ),
            ),
            ("time", format!("{:.0} ms per scene", result.milliseconds)),
        ];
        let figure = |shown: &DemoScene| {
            ExampleFigure::new(&Example {
                name: shown.caption(),
                image: Some(&shown.scene.image),
                labels: &shown.scene.labels,
                prediction: &shown.prediction,
                vocabulary: &result.vocabulary,
            })
        };
        Ok(EvaluationPage {
            title: format!("Scenes by {}", split.title()),
            facts: facts.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            scores,
            vocabulary: &result.vocabulary,
            examples: vec![ExampleGroup {
                title: "First scenes".to_owned(),
                examples: result.shown.iter().map(figure).collect::<Result<_, _>>()?,
            }],
        })
    });
    let parts = parts.collect::<Result<Vec<_>, Failure>>()?;
    let training = match segmenter.setting() {
        Some(TrainingSetting::Full) => "Trained with pixel labels of all classes.",
        Some(TrainingSetting::Transductive) => {
            "Trained with images and captions of all classes, and with pixel labels of the seen ones; pixels of classes \
             marked ★ were known to have one of these classes, and got pseudo-labels (transductive training)."
        }
        Some(TrainingSetting::Inductive) | None => {
            "Trained with images and captions of all classes, and with pixel labels of the seen ones only: no pixel of a \
             class marked ★ had a label in training."
        }
    };
    let introduction = format!(
        "Model: {}. {training} Each pixel gets one of all {} classes.",
        segmenter.model_name(),
        results.first().map_or(0, |(_, result)| result.vocabulary.len()),
    );
    Ok(evaluation_collection("ZegCLIP demo", &introduction, &parts))
}

fn print(options: &DemoArguments, model: &str, results: &[(TestSplit, DemoResult)]) -> Result<(), Failure> {
    if options.json {
        return results
            .iter()
            .try_for_each(|(split, result)| output::json(&result.json(*split, model)));
    }
    output::line(format_args!(
        "{:<16} {:>6} {:>7} {:>8} {:>8} {:>7} {:>12}",
        "split", "scenes", "pAcc", "mIoU(S)", "mIoU(U)", "hIoU", "ms per scene"
    ))?;
    for (split, result) in results {
        let scores = Scores::of(&result.confusion);
        let percent =
            |score: Option<f64>| score.map_or_else(|| "–".to_owned(), |score| format!("{:.1}", 100.0 * score));
        output::line(format_args!(
            "{:<16} {:>6} {:>7} {:>8} {:>8} {:>7} {:>12.1}",
            split.title(),
            scores.images,
            percent(scores.pixel_accuracy),
            percent(scores.miou_seen),
            percent(scores.miou_unseen),
            percent(scores.hiou),
            result.milliseconds
        ))?;
    }
    Ok(())
}
