//! The check finds nothing on data that is sound, and each thing that is broken in a copy.

mod common;

use std::path::Path;

use common::{coco, copy, gray_png, voc, write};
use zegclip_data::TrainingSetting;
use zegclip_data::dataset_check::{CheckOptions, CheckReport, Finding, check};
use zegclip_data::datasets::DatasetSpec;

const IDS: [&str; 4] = ["000000000885", "000000001993", "000000002473", "000000006818"];

fn image(id: &str) -> String {
    format!("images/val2017/{id}.jpg")
}

fn labels(id: &str) -> String {
    format!("annotations/val2017/{id}_labelTrainIds.png")
}

fn report(spec: &str, root: &Path, split: &str, options: CheckOptions) -> CheckReport {
    check(
        &DatasetSpec::new(spec, root).unwrap().open_incomplete(split).unwrap(),
        options,
        || (),
    )
}

/// The findings in a copy of four images of COCO to which something was done.
fn findings_after(change: impl Fn(&Path)) -> Vec<(String, Finding)> {
    let folder = tempfile::tempdir().unwrap();
    for id in IDS {
        copy(&coco(), folder.path(), &image(id));
        copy(&coco(), folder.path(), &labels(id));
    }
    change(folder.path());
    let report = report("coco-stuff", folder.path(), "val", CheckOptions::default());
    assert_eq!(report.is_ok(), report.findings.is_empty());
    report
        .findings
        .into_iter()
        .map(|found| (found.id, found.finding))
        .collect()
}

#[test]
fn sound_data_has_no_findings() {
    for split in ["train", "val"] {
        let coco = report("coco-stuff", &coco(), split, CheckOptions::default());
        assert!(coco.is_ok() && coco.has_images, "{coco}");
        let voc = report(
            "voc2012",
            &voc(),
            if split == "train" { "train_aug" } else { split },
            CheckOptions::default(),
        );
        assert!(voc.is_ok() && !voc.has_images, "{voc}");
    }
    assert!(findings_after(|_| ()).is_empty());
}

#[test]
fn every_breakage_is_found() {
    type Change = fn(&Path);
    type Expected = fn(&Finding) -> bool;
    const ID: &str = IDS[1];
    let cases: [(&str, Change, Expected); 12] = [
        (
            "image removed",
            |root| std::fs::remove_file(root.join(image(ID))).unwrap(),
            |finding| matches!(finding, Finding::MissingImage { expected } if expected.contains("images/val2017")),
        ),
        (
            "labels removed",
            |root| std::fs::remove_file(root.join(labels(ID))).unwrap(),
            |finding| matches!(finding, Finding::MissingLabels { expected } if expected.contains("_labelTrainIds.png")),
        ),
        (
            "image cut off",
            |root| {
                let bytes = std::fs::read(root.join(image(ID))).unwrap();
                write(root, &image(ID), &bytes[..bytes.len() / 2]);
            },
            |finding| matches!(finding, Finding::UnreadableImage { problem } if problem.contains(ID)),
        ),
        (
            "labels cut off",
            |root| {
                let bytes = std::fs::read(root.join(labels(ID))).unwrap();
                write(root, &labels(ID), &bytes[..bytes.len() / 2]);
            },
            |finding| matches!(finding, Finding::UnreadableLabels { problem } if problem.contains(ID)),
        ),
        (
            "image empty",
            |root| write(root, &image(ID), ""),
            |finding| matches!(finding, Finding::UnreadableImage { .. }),
        ),
        (
            "image is text",
            |root| write(root, &image(ID), "<html>404</html>"),
            |finding| matches!(finding, Finding::UnreadableImage { problem } if problem.contains("text")),
        ),
        (
            "labels of another image",
            |root| copy_over(root, &labels(IDS[0]), &labels(ID)),
            |finding| matches!(finding, Finding::SizeMismatch { image, labels } if image != labels),
        ),
        (
            "labels in color",
            |root| {
                let color = common::png((2, 1), png::ColorType::Rgb, png::BitDepth::Eight, &[0; 6]);
                write(root, &labels(ID), color);
            },
            |finding| matches!(finding, Finding::UnreadableLabels { problem } if problem.contains("RGB")),
        ),
        (
            "labels of 16 bits",
            |root| {
                let deep = common::png((2, 1), png::ColorType::Grayscale, png::BitDepth::Sixteen, &[0; 4]);
                write(root, &labels(ID), deep);
            },
            |finding| matches!(finding, Finding::UnreadableLabels { problem } if problem.contains("16")),
        ),
        (
            "a value outside the list",
            |root| change_labels(root, |values| values[..7].fill(171)),
            |finding| {
                matches!(
                    finding,
                    Finding::UnknownValue {
                        value: 171,
                        pixels: 7,
                        ..
                    }
                )
            },
        ),
        (
            "nothing labeled",
            |root| change_labels(root, |values| values.fill(255)),
            |finding| matches!(finding, Finding::NothingLabeled),
        ),
        (
            "labels are a JPEG",
            |root| copy_over(root, &image(ID), &labels(ID)),
            |finding| matches!(finding, Finding::UnreadableLabels { problem } if problem.contains("PNG")),
        ),
    ];
    for (name, change, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        for id in IDS {
            copy(&coco(), folder.path(), &image(id));
            copy(&coco(), folder.path(), &labels(id));
        }
        change(folder.path());
        let report = report("coco-stuff", folder.path(), "val", CheckOptions::default());
        let findings = report
            .findings
            .iter()
            .map(|found| (found.id.as_str(), &found.finding))
            .collect::<Vec<_>>();
        assert!(
            matches!(findings[..], [(ID, finding)] if expected(finding)),
            "{name}: {findings:?}"
        );
        assert_eq!(report.is_ok(), name == "nothing labeled");
        let text = report.to_string();
        assert!(text.contains(&format!("`{ID}`: ")), "{text}");
    }
}

fn copy_over(root: &Path, from: &str, to: &str) {
    std::fs::copy(root.join(from), root.join(to)).unwrap();
}

/// Rewrites the label file of the second image at its own size.
fn change_labels(root: &Path, change: impl Fn(&mut [u8])) {
    let path = root.join(labels(IDS[1]));
    let read = image::open(&path).unwrap().into_luma8();
    let size = read.dimensions();
    let mut values = read.into_raw();
    change(&mut values);
    std::fs::write(path, gray_png(size, &values)).unwrap();
}

#[test]
fn lists_that_lie_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let inner = "VOCdevkit/VOC2012";
    for id in ["2007_000032", "2007_000039"] {
        copy(&voc(), folder.path(), &format!("{inner}/SegmentationClassAug/{id}.png"));
    }
    let list = format!("{inner}/ImageSets/Segmentation/val.txt");
    write(
        folder.path(),
        &list,
        "2007_000032\n2007_000039\n2007_000032\n2007_999999\n",
    );
    let report = report("voc2012", folder.path(), "val", CheckOptions::default());
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|found| (found.id.as_str(), &found.finding))
        .collect();
    assert!(
        matches!(
            findings[..],
            [
                ("2007_000032", Finding::ListedTwice { .. }),
                ("2007_999999", Finding::MissingLabels { .. })
            ]
        ),
        "{findings:?}"
    );
    assert_eq!((report.samples, report.is_ok()), (3, false));
    assert!(report.to_string().ends_with("2 problems found\n"));
}

#[test]
fn unseen_classes_are_counted_or_found() {
    let options = CheckOptions {
        setting: Some(TrainingSetting::Inductive),
        labels_are_cleaned: false,
    };
    let informed = report("voc2012", &voc(), "train_aug", options);
    assert!(informed.is_ok() && informed.unseen_pixels > 0);
    let text = informed.to_string();
    assert!(
        text.contains("of unseen classes: ") && text.contains("; in training ignored"),
        "{text}"
    );
    let cleaned = report(
        "voc2012",
        &voc(),
        "train_aug",
        CheckOptions {
            labels_are_cleaned: true,
            ..options
        },
    );
    let unseen: u64 = cleaned
        .findings
        .iter()
        .map(|found| match &found.finding {
            Finding::UnseenClass { pixels, .. } => *pixels,
            other => panic!("{other:?}"),
        })
        .sum();
    assert!(!cleaned.is_ok());
    assert_eq!(unseen, informed.unseen_pixels);
}

#[test]
fn counts_are_those_of_an_independent_reader_and_the_report_survives_json() {
    let val = report("voc2012", &voc(), "val", CheckOptions::default());
    let train = report("voc2012", &voc(), "train_aug", CheckOptions::default());
    let person = |report: &CheckReport| {
        report
            .classes
            .iter()
            .find(|class| class.name == "person")
            .unwrap()
            .pixels
    };
    // Pillow's count over all files.
    assert_eq!(person(&val) + person(&train), 398_900);
    assert_eq!(val.ignored_pixels + train.ignored_pixels, 5_089_006 + 415_652);
    assert!(
        val.classes
            .iter()
            .all(|class| (class.pixels == 0) == (class.images == 0) && class.images <= 24)
    );
    let json = serde_json::to_string(&val).unwrap();
    assert_eq!(serde_json::from_str::<CheckReport>(&json).unwrap(), val);
    assert!(json.contains("\"classes\":[{\"name\":\"aeroplane\",\"seen\":true,\"pixels\":"));
}

#[test]
fn the_report_is_the_same_for_any_number_of_threads() {
    let dataset = DatasetSpec::new("coco-stuff", &coco())
        .unwrap()
        .open_incomplete("val")
        .unwrap();
    let count = std::sync::atomic::AtomicUsize::new(0);
    let progress = || {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    };
    let reports = [1, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| check(&dataset, CheckOptions::default(), progress))
    });
    assert_eq!(reports[0], reports[1]);
    assert_eq!(count.into_inner(), 2 * dataset.len());
}
