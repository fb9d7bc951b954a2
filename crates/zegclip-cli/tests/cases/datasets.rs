//! Data sets: masks of 0 and 255, interpolated masks, patterns that match nothing, lists of a split.

use serde_json::Value;

use crate::program::data::{FARM, Farm};
use crate::program::{Outcome, asset, zegclip};

/// Two images with masks, `photos/NAME.png` and `masks/NAME.png`, and `own.toml` with the splits `train` and `val`.
fn own(classes: &str, more: &str, value: impl Fn(u32, u32) -> u8) -> Farm {
    let farm = Farm::new();
    for name in ["a", "b", "c"] {
        farm.mask(name, 40, 30, &value);
    }
    let split = "images = \"photos/*.png\"\nlabels = \"masks/*.png\"\n";
    farm.write(
        "own.toml",
        format!("classes = {classes}\n{more}[splits.train]\n{split}[splits.val]\n{split}"),
    );
    farm
}

fn check(farm: &Farm, arguments: &[&str]) -> Outcome {
    zegclip(&[&["dataset", "check", &farm.text("own.toml")], arguments].concat())
}

fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {}", outcome.stdout))
}

fn eval(farm: &Farm, output: &str, arguments: &[&str]) -> Outcome {
    let (dataset, output) = (farm.text("own.toml"), farm.text(output));
    let shared = ["eval", "--dataset", &dataset, "--output", &output, "--device", "cpu"];
    zegclip(&[&shared[..], arguments].concat())
}

fn train(farm: &Farm, arguments: &[&str]) -> Outcome {
    let mut all = vec!["train".to_owned(), asset("training/overfit-small.toml")];
    let dataset = format!("data.dataset={}", farm.text("own.toml"));
    for setting in [
        dataset.as_str(),
        "data.split=train",
        "run.evaluation_split=val",
        "iterations=2",
        "schedule.warmup=1",
        "model.published_text_features=false",
    ] {
        all.extend(["--set".to_owned(), setting.to_owned()]);
    }
    all.extend(["--device", "cpu", "--json", "--output", &farm.text("run")].map(str::to_owned));
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    zegclip(&[&all[..], arguments].concat())
}

/// 255 in a fifth of the pixels, else 0.
fn binary(x: u32, _: u32) -> u8 {
    if x < 8 { 255 } else { 0 }
}

const STATED: &str = "labels = { values = { 0 = \"background\", 255 = \"polyp\" } }";

#[test]
fn masks_of_0_and_255_are_noted_where_they_are_used() {
    let farm = own("[\"background\", \"polyp\"]", "", binary);
    let outcome = check(&farm, &["--split", "train"]);
    outcome.check(0, &[]);
    for words in [
        "note: no pixel has `polyp`",
        "the value 255 is ignored",
        "20.0 %",
        STATED,
        "no problems found",
    ] {
        assert!(outcome.stdout.contains(words), "{words}: {}", outcome.stdout);
    }
    let notes = json(&check(&farm, &["--json"]))["notes"].clone();
    let of = |kind: &str| {
        let mut notes = notes.as_array().expect("notes").iter();
        notes.find(|note| note["kind"] == kind).cloned().expect("a note")
    };
    let ignored = of("assumed_ignored");
    assert_eq!(
        (ignored["value"].as_u64(), ignored["pixels"].as_u64()),
        (Some(255), Some(3 * 240))
    );
    assert_eq!(of("no_pixels")["classes"], serde_json::json!(["polyp"]));

    let outcome = eval(&farm, "eval", &["--json"]);
    outcome.check(0, &["no pixel has `polyp`", "20.0 %", STATED]);
    assert_eq!(
        outcome.stderr.matches("255 is ignored").count(),
        1,
        "{}",
        outcome.stderr
    );
    let assumptions = json(&outcome)["assumptions"].to_string();
    assert!(assumptions.contains("255 is ignored"), "{assumptions}");
    let written = std::fs::read_to_string(farm.path("eval/evaluation.json")).expect("the evaluation");
    assert!(written.contains("255 is ignored"), "{written}");

    let outcome = train(&farm, &[]);
    outcome.check(0, &["no pixel has `polyp`", "20.0 %", STATED]);
    assert_eq!(
        outcome.stderr.matches("255 is ignored").count(),
        1,
        "{}",
        outcome.stderr
    );
    assert_eq!(json(&outcome)["notes"].as_array().map(Vec::len), Some(2));
}

#[test]
fn what_is_stated_of_labels_is_not_commented_on() {
    let farm = own("[\"background\", \"polyp\"]", &format!("{STATED}\n"), binary);
    let outcome = check(&farm, &[]);
    outcome.check(0, &[]);
    assert!(!outcome.stdout.contains("note: "), "{}", outcome.stdout);
    let report = json(&check(&farm, &["--json"]));
    assert_eq!(
        (
            report["classes"][1]["pixels"].as_u64(),
            report["ignored_pixels"].as_u64()
        ),
        (Some(720), Some(0))
    );
    let evaluated = eval(&farm, "eval", &["--json"]);
    evaluated.check(0, &[]);
    assert!(!evaluated.stderr.contains("ignored"), "{}", evaluated.stderr);
    assert_eq!(json(&evaluated)["classes"][1]["pixels"].as_u64(), Some(720));

    let ignored = "labels = { ignore = [255] }\n";
    let farm = own("[\"background\", \"polyp\"]", ignored, |x, y| {
        if y < 9 { 1 } else { binary(x, y) }
    });
    let outcome = check(&farm, &[]);
    outcome.check(0, &[]);
    assert!(!outcome.stdout.contains("note: "), "{}", outcome.stdout);
}

#[test]
fn masks_of_0_and_255_with_one_class_name_their_statement() {
    let farm = own("[\"polyp\"]", "", binary);
    let outcome = check(&farm, &[]);
    outcome.check(0, &[]);
    let statement = "labels = { values = { 255 = \"polyp\" }, ignore = [0] }";
    assert!(outcome.stdout.contains(statement), "{}", outcome.stdout);
    farm.write(
        "own.toml",
        format!(
            "classes = [\"polyp\"]\n{statement}\n[splits.val]\nimages = \"photos/*.png\"\nlabels = \"masks/*.png\"\n"
        ),
    );
    let report = json(&check(&farm, &["--json"]));
    assert_eq!(report["classes"][0]["pixels"].as_u64(), Some(720));
    // 0 and 1 where only 0 is a class.
    let farm = own("[\"polyp\"]", "", |x, _| u8::from(x < 8));
    let outcome = check(&farm, &[]);
    outcome.check(1, &["own has 3 errors"]);
    assert!(
        outcome.stdout.contains("has the value 1 (240 pixels)"),
        "{}",
        outcome.stdout
    );
}

#[test]
fn masks_without_class_numbers_are_errors() {
    for (save, words) in [
        (
            Box::new(|path: &std::path::Path| image::RgbImage::from_pixel(40, 30, image::Rgb([9, 9, 9])).save(path))
                as Box<dyn Fn(&std::path::Path) -> image::ImageResult<()>>,
            "RGB",
        ),
        (
            Box::new(|path| image::ImageBuffer::<image::Luma<u16>, _>::from_pixel(40, 30, image::Luma([7])).save(path)),
            "16 bits",
        ),
        (
            Box::new(|path| image::GrayImage::new(40, 30).save_with_format(path, image::ImageFormat::Jpeg)),
            "JPEG",
        ),
    ] {
        let farm = own("[\"sky\", \"polyp\"]", "", |x, _| u8::from(x < 8));
        save(&farm.path("masks/b.png")).expect("a mask");
        let outcome = check(&farm, &[]);
        outcome.check(1, &["own has 1 error"]);
        assert!(
            outcome.stdout.contains(words) && outcome.stdout.contains("b.png"),
            "{words}: {}",
            outcome.stdout
        );
        eval(&farm, "eval", &[]).check(1, &["b.png", words, "hint: "]);
    }
}

/// A disk whose edge was smoothed: every value from 0 to 255 occurs.
fn smoothed(x: u32, y: u32) -> u8 {
    let (x, y) = (f64::from(x) - 60.0, f64::from(y) - 60.0);
    (255.0 * (35.0 - x.hypot(y)).clamp(-3.0, 3.0) / 6.0 + 127.5) as u8
}

fn interpolated(files: u32) -> Farm {
    let farm = Farm::new();
    for folder in ["photos", "masks"] {
        std::fs::remove_dir_all(farm.path(folder)).expect("removed");
        std::fs::create_dir(farm.path(folder)).expect("a folder");
    }
    for number in 0..files {
        let image = image::RgbImage::from_pixel(120, 120, image::Rgb([number as u8, 7, 7]));
        image
            .save(farm.path(&format!("photos/{number}.png")))
            .expect("an image");
        farm.mask(&number.to_string(), 120, 120, smoothed);
    }
    farm.write(
        "own.toml",
        "classes = [\"sky\", \"polyp\"]\nlabels = { values = { 0 = \"sky\", 255 = \"polyp\" } }\n\
         [splits.val]\nimages = \"photos/*.png\"\nlabels = \"masks/*.png\"\n",
    );
    farm
}

#[test]
fn interpolated_masks_are_one_finding_a_file() {
    let farm = interpolated(3);
    let outcome = check(&farm, &[]);
    outcome.check(1, &["own has 3 errors"]);
    for words in [
        "interpolation",
        "nearest neighbor",
        "values between",
        "% of the pixels",
        "3 problems found",
    ] {
        assert!(outcome.stdout.contains(words), "{words}: {}", outcome.stdout);
    }
    assert_eq!(outcome.stdout.matches("error: ").count(), 3, "{}", outcome.stdout);
    let findings = json(&check(&farm, &["--json"]))["findings"].clone();
    let findings = findings.as_array().expect("findings");
    assert_eq!(findings.len(), 3);
    assert_eq!(
        (&findings[0]["kind"], &findings[0]["interpolated"]),
        (&"unknown_values".into(), &true.into())
    );
    assert!(findings[0]["values"].as_u64() > Some(50) && findings[0]["pixels"].as_u64() > Some(500));
    eval(&farm, "eval", &[]).check(1, &["0.png", "interpolation", "nearest neighbor"]);
    let merged = zegclip(&[
        "score",
        "--labels",
        &farm.text("masks"),
        "--predictions",
        &farm.text("masks"),
        "--vocabulary",
        "voc20",
    ]);
    merged.check(1, &["0.png", "interpolation"]);

    // A thousand files are not a thousand lines.
    let outcome = check(&interpolated(60), &[]);
    outcome.check(1, &["own has 60 errors"]);
    assert!(outcome.stdout.lines().count() < 30, "{}", outcome.stdout);
    assert!(
        outcome.stdout.contains("and 50 more") && outcome.stdout.contains("60 problems found"),
        "{}",
        outcome.stdout
    );
}

#[test]
fn areas_of_missing_classes_are_not_interpolation() {
    let farm = own("[\"a\", \"b\"]", "", |x, y| (x / 10 + 3 * (y / 15)) as u8);
    let outcome = check(&farm, &[]);
    outcome.check(1, &["own has 3 errors"]);
    assert!(!outcome.stdout.contains("interpolation"), "{}", outcome.stdout);
    assert!(
        outcome.stdout.contains("neither a class nor ignored"),
        "{}",
        outcome.stdout
    );
}

#[test]
fn patterns_without_a_file_are_the_same_error_everywhere() {
    let farm = own("[\"sky\", \"sea\"]", "", |x, _| u8::from(x < 8));
    let toml = |images: &str, labels: &str| {
        let split = format!("images = \"{images}\"\nlabels = \"{labels}\"\n");
        farm.write(
            "own.toml",
            format!("classes = [\"sky\", \"sea\"]\n[splits.train]\n{split}[splits.val]\n{split}"),
        );
    };
    for (images, labels, words) in [
        (
            "fotos/*.png",
            "masks/*.png",
            ["nothing matches `images = \"fotos/*.png\"`", "no folder"],
        ),
        (
            "photos/*.{jpg,png}",
            "masks/*.png",
            ["nothing matches `images = \"photos/*.{jpg,png}\"`", "no braces"],
        ),
        (
            "photos/*.png",
            "maske/*.png",
            ["nothing matches `labels = \"maske/*.png\"`", "no folder"],
        ),
        (
            "photos/*.jpeg",
            "masks/*.gif",
            ["`images = \"photos/*.jpeg\"` or `labels = \"masks/*.gif\"`", "hint: "],
        ),
    ] {
        toml(images, labels);
        let words = [&words[..], &["own.toml", "hint: "]].concat();
        check(&farm, &[]).check(1, &words);
        eval(&farm, "eval", &[]).check(1, &words);
        train(&farm, &[]).check(1, &words);
        let predictions = farm.text("masks");
        zegclip(&[
            "score",
            "--dataset",
            &farm.text("own.toml"),
            "--predictions",
            &predictions,
        ])
        .check(1, &words);
        zegclip(&["dataset", "show", &farm.text("own.toml"), &farm.text("a.png")]).check(1, &words);
        assert!(!farm.path("run").exists());
    }
    // Without `images` there are none.
    farm.write(
        "own.toml",
        "classes = [\"sky\", \"sea\"]\n[splits.val]\nlabels = \"masks/*.png\"\n",
    );
    let outcome = check(&farm, &[]);
    outcome.check(0, &[]);
    assert!(
        outcome.stdout.contains("3 label files, no images") && outcome.stdout.contains("note: "),
        "{}",
        outcome.stdout
    );
    eval(&farm, "eval", &[]).check(1, &["no image"]);
}

#[test]
fn patterns_of_segment_have_no_braces() {
    let farm = Farm::new();
    for pattern in ["photos/*.{jpg,png}", "photos/{a,b}.png", "fotos/*.png"] {
        let outcome = zegclip(&[
            "segment",
            &farm.text(pattern),
            "--classes",
            "cat, dog",
            "--output",
            &farm.text("out"),
        ]);
        outcome.check(2, &["nothing matches", pattern, "hint: "]);
        assert_eq!(
            outcome.stderr.contains("braces"),
            pattern.contains('{'),
            "{}",
            outcome.stderr
        );
    }
}

#[test]
fn lists_of_a_split_have_names_files_or_pairs() {
    let farm = Farm::new();
    for list in [
        "a\nc\n",
        "a.png\r\nc.PNG\r\n",
        "\u{feff}photos/a.png masks/a.png\nphotos/c.png masks/c.png\n",
        "/home/me/farm/photos/a.png,/home/me/farm/masks/a.png\nphotos\\c.png\tmasks\\c.png",
        "# two\n\n./photos/a.png\nmasks/c.png\n",
    ] {
        farm.write("val.txt", list);
        let outcome = zegclip(&["dataset", "check", &farm.toml(), "--json"]);
        outcome.check(0, &[]);
        let report = json(&outcome);
        assert_eq!(
            (report["samples"].as_u64(), &report["has_images"]),
            (Some(2), &true.into()),
            "{list:?}"
        );
        assert_eq!(report["findings"].as_array().map(Vec::len), Some(0), "{list:?}");
    }
    // A list pairs files of different names.
    farm.mask("a_gt", 40, 30, |_, _| 9);
    farm.write("val.txt", "photos/a.png masks/a_gt.png\n");
    let report = json(&zegclip(&["dataset", "check", &farm.toml(), "--json"]));
    assert_eq!(
        (report["classes"][1]["pixels"].as_u64(), report["samples"].as_u64()),
        (Some(1200), Some(1))
    );
}

#[test]
fn a_list_that_names_nothing_is_said_with_its_line() {
    let farm = Farm::new();
    for (list, words) in [
        ("a\nnowhere.png\n", ["`nowhere.png`: no label file", "line 2"]),
        ("a\n\ntrain/b.png\n", ["`train/b.png`: no image", "line 3"]),
        ("a\nb -1\n", ["`-1`", "line 2"]),
        ("photos/9.png masks/9.png\n", ["photos/*.png", "line 1"]),
    ] {
        farm.write("val.txt", list);
        let outcome = zegclip(&["dataset", "check", &farm.toml()]);
        outcome.check(1, &["farm has "]);
        for word in words.iter().chain(&["val.txt"]) {
            assert!(outcome.stdout.contains(word), "{list:?}, {word}: {}", outcome.stdout);
        }
        let output = farm.text("eval");
        let outcome = zegclip(&[
            "eval",
            "--dataset",
            &farm.toml(),
            "--output",
            &output,
            "--device",
            "cpu",
        ]);
        outcome.check(1, &["val.txt", words[1], "hint: "]);
    }
    farm.write("val.txt", "\n");
    zegclip(&["dataset", "check", &farm.toml()]).check(1, &["val.txt", "names no image"]);
}

#[test]
fn values_of_an_evaluation_that_cannot_be_meant_are_usage() {
    let farm = Farm::new();
    for (line, words) in [
        ("limit = -1", "`limit`"),
        ("limit = 0", "`limit`"),
        ("limit = \"all\"", "`limit`"),
        ("limit = 1.5", "`limit`"),
        ("batch = 0", "`batch`"),
        ("batch = 70000", "`batch`"),
        ("shard = \"0/0\"", "`shard`"),
        ("seen = 3", "`seen`"),
        ("device = \"gpuu\"", "gpuu"),
        ("boundary = 1", "`boundary`"),
        ("limitt = 1", "did you mean `limit`"),
        ("table = \"a.toml\"", "`vocabulary`"),
        ("unmatched = \"refuse\"", "`vocabulary`"),
        ("limit = ", "line 2"),
    ] {
        farm.write("eval.toml", format!("dataset = \"farm.toml\"\n{line}\n"));
        zegclip(&["eval", &farm.text("eval.toml")]).check(2, &[words]);
    }
}

#[test]
fn numbers_of_a_configuration_that_cannot_be_meant_are_usage() {
    let farm = own("[\"background\", \"polyp\"]", "", |x, _| u8::from(x < 8));
    for value in [
        "loss.focal_weight=-1",
        "loss.dice_weight=nan",
        "schedule.power=-0.5",
        "schedule.min_lr=-1",
        "optimizer.lr=1e300",
        "optimizer.weight_decay=-1",
        "optimizer.betas=[0.9, 1.5]",
        "data.pipeline.flip=nan",
    ] {
        let (key, _) = value.split_once('=').expect("a value");
        train(&farm, &["--set", value]).check(2, &[key, "must"]);
    }
    let twice = ["--set", "optimiser.lr=1e-3", "--set", "optimizer.lr=1e-4"];
    train(&farm, &twice).check(2, &["`optimiser` is the old name of `optimizer`"]);
    let pretraining = asset("pretraining/demo.toml");
    for value in [
        "optimizer.lr=nan",
        "schedule.min_lr=-1",
        "loss.patches=2",
        "data.flip=-0.1",
    ] {
        let (key, _) = value.split_once('=').expect("a value");
        let output = farm.text("pretrain");
        zegclip(&["pretrain", &pretraining, "--set", value, "--output", &output]).check(2, &[key, "must"]);
    }
    assert!(!farm.path("run").exists() && !farm.path("pretrain").exists());
    for (labels, words) in [
        ("{ first = -1 }", "`labels.first`"),
        ("{ first = 70000 }", "`labels.first`"),
        ("{ ignore = [-1] }", "labels.ignore"),
        ("{ values = { nan = \"background\" } }", "`nan` is not a pixel value"),
    ] {
        let text = format!(
            "classes = [\"background\", \"polyp\"]\nlabels = {labels}\n[splits.val]\nlabels = \"masks/*.png\"\n"
        );
        farm.write("own.toml", text);
        check(&farm, &[]).check(2, &["own.toml", words]);
    }
    farm.write("farm.toml", FARM.replace("unseen", "unseeen"));
    zegclip(&["dataset", "check", &farm.toml()]).check(2, &["did you mean `unseen`"]);
}

#[test]
fn errors_of_data_sets_say_what_to_do() {
    let farm = Farm::new();
    zegclip(&["dataset", "check", &farm.toml(), "--split", "vla"]).check(2, &["did you mean `val`", "hint: "]);
    farm.write("photos/empty.png", "");
    zegclip(&[
        "segment",
        &farm.text("photos/empty.png"),
        "--classes",
        "cat, dog",
        "--output",
        &farm.text("out"),
    ])
    .check(1, &["empty.png", "is empty", "hint: "]);
}
