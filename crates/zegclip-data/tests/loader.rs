//! Batches: the same for any number of threads, from any iteration on, and without a trace of unseen classes.

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{coco, copy};
use zegclip_data::datasets::{DatasetError, DatasetSpec, TrainingSet};
use zegclip_data::transforms::TrainingPipeline;
use zegclip_data::{Batch, Loader, LoaderSettings, TrainingLabels, TrainingSetting};

fn training_set(root: &Path, setting: TrainingSetting) -> Arc<TrainingSet> {
    let dataset = DatasetSpec::new("coco-stuff", root).unwrap().open("train").unwrap();
    Arc::new(dataset.into_training(setting).unwrap())
}

/// The published pipeline at an eighth of its size.
fn small() -> TrainingPipeline {
    TrainingPipeline {
        scale: [256, 64],
        crop_size: 64,
        ..TrainingPipeline::default()
    }
}

fn settings() -> LoaderSettings {
    LoaderSettings {
        batch_size: 3,
        end_iteration: 10,
        seed: 7,
        ..LoaderSettings::default()
    }
}

fn batches(set: &Arc<TrainingSet>, settings: &LoaderSettings) -> Vec<Batch> {
    Loader::start(set.clone(), small(), settings)
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

#[test]
fn batches_do_not_depend_on_threads_and_go_on_anywhere() {
    let set = training_set(&coco(), TrainingSetting::Inductive);
    let expected = batches(
        &set,
        &LoaderSettings {
            threads: 1,
            ..settings()
        },
    );
    assert!(expected.iter().map(|batch| batch.iteration).eq(0..10));
    for (threads, batches_ahead) in [(2, 1), (5, 4)] {
        assert!(
            batches(
                &set,
                &LoaderSettings {
                    threads,
                    batches_ahead,
                    ..settings()
                }
            ) == expected,
            "{threads} threads"
        );
    }
    let resumed = batches(
        &set,
        &LoaderSettings {
            start_iteration: 6,
            ..settings()
        },
    );
    assert!(resumed == expected[6..]);
    let other = batches(
        &set,
        &LoaderSettings {
            seed: 8,
            end_iteration: 1,
            ..settings()
        },
    );
    assert!(other[0].ids != expected[0].ids && other[0].images != expected[0].images);

    let batch = &expected[0];
    assert_eq!(
        (batch.size, batch.images.len(), batch.labels.len()),
        (64, 3 * 3 * 64 * 64, 3 * 64 * 64)
    );
    // 8 images: an epoch has each once, and batches go over its end.
    let mut first_epoch: Vec<_> = expected.iter().flat_map(|batch| &batch.ids).take(set.len()).collect();
    first_epoch.sort_unstable();
    first_epoch.dedup();
    assert_eq!(first_epoch.len(), set.len());
}

#[test]
fn unseen_classes_leave_no_trace() {
    let inductive = training_set(&coco(), TrainingSetting::Inductive);
    assert_eq!(
        (inductive.vocabulary().len(), inductive.vocabulary().find("tree")),
        (156, None)
    );
    let transductive = training_set(&coco(), TrainingSetting::Transductive);
    let full = training_set(&coco(), TrainingSetting::Full);
    let seen = full.vocabulary().seen();
    let mut unseen_pixels = 0;
    for index in 0..full.len() {
        let [inductive, transductive, full] =
            [&inductive, &transductive, &full].map(|set| set.load(index).unwrap().1.as_raw().to_vec());
        for ((inductive, transductive), full) in inductive.into_iter().zip(transductive).zip(full) {
            let class = zegclip_data::ClassIndex::new(full);
            match class {
                None => assert_eq!(
                    (inductive, transductive),
                    (TrainingLabels::IGNORED, TrainingLabels::IGNORED)
                ),
                Some(class) if seen.is_seen(class) => {
                    assert_eq!(Some(inductive), seen.training_index(class).map(u16::from));
                    assert_eq!(transductive, full);
                }
                Some(_) => {
                    assert_eq!(
                        (inductive, transductive),
                        (TrainingLabels::IGNORED, TrainingLabels::UNSEEN)
                    );
                    unseen_pixels += 1;
                }
            }
        }
    }
    assert!(unseen_pixels > 10_000);
    for batch in batches(&inductive, &settings()) {
        assert!(
            batch
                .labels
                .iter()
                .all(|&label| label < 156 || label == TrainingLabels::IGNORED)
        );
    }
}

#[test]
fn a_broken_file_ends_it_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["000000000030", "000000000073", "000000000370", "000000000471"];
    for name in names {
        copy(&coco(), folder.path(), &format!("images/train2017/{name}.jpg"));
        copy(
            &coco(),
            folder.path(),
            &format!("annotations/train2017/{name}_labelTrainIds.png"),
        );
    }
    std::fs::write(folder.path().join("images/train2017/000000000370.jpg"), "broken").unwrap();
    let set = training_set(folder.path(), TrainingSetting::Full);
    let end = |threads| {
        let settings = LoaderSettings {
            batch_size: 1,
            threads,
            end_iteration: u64::MAX,
            ..settings()
        };
        let results: Vec<_> = Loader::start(set.clone(), small(), &settings).unwrap().collect();
        let (last, before) = results.split_last().unwrap();
        assert!(before.iter().all(Result::is_ok));
        let error = last.as_ref().unwrap_err().to_string();
        assert!(error.contains("000000000370.jpg"), "{error}");
        before.len()
    };
    // It is met at the same place however many threads there are.
    assert_eq!(end(1), end(4));
}

#[test]
fn a_data_set_that_cannot_be_trained_on_is_refused() {
    let voc = DatasetSpec::new("voc2012", &common::voc())
        .unwrap()
        .open("train_aug")
        .unwrap();
    let error = voc.into_training(TrainingSetting::Full).unwrap_err();
    assert!(matches!(error, DatasetError::NoImage { .. }), "{error}");
    let set = training_set(&coco(), TrainingSetting::Full);
    let pipeline = TrainingPipeline {
        crop_size: 0,
        ..small()
    };
    let error = Loader::start(set, pipeline, &settings()).unwrap_err().to_string();
    assert!(error.contains("`crop_size`"), "{error}");
}
