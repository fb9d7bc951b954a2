//! Scores against the recorded ones, and properties that hold for any data.

use zegclip_data::{
    ClassIndex, DataError, LabelMap, SeenClasses, Vocabulary,
    metrics::{Confusion, Scores, evaluation_json, markdown_table},
};

fn vocabulary(classes: usize, unseen: impl IntoIterator<Item = usize>) -> Vocabulary {
    let names = (0..classes)
        .map(|index| format!("class {index}"))
        .collect::<Vec<_>>()
        .join(",");
    let seen = SeenClasses::from_unseen_indices(classes, unseen).unwrap();
    Vocabulary::from_names(&names).unwrap().with_seen(seen).unwrap()
}

/// Labels and predictions that agree often, from a seed; every tenth label is ignored.
fn image(seed: u64, classes: u64) -> (LabelMap, LabelMap) {
    let mut state = seed.wrapping_mul(2_654_435_761) + 1;
    let mut random = |bound: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    let (width, height) = (1 + random(40) as u32, 1 + random(40) as u32);
    let labels = LabelMap::from_fn(width, height, |x, y| {
        let ignored = random(10) == 0;
        ClassIndex::new((u64::from(x / 5 + y / 7) % classes) as u16).filter(|_| !ignored)
    });
    let prediction = LabelMap::from_fn(width, height, |x, y| {
        let right = labels.get(x, y).filter(|_| random(3) > 0);
        right.or_else(|| ClassIndex::new(random(classes) as u16))
    });
    (labels, prediction)
}

#[test]
fn parity_metrics() {
    for case in test_support::cases("metrics") {
        let description = &case.json;
        let number = |value: &serde_json::Value| value.as_u64().unwrap() as usize;
        let classes = number(&description["classes"]);
        let unseen = description["unseen"].as_array().unwrap().iter().map(number);
        let ignore = number(&description["ignore_index"]) as u8;
        let tolerance = description["tolerance"].as_f64().unwrap();
        let map = |name: &str| {
            let (shape, values) = case.bytes(name);
            let values = values.iter().map(|&value| {
                if value == ignore {
                    LabelMap::IGNORE
                } else {
                    value.into()
                }
            });
            LabelMap::from_raw(shape[1] as u32, shape[0] as u32, values.collect()).unwrap()
        };
        let mut confusion = Confusion::new(&vocabulary(classes, unseen));
        let tensors = description["tensors"].as_object().unwrap();
        let labels = tensors
            .keys()
            .filter_map(|name| name.strip_prefix("label_"))
            .collect::<Vec<_>>();
        assert!(!labels.is_empty());
        for image in labels {
            confusion
                .add(&map(&format!("label_{image}")), &map(&format!("prediction_{image}")))
                .unwrap();
        }

        let scores = Scores::of(&confusion);
        let check = |name: &str, actual: Option<f64>, expected: &serde_json::Value| match (actual, expected.as_f64()) {
            (None, None) => {}
            (Some(actual), Some(expected)) => {
                assert!((actual - expected).abs() <= tolerance, "{name}: {actual} {expected}");
            }
            (actual, expected) => panic!("{name}: {actual:?} {expected:?}"),
        };
        let expected = &description["expected"];
        for (index, class) in scores.classes.iter().enumerate() {
            check("iou", class.iou, &expected["iou"][index]);
            check("accuracy", class.accuracy, &expected["accuracy"][index]);
        }
        assert_eq!(expected["iou"].as_array().unwrap().len(), scores.classes.len());
        check("pixel_accuracy", scores.pixel_accuracy, &expected["pixel_accuracy"]);
        check("miou", scores.miou, &expected["miou"]);
        check("miou_seen", scores.miou_seen, &expected["miou_seen"]);
        check("miou_unseen", scores.miou_unseen, &expected["miou_unseen"]);
        check("hiou", scores.hiou, &expected["hiou"]);
    }
}

#[test]
fn shards_add_up_to_the_whole() {
    let vocabulary = vocabulary(7, [2, 5]);
    let mut whole = Confusion::new(&vocabulary).with_boundary();
    for shards in [1, 3, 5] {
        let mut parts = vec![Confusion::new(&vocabulary).with_boundary(); shards];
        whole = Confusion::new(&vocabulary).with_boundary();
        for seed in 0..20 {
            let (labels, prediction) = image(seed, 7);
            whole.add(&labels, &prediction).unwrap();
            parts[seed as usize % shards].add(&labels, &prediction).unwrap();
        }
        let mut merged = Confusion::new(&vocabulary).with_boundary();
        for part in &parts {
            // Through the file, as on several machines.
            let read: Confusion = serde_json::from_str(&serde_json::to_string(part).unwrap()).unwrap();
            merged.merge(&read).unwrap();
        }
        assert_eq!(merged, whole);
        assert_eq!(
            evaluation_json(&Scores::of(&merged)),
            evaluation_json(&Scores::of(&whole))
        );
    }
    assert_eq!(whole.images(), 20);
}

#[test]
fn scores_lie_between_zero_and_one_and_a_right_prediction_scores_one() {
    for seed in 0..50 {
        let vocabulary = vocabulary(5, [4]);
        let (labels, prediction) = image(seed, 5);
        let mut confusion = Confusion::new(&vocabulary).with_boundary();
        confusion.add(&labels, &prediction).unwrap();
        let scores = Scores::of(&confusion);
        let all = scores
            .classes
            .iter()
            .flat_map(|class| [class.iou, class.accuracy, class.boundary_iou]);
        let means = [
            scores.pixel_accuracy,
            scores.mean_accuracy,
            scores.miou,
            scores.hiou,
            scores.mean_boundary_iou,
        ];
        assert!(all.chain(means).flatten().all(|score| (0.0..=1.0).contains(&score)));

        let mut perfect = Confusion::new(&vocabulary).with_boundary();
        perfect.add(&labels, &labels).unwrap();
        let scores = Scores::of(&perfect);
        assert!(
            scores
                .classes
                .iter()
                .flat_map(|class| [class.iou, class.boundary_iou])
                .flatten()
                .all(|score| score == 1.0)
        );
    }
}

#[test]
fn ignored_labels_do_not_count_and_missing_predictions_are_wrong() {
    let mut confusion = Confusion::new(&vocabulary(2, []));
    let labels = LabelMap::from_raw(4, 1, vec![0, 0, LabelMap::IGNORE, 1]).unwrap();
    let prediction = LabelMap::from_raw(4, 1, vec![0, LabelMap::IGNORE, 0, 1]).unwrap();
    confusion.add(&labels, &prediction).unwrap();
    let scores = Scores::of(&confusion);
    assert_eq!(scores.classes[0].iou, Some(0.5));
    assert_eq!(scores.pixel_accuracy, Some(2.0 / 3.0));
    assert_eq!(confusion.pixels(ClassIndex::new(0).unwrap(), None), 1);
    let again: Confusion = serde_json::from_str(&serde_json::to_string(&confusion).unwrap()).unwrap();
    assert_eq!(again, confusion);
}

#[test]
fn what_is_undefined_is_null() {
    let confusion = Confusion::new(&vocabulary(2, []));
    let json = evaluation_json(&Scores::of(&confusion));
    for key in [
        "pixel_accuracy",
        "mean_accuracy",
        "miou",
        "miou_seen",
        "miou_unseen",
        "hiou",
    ] {
        assert!(json[key].is_null(), "{key}");
    }
    assert_eq!(
        json["classes"][1],
        serde_json::json!({"name": "class 1", "seen": true, "iou": null, "accuracy": null, "pixels": 0})
    );
    let keys = json.as_object().unwrap().keys().collect::<Vec<_>>();
    assert_eq!(
        keys,
        [
            "pixel_accuracy",
            "mean_accuracy",
            "miou",
            "miou_seen",
            "miou_unseen",
            "hiou",
            "images",
            "classes"
        ]
    );
}

#[test]
fn reports_are_in_percent() {
    let mut confusion = Confusion::new(&vocabulary(3, [1])).with_boundary();
    let labels = LabelMap::from_raw(4, 1, vec![0, 0, 1, 1]).unwrap();
    let prediction = LabelMap::from_raw(4, 1, vec![0, 1, 1, 1]).unwrap();
    confusion.add(&labels, &prediction).unwrap();
    let scores = Scores::of(&confusion);
    let json = evaluation_json(&scores);
    assert_eq!(json["pixel_accuracy"], 75.0);
    assert_eq!(json["miou_seen"], 50.0);
    assert_eq!(json["classes"][0]["iou"], 50.0);
    assert_eq!(json["classes"][1]["seen"], false);
    assert_eq!(json["images"], 1);
    assert!(json["mean_boundary_iou"].is_number());
    let table = markdown_table(&scores);
    assert!(
        table.starts_with("| pAcc | mAcc | mIoU | mIoU(S) | mIoU(U) | hIoU | boundary mIoU | images |\n"),
        "{table}"
    );
    assert!(table.contains("| class 0 |  | 50.0 | 50.0 | 2 | 50.0 |\n"), "{table}");
    assert!(
        table.contains("| class 1 | unseen | 66.7 | 100.0 | 2 | 66.7 |\n"),
        "{table}"
    );
    assert!(table.contains("| class 2 |  | – | – | 0 | – |\n"), "{table}");
}

#[test]
fn what_does_not_fit_is_refused_and_not_counted() {
    let mut confusion = Confusion::new(&vocabulary(2, []));
    let labels = LabelMap::filled(4, 2, ClassIndex::new(1));
    let error = confusion.add(&labels, &LabelMap::filled(4, 3, None)).unwrap_err();
    assert_eq!(error.to_string(), "the prediction has 4×3 pixels, its labels 4×2");
    let error = confusion
        .add(&labels, &LabelMap::filled(4, 2, ClassIndex::new(2)))
        .unwrap_err();
    assert_eq!(error.to_string(), "class 2 is not in a list of 2 classes (0 to 1)");
    assert_eq!((confusion.images(), Scores::of(&confusion).miou), (0, None));

    let merge = |other: Confusion| {
        Confusion::new(&vocabulary(2, []))
            .merge(&other)
            .unwrap_err()
            .to_string()
    };
    assert!(
        merge(Confusion::new(&Vocabulary::built_in("voc20").unwrap())).contains("vocabulary `custom`, one for `voc20`")
    );
    assert!(merge(Confusion::new(&vocabulary(3, []))).contains("one has 2 classes, one 3"));
    assert!(merge(Confusion::new(&vocabulary(2, [1]))).contains("differ about the class `class 1`"));
    assert!(merge(Confusion::new(&vocabulary(2, [])).with_boundary()).contains("boundary"));
}

#[test]
fn files_are_read_back_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.confusion.json");
    let mut confusion = Confusion::new(&vocabulary(5, [1]));
    let (labels, prediction) = image(3, 5);
    confusion.add(&labels, &prediction).unwrap();
    confusion.save(&path).unwrap();
    assert_eq!(Confusion::load(&path).unwrap(), confusion);
    let one = |pixels: &str, boundary: &str| {
        let classes = r#"[{"name":"a","seen":true}]"#;
        format!(r#"{{"vocabulary":"a","images":1,"classes":{classes},"pixels":{pixels},"unpredicted":[]{boundary}}}"#)
    };
    let classes = vec![r#"{"name":"a","seen":true}"#; 10_000].join(",");
    let pixels: Vec<String> = (0..10_000).map(|label| format!("[{label},0,1]")).collect();
    let many = format!(
        r#"{{"vocabulary":"a","images":1,"classes":[{classes}],"pixels":[{}],"unpredicted":[]}}"#,
        pixels.join(",")
    );
    for text in [
        "",
        "{}",
        "[1]",
        r#"{"vocabulary":"a","images":1,"classes":[],"pixels":[[0,0,1]],"unpredicted":[]}"#,
        // Counts whose sums overflow, or that no image has.
        &one("[[0,0,18446744073709551615],[0,0,1]]", ""),
        &one("[[0,0,9007199254740993]]", ""),
        &one("[]", r#","boundary":[{"intersection":2,"union":1}]"#),
        &one("[]", r#","boundary":[{"intersection":0,"union":18446744073709551615}]"#),
        // A small file for a table of 10,000 × 10,000 counts.
        &many,
    ] {
        std::fs::write(&path, text).unwrap();
        let error = Confusion::load(&path).unwrap_err();
        assert!(matches!(&error, DataError::ConfusionFile { .. }), "{error}");
        assert!(
            error
                .to_string()
                .contains("a.confusion.json` is not a confusion file: "),
            "{error}"
        );
    }
}
