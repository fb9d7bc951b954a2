//! An evaluation gives the same scores whole, in parts and interrupted, and says what is wrong.

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use zegclip_data::datasets::{Dataset, DatasetError, DatasetSpec};
use zegclip_data::evaluation::{Evaluation, EvaluationError, EvaluationState, Scored};
use zegclip_data::metrics::{Confusion, Scores};
use zegclip_data::{ClassIndex, LabelMap};

fn voc() -> Dataset {
    DatasetSpec::new("voc2012", &common::voc())
        .and_then(|spec| spec.open("val"))
        .expect("the labels")
}

/// A prediction that is wrong in some pixels of every image, by a rule of its own.
fn prediction(labels: &LabelMap) -> LabelMap {
    let class = |x: u32, y: u32| match (x / 16 + y / 8) % 5 {
        0 => ClassIndex::new(((x + y) % 20) as u16),
        _ => labels.get(x, y).or(ClassIndex::new(0)),
    };
    LabelMap::from_fn(labels.width(), labels.height(), class)
}

fn run(
    dataset: &Dataset,
    evaluation: &Evaluation,
    scored: impl FnMut(&Scored) -> Result<(), EvaluationError> + Send,
) -> Result<EvaluationState, EvaluationError> {
    let images = dataset.clone();
    let load = move |index| images.labels(index).map(|labels| (labels.clone(), labels));
    evaluation.run(load, |labels| Ok(prediction(&labels)), scored)
}

/// By the plainest of loops.
fn expected(dataset: &Dataset) -> Confusion {
    let mut confusion = Confusion::new(dataset.vocabulary()).with_boundary();
    for index in 0..dataset.len() {
        let labels = dataset.labels(index).expect("labels");
        confusion.add(&labels, &prediction(&labels)).expect("equal sizes");
    }
    confusion
}

#[test]
fn stopped_and_continued_at_every_image_it_is_as_undisturbed() {
    let dataset = voc();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.json");
    let identity = BTreeMap::from([("model".to_owned(), "a rule".to_owned())]);
    let never = AtomicBool::new(false);
    let whole = Evaluation {
        boundary: true,
        ..Evaluation::new(dataset.vocabulary(), dataset.len(), &identity, &never)
    };
    let undisturbed = run(&dataset, &whole, |_| Ok(())).expect("scores");
    assert_eq!(undisturbed.confusion(), &expected(&dataset));
    assert!(Scores::of(undisturbed.confusion()).hiou.is_some_and(|hiou| hiou > 0.3));

    let (mut done, mut runs) = (0, 0);
    let resumed = loop {
        let stop = AtomicBool::new(false);
        let evaluation = Evaluation {
            state: Some(&path),
            stop: &stop,
            ..whole
        };
        let state = run(&dataset, &evaluation, |_| {
            stop.store(true, Ordering::Relaxed);
            Ok(())
        })
        .expect("scores");
        assert!(state.done() > done, "every run does something");
        (done, runs) = (state.done(), runs + 1);
        if state.done() == dataset.len() as u64 {
            break state;
        }
        assert_eq!(EvaluationState::load(&path, &identity).expect("a state"), Some(state));
    };
    assert!(runs > 3, "{runs} runs");
    assert_eq!(resumed, undisturbed);
}

#[test]
fn parts_add_up() {
    let dataset = voc();
    let (identity, never) = (BTreeMap::new(), AtomicBool::new(false));
    for parts in [1, 3, 5, 40] {
        let mut total = Confusion::new(dataset.vocabulary());
        for part in 0..parts {
            let part = dataset.shard(part, parts);
            let evaluation = Evaluation::new(part.vocabulary(), part.len(), &identity, &never);
            let state = run(&part, &evaluation, |_| Ok(())).expect("scores");
            total.merge(state.confusion()).expect("the same classes");
        }
        let evaluation = Evaluation::new(dataset.vocabulary(), dataset.len(), &identity, &never);
        let whole = run(&dataset, &evaluation, |_| Ok(())).expect("scores");
        assert_eq!(&total, whole.confusion(), "{parts} parts");
    }
}

#[test]
fn an_error_keeps_what_was_done_before() {
    let dataset = voc();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.json");
    let (identity, never) = (BTreeMap::new(), AtomicBool::new(false));
    let evaluation = Evaluation {
        state: Some(&path),
        ..Evaluation::new(dataset.vocabulary(), dataset.len(), &identity, &never)
    };
    let images = dataset.clone();
    let broken = move |index| match index {
        7 => Err(DatasetError::NoLabels {
            dataset: "voc2012".to_owned(),
            id: "seven".to_owned(),
        }),
        index => images.labels(index).map(|labels| (labels.clone(), labels)),
    };
    let predict = |labels| Ok::<_, EvaluationError>(prediction(&labels));
    let error = evaluation
        .run(broken, predict, |_| Ok(()))
        .expect_err("seven has no labels");
    assert!(error.to_string().contains("`seven`"), "{error}");
    let saved = EvaluationState::load(&path, &identity)
        .expect("a state")
        .expect("saved");
    assert_eq!(saved.done(), 7);

    // The scorer's own failure ends it too, and the image is not counted.
    let full = |_: &Scored| Err(EvaluationError::Dataset(DatasetError::EmptyList { path: "x".into() }));
    let error = run(&dataset, &evaluation, full).expect_err("the scorer fails");
    assert!(error.to_string().contains("`x` names no image"), "{error}");
    let saved = EvaluationState::load(&path, &identity)
        .expect("a state")
        .expect("saved");
    assert_eq!(saved.done(), 7);
}

#[test]
fn a_foreign_or_broken_state_is_refused() {
    let dataset = voc().take(3);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.json");
    let identity = |model: &str| BTreeMap::from([("model".to_owned(), model.to_owned())]);
    let (mine, other, never) = (identity("mine"), identity("other"), AtomicBool::new(false));
    let evaluation = |identity| Evaluation {
        state: Some(path.as_path()),
        ..Evaluation::new(dataset.vocabulary(), dataset.len(), identity, &never)
    };
    run(&dataset, &evaluation(&mine), |_| Ok(())).expect("scores");
    let error = run(&dataset, &evaluation(&other), |_| Ok(())).expect_err("another model");
    assert!(
        error.to_string().contains("its model is mine, here it is other"),
        "{error}"
    );
    std::fs::write(&path, "{").expect("written");
    let error = run(&dataset, &evaluation(&mine), |_| Ok(())).expect_err("no JSON");
    assert!(
        error.to_string().contains("state.json` is not a saved evaluation"),
        "{error}"
    );
}
