//! `scenes`: what it writes is a data set that the other commands take, and bad input is one message.

mod program;

use std::path::Path;

use program::{Outcome, zegclip};
use serde_json::Value;

fn scenes(output: &Path, arguments: &[&str]) -> Outcome {
    let output = output.display().to_string();
    let mut all = vec!["scenes", output.as_str()];
    all.extend_from_slice(arguments);
    zegclip(&all)
}

fn bytes(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        if entry.path().is_dir() {
            found.extend(bytes(&entry.path()));
        } else {
            let name = entry.path().strip_prefix(folder).expect("below").display().to_string();
            found.push((name, std::fs::read(entry.path()).expect("a file")));
        }
    }
    found.sort();
    found
}

#[test]
fn scenes_are_a_data_set() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("made/scenes");
    let arguments = ["--count", "70", "--size", "64", "--seed", "5", "--split", "test"];
    let outcome = scenes(&out, &arguments);
    outcome.check(
        0,
        &["70 scenes of 64×64 pixels, split test, by twemoji; 155 classes, 15 of them unseen"],
    );
    let toml = out.join("dataset.toml").display().to_string();
    assert_eq!(outcome.stdout.trim(), toml);
    let files = bytes(&out);
    assert_eq!(files.len(), 2 * 70 + 2);

    let captions = std::fs::read_to_string(out.join("captions.jsonl")).expect("captions");
    let lines = captions
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let lines = lines.collect::<Vec<_>>();
    assert_eq!(lines.len(), 70);
    for line in &lines {
        let image = image::open(out.join(line["image"].as_str().expect("a path"))).expect("an image");
        assert_eq!((image.width(), image.height()), (64, 64));
        assert!(out.join(line["labels"].as_str().expect("a path")).is_file());
        let captions = line["captions"].as_array().expect("captions");
        assert_eq!(captions.len(), 5);
        let names = line["names"].as_array().expect("names").len();
        let pictures = line["pictures"].as_array().expect("pictures").len();
        let grounds = line["grounds"].as_array().expect("grounds").len();
        assert!((1..=pictures + grounds).contains(&names), "{line}");
    }
    let check = zegclip(&["dataset", "check", &toml, "--json"]);
    check.check(0, &[]);
    let report: Value = serde_json::from_str(&check.stdout).expect("JSON");
    assert_eq!(
        (report["samples"].as_u64(), report["split"].as_str()),
        (Some(70), Some("test"))
    );
    assert_eq!(report["classes"].as_array().map(Vec::len), Some(155));
    zegclip(&[
        "dataset",
        "show",
        &toml,
        &folder.path().join("shown.png").display().to_string(),
    ])
    .check(0, &[]);
    // Perfect predictions score 100.
    let labels = out.join("labels").display().to_string();
    let result = folder.path().join("score").display().to_string();
    let score = zegclip(&[
        "score",
        "--predictions",
        &labels,
        "--dataset",
        &toml,
        "--output",
        &result,
        "--json",
    ]);
    score.check(0, &[]);
    let score: Value = serde_json::from_str(&score.stdout).expect("JSON");
    assert_eq!(score["hiou"].as_f64(), Some(100.0));

    // The same again, elsewhere; and never over what exists.
    let again = folder.path().join("again");
    std::fs::create_dir(&again).expect("an empty folder");
    scenes(&again, &arguments).check(0, &[]);
    assert!(bytes(&again) == files);
    scenes(&out, &arguments).check(2, &["made/scenes` exists and is not empty"]);
    assert!(bytes(&out) == files);
    let left = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 4, "nothing temporary is left");
}

#[test]
fn pictures_of_ones_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let pictures = folder.path().join("pictures");
    std::fs::create_dir_all(pictures.join("me")).expect("a folder");
    for name in ["robot", "sheep"] {
        let pictures_of_noto = test_support::repository().join("crates/zegclip-scenes/assets/pictures/noto");
        let from = pictures_of_noto.join(format!("{}.png", if name == "robot" { "rocket" } else { name }));
        std::fs::copy(from, pictures.join(format!("me/{name}.png"))).expect("a picture");
    }
    let list =
        r#"[{ "name": "robot", "synonyms": ["android"], "styles": ["me"] }, { "name": "sheep", "styles": ["me"] }]"#;
    std::fs::write(pictures.join("pictures.json"), list).expect("a file");
    let pictures = pictures.display().to_string();
    let out = folder.path().join("out");
    let more = [
        "--count",
        "3",
        "--size",
        "48",
        "--split",
        "test",
        "--pictures",
        &pictures,
    ];
    scenes(&out, &more).check(0, &["by me; 10 classes, 1 of them unseen"]);
    let toml = std::fs::read_to_string(out.join("dataset.toml")).expect("a file");
    assert!(
        toml.contains("robot|android") && toml.contains("unseen = [\"sheep\"]"),
        "{toml}"
    );
    zegclip(&["dataset", "check", &out.join("dataset.toml").display().to_string()]).check(0, &[]);
}

#[test]
fn scenes_of_vocs_classes() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let more = ["--count", "40", "--size", "64", "--vocabulary", "voc-pictures"];
    scenes(&out, &more).check(0, &["20 classes, 5 of them unseen"]);
    let toml = out.join("dataset.toml").display().to_string();
    let check = zegclip(&["dataset", "check", &toml, "--json"]);
    check.check(0, &[]);
    let report: Value = serde_json::from_str(&check.stdout).expect("JSON");
    for class in report["classes"].as_array().expect("classes") {
        let drawn = class["name"] != "dining table";
        assert_eq!(class["pixels"].as_u64() > Some(0), drawn, "{class}");
    }
    let captions = std::fs::read_to_string(out.join("captions.jsonl")).expect("captions");
    assert!(
        captions.contains("\"grounds\":[\"grass\"") && captions.contains(" on grass"),
        "{captions}"
    );
    let names = folder.path().join("names.txt");
    std::fs::write(&names, "unicorn\n").expect("a list");
    let nothing = folder.path().join("nothing");
    scenes(&nothing, &["--vocabulary", &names.display().to_string()])
        .check(2, &["no class of the vocabulary `names` has a picture"]);
    assert!(!nothing.exists());
}

#[test]
fn bad_input_is_one_message_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let nowhere = folder.path().join("nowhere").display().to_string();
    let refused = |arguments: &[&str], code: i32, words: &[&str]| {
        let outcome = scenes(&out, arguments);
        outcome.check(code, words);
        assert!(!out.exists());
    };
    refused(&["--size", "16"], 2, &["32..=1024"]);
    refused(&["--count", "0"], 2, &["--count"]);
    refused(&["--split", "val"], 2, &["train", "test"]);
    refused(
        &["--artists", "twemojy"],
        2,
        &["no artist `twemojy`", "(did you mean `twemoji`?)", "`fluent`"],
    );
    refused(&["--vocabulary", "voc-pictres"], 2, &["did you mean `voc-pictures`?"]);
    refused(
        &["--artists", ","],
        2,
        &[
            "no artist for these scenes in the embedded pictures",
            "the list of names is empty",
        ],
    );
    refused(&["--pictures", &nowhere], 2, &["nowhere` contains no `pictures.json`"]);
    let pictures = folder.path().join("pictures");
    std::fs::create_dir_all(pictures.join("me")).expect("a folder");
    let write = |name: &str, bytes: &[u8]| std::fs::write(pictures.join(name), bytes).expect("a file");
    let folder_of_pictures = pictures.display().to_string();
    let with = ["--split", "test", "--pictures", &folder_of_pictures];
    write("pictures.json", b"{");
    refused(&with, 1, &["pictures.json` is not a list of pictures"]);
    write("pictures.json", br#"[{ "name": "cat", "styles": ["me"] }]"#);
    refused(&with, 1, &["cannot read `", "me/cat.png`"]);
    write("me/cat.png", b"\x89PNG\r\n\x1a\nbroken");
    refused(&with, 1, &["me/cat.png` cannot be decoded"]);
    let file = folder.path().join("file");
    std::fs::write(&file, "text").expect("a file");
    scenes(&file.join("below"), &["--count", "1"]).check(1, &["cannot make the folder", "file`"]);
    scenes(&file, &["--count", "1"]).check(2, &["file` exists"]);
}
