//! `dataset check` and `dataset show` on real data and on copies that are broken.

mod program;

use program::data::{FARM, Farm, coco, voc};
use program::{Outcome, zegclip};
use serde_json::Value;

fn check(dataset: &str, arguments: &[&str]) -> Outcome {
    let mut all = vec!["dataset", "check", dataset];
    all.extend_from_slice(arguments);
    zegclip(&all)
}

#[test]
fn real_data_is_sound() {
    let outcome = check(&coco(), &["--json"]);
    outcome.check(0, &[]);
    let report: Value = serde_json::from_str(&outcome.stdout).expect("one JSON object");
    assert_eq!(
        (report["samples"].as_u64(), report["has_images"].as_bool()),
        (Some(10), Some(true))
    );
    assert_eq!(report["findings"], Value::Array(Vec::new()));
    assert_eq!(report["classes"].as_array().map(Vec::len), Some(171));
    assert_eq!(report["classes"][0]["name"], "person");
    assert!(report["classes"][0]["pixels"].as_u64() > Some(100_000));

    let outcome = check(&voc(), &["--split", "train_aug", "--setting", "inductive"]);
    outcome.check(0, &[]);
    for words in [
        "label files, no images",
        "pottedplant",
        "in training ignored",
        "no problems found",
    ] {
        assert!(outcome.stdout.contains(words), "{words}: {}", outcome.stdout);
    }
}

#[test]
fn pictures_are_drawn() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    check(&coco(), &["--chart", &path("chart.png")]).check(0, &[]);
    let chart = image::open(path("chart.png")).expect("a picture").into_rgb8();
    // 171 rows do not fit in one column.
    assert!(chart.width() > 1500 && chart.height() > 800, "{:?}", chart.dimensions());

    let shown = path("shown.png");
    let show = |arguments: &[&str]| {
        let mut all = vec!["dataset", "show"];
        all.extend_from_slice(arguments);
        zegclip(&all)
    };
    show(&[&coco(), &shown, "--index", "1"]).check(0, &["sample 1 of 10", "`000000000885`"]);
    let picture = image::open(&shown).expect("a picture").into_rgb8();
    // The image stands to the left, the labels beside it, the legend below.
    assert!(
        picture.width() > 2 * 600 && picture.height() > 440,
        "{:?}",
        picture.dimensions()
    );
    show(&[&coco(), &shown]).check(2, &["shown.png` already exists", "--overwrite"]);
    show(&[&voc(), &shown, "--overwrite"]).check(0, &["voc2012, split val, sample 0 of 24"]);
    let labels = image::open(&shown).expect("a picture").into_rgb8();
    assert_ne!(labels.dimensions(), picture.dimensions());
    show(&[&coco(), &path("other.png"), "--index", "10"]).check(1, &["no sample 10", "has 10"]);
    assert!(!folder.path().join("other.png").exists());
}

#[test]
fn what_is_broken_is_found() {
    type Break = fn(&Farm);
    let cases: [(Break, &str); 9] = [
        (
            |farm| std::fs::remove_file(farm.path("photos/b.png")).expect("removed"),
            "`b`: no image",
        ),
        (
            |farm| std::fs::remove_file(farm.path("masks/b.png")).expect("removed"),
            "`b`: no label file",
        ),
        (
            |farm| farm.write("val.txt", "a\nb\nnowhere\nc"),
            "`nowhere`: no label file",
        ),
        (|farm| farm.write("val.txt", "a\nb\na"), "`a`: occurs twice in"),
        (
            |farm| farm.write("photos/b.png", "<html>"),
            "photos/b.png` is not a PNG, JPEG, WebP, BMP, TIFF or GIF image but text",
        ),
        (
            |farm| farm.mask("b", 30, 40, |_, _| 7),
            "the image is 40×30, its labels 30×40",
        ),
        (
            |farm| farm.mask("b", 40, 30, |x, _| if x < 2 { 8 } else { 7 }),
            "has the value 8 (60 pixels)",
        ),
        (
            |farm| {
                let deep = image::ImageBuffer::<image::Luma<u16>, _>::from_pixel(40, 30, image::Luma([7]));
                deep.save(farm.path("masks/b.png")).expect("a mask");
            },
            "16 bits a pixel",
        ),
        (
            |farm| {
                let colored = image::RgbImage::from_pixel(40, 30, image::Rgb([7, 7, 7]));
                colored.save(farm.path("masks/b.png")).expect("a mask");
            },
            "it is RGB, in which class numbers are lost",
        ),
    ];
    check(&Farm::new().toml(), &[]).check(0, &[]);
    for (break_it, words) in cases {
        let farm = Farm::new();
        break_it(&farm);
        let outcome = check(&farm.toml(), &[]);
        outcome.check(1, &["farm has "]);
        assert!(
            outcome.stdout.contains(words),
            "`{words}` is not in: {}",
            outcome.stdout
        );
        let report: Value = serde_json::from_str(&check(&farm.toml(), &["--json"]).stdout).expect("JSON");
        assert!(!report["findings"].as_array().expect("findings").is_empty());
    }
    let cleaned = check(&Farm::new().toml(), &["--cleaned"]);
    cleaned.check(1, &["farm has 3 errors"]);
    assert!(
        cleaned.stdout.contains("of the unseen class `sheep`"),
        "{}",
        cleaned.stdout
    );
}

#[test]
fn a_data_set_that_cannot_be_opened_is_one_message() {
    let farm = Farm::new();
    let with = |toml: &str| {
        farm.write("farm.toml", toml);
        check(&farm.toml(), &[])
    };
    with(&FARM.replace("unseen =", "unseeen ="))
        .check(2, &["farm.toml`: unknown key `unseeen` (did you mean `unseen`?)"]);
    with(&FARM.replace("images =", "image ="))
        .check(2, &["`splits.val`", "unknown key `image` (did you mean `images`?)"]);
    with(&FARM.replace("[\"cow\",", "[\"cow\", \"Cow\",")).check(2, &["names both class 1 and class 2"]);
    farm.write("val.txt", "\n \n");
    with(FARM).check(1, &["the list `", "val.txt` names no image"]);
    check(&farm.toml(), &["--split", "vla"]).check(2, &["has no split `vla` (did you mean `val`?)"]);
    check("voc2021=.", &[]).check(2, &["no data set `voc2021` (did you mean `voc2012`?)"]);
    check("somewhere", &[]).check(2, &["NAME=DIR"]);
    let empty = tempfile::tempdir().expect("a folder");
    check(&format!("voc2012={}", empty.path().display()), &[]).check(1, &["expected", "found an empty folder"]);
}
