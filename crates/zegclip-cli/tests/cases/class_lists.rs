//! Lists of class names: formats that projects ship, separators, one class only.

use std::path::PathBuf;

use serde_json::Value;

use crate::program::data::{FARM, Farm};
use crate::program::{Outcome, asset, zegclip};

/// A folder with an image.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        let bench = Self(tempfile::tempdir().expect("a folder"));
        let image = image::RgbImage::from_fn(48, 40, |x, y| image::Rgb([(5 * x) as u8, (6 * y) as u8, (x * y) as u8]));
        image.save(bench.path("photo.png")).expect("an image");
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), text).expect("a file");
        self.text(name)
    }

    /// `segment` of the image with the built-in model.
    fn segment(&self, arguments: &[&str]) -> Outcome {
        let (photo, output) = (self.text("photo.png"), self.text("out"));
        let shared = [
            "segment",
            &photo,
            "--device",
            "cpu",
            "--overwrite",
            "--json",
            "--output",
            &output,
        ];
        zegclip(&[&shared[..], arguments].concat())
    }
}

fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {}", outcome.stdout))
}

fn names(outcome: &Outcome) -> Vec<String> {
    let classes = json(outcome)["classes"].as_array().expect("classes").clone();
    let name = |class: &Value| class["name"].as_str().expect("a name").to_owned();
    classes.iter().map(name).collect()
}

/// The notes that contain a text.
fn notes(outcome: &Outcome, text: &str) -> usize {
    let lines = outcome.stderr.lines();
    lines
        .filter(|line| line.starts_with("note: ") && line.contains(text))
        .count()
}

#[test]
fn published_lists_are_read_as_they_are_meant() {
    let bench = Bench::new();
    for (file, text) in [
        ("cocostuff_labels.txt", "0: unlabeled\n1: cat\n2: dog\n3: grass\n"),
        ("ade.json", "[\"cat\", \"dog\", \"grass\"]"),
        ("one_line.txt", "cat, dog, grass\n"),
        ("numbers.txt", "1 cat\n2 dog\n3 grass\n"),
        ("tabs.tsv", "\u{feff}1\tcat\r\n2\tdog\r\n3\tgrass\r\n"),
        ("table.csv", "id,name,r,g,b\n1,cat,0,0,0\n2,dog,9,9,9\n3,grass,8,8,8\n"),
        ("reversed.txt", "cat,1\ndog,2\ngrass,3\n"),
        ("numbered.json", "{\"2\": \"grass\", \"0\": \"cat\", \"1\": \"dog\"}"),
        (
            "coco.json",
            "{\"categories\": [{\"id\": 1, \"name\": \"cat\"}, {\"id\": 5, \"name\": \"dog\"}, {\"id\": 7, \"name\": \"grass\"}]}",
        ),
        ("classes.py", "CLASSES = ('cat', 'dog',  # pets\n           'grass')\n"),
        ("quoted.txt", "'cat',\n'dog',\n'grass'\n"),
        ("labelme.txt", "__ignore__\ncat\ndog\ngrass\n"),
    ] {
        let list = bench.file(file, text);
        let outcome = bench.segment(&["--vocabulary", &list]);
        outcome.check(0, &[]);
        assert_eq!(names(&outcome), ["cat", "dog", "grass"], "{file}");
        assert_eq!(notes(&outcome, file), 1, "{file}: {}", outcome.stderr);
        assert!(
            json(&outcome)["notes"][0].as_str().expect("a note").contains(file),
            "{file}"
        );
    }
}

#[test]
fn a_plain_list_is_not_commented_on() {
    let bench = Bench::new();
    let list = bench.file(
        "plain.txt",
        "\u{feff}# animals\r\ncat # meows\r\n\r\n  dog|hound\r\ngrass",
    );
    let outcome = bench.segment(&["--vocabulary", &list]);
    outcome.check(0, &[]);
    assert_eq!(names(&outcome), ["cat", "dog", "grass"]);
    assert_eq!(notes(&outcome, ""), 0, "{}", outcome.stderr);
    assert_eq!(json(&outcome)["notes"], Value::Null);
}

#[test]
fn lists_that_cannot_be_meant_are_refused_with_file_and_line() {
    let bench = Bench::new();
    for (file, text, words) in [
        ("a.txt", "cat\n['dog'\ngrass", ["line 2", "`['dog'`"]),
        ("a.json", "[\"cat\",\n\"dog\"", ["line 2", "`]` is missing"]),
        ("b.json", "{\"a\": 1, \"b\": \"c\"}", ["line 1", "`a`, `b`"]),
        ("c.json", "[\"cat\", 7]", ["line 1", "`7`"]),
        ("b.txt", "1: cat\n2: dog\n2: grass", ["line 3", "number 2"]),
        ("c.txt", "1: cat\ndog\n3: grass", ["line 2", "`dog` has no number"]),
        ("d.txt", "cat\n\ndog\nCAT\n", ["line 4", "line 1"]),
        ("e.txt", "128 64 128 road\n0 0 64 sky\n", ["line 1", "several columns"]),
        ("f.txt", "<html>404</html>", ["f.txt", "HTML"]),
        ("g.yaml", "path: data\nnames:\n  0: cat\n", ["line 1", "`path: data`"]),
        ("h.txt", "cat\n{dog}\n", ["line 2", "`{dog}`"]),
        ("i.txt", "\n# nothing\n", ["i.txt", "no class"]),
        ("j.csv", "id,name\n1,cat\n2,dog,pet\n", ["line 3", "3 columns"]),
    ] {
        let list = bench.file(file, text);
        let outcome = bench.segment(&["--vocabulary", &list]);
        outcome.check(2, &[&[file, "hint: "], &words[..]].concat());
        assert!(!bench.path("out/photo.json").exists());
    }
    for names in [
        "['cat', 'dog']",
        "\"cat\", \"dog\"",
        "[cat, dog]",
        "{cat}, dog",
        "(cat, dog",
    ] {
        bench.segment(&["--classes", names]).check(2, &["class 1", "hint: "]);
    }
    let toml = bench.file("a.toml", "classes = [\"cat\", \"[dog]\"]");
    bench.segment(&["--vocabulary", &toml]).check(2, &["a.toml", "`[dog]`"]);
    bench
        .segment(&["--classes", "cat, dog", "--background-class", "['sky']"])
        .check(2, &["`['sky']`"]);
}

#[test]
fn a_name_with_commas_stays_one_name() {
    let bench = Bench::new();
    let list = bench.file("commas.txt", "floor, flooring\nroad, route\ngrass\n");
    let toml = bench.file(
        "commas.toml",
        "classes = [\"floor, flooring\", \"road, route\", \"grass\"]\nunseen = [\"road, route\"]\n",
    );
    for list in [&list, &toml] {
        let run = |arguments: &[&str]| {
            let outcome = bench.segment(&[&["--vocabulary", list][..], arguments].concat());
            outcome.check(0, &[]);
            assert_eq!(names(&outcome), ["floor, flooring", "road, route", "grass"]);
            let classes = json(&outcome)["classes"].clone();
            (0..3).map(|class| classes[class]["seen"] == true).collect::<Vec<_>>()
        };
        run(&["--background", "sky"]);
        run(&["--background-class", "road, route"]);
        run(&["--background-class", "sky, heaven"]);
        assert_eq!(run(&["--seen", "grass, floor,flooring"]), [true, false, true]);
        assert_eq!(run(&["--seen", "road, route"]), [false, true, false]);
    }
    bench
        .segment(&["--vocabulary", &list, "--background-class", "grass, road, route"])
        .check(2, &["`grass`, `road, route`", "repeat `--background-class`"]);
    bench
        .segment(&["--vocabulary", &list, "--seen", "floor"])
        .check(2, &["`floor` is not a class of the list"]);

    let model = bench.text("model.safetensors");
    let weights = asset("example/random-weights.safetensors");
    let converted = zegclip(&["convert", &weights, &model, "--vocabulary", &list]);
    converted.check(0, &["commas.txt"]);
    let inspected = zegclip(&["inspect", &model, "--json"]);
    assert_eq!(
        json(&inspected)["classes"],
        serde_json::json!(["floor, flooring", "road, route", "grass"])
    );
}

#[test]
fn seen_classes_of_an_evaluation_may_be_a_list() {
    let farm = Farm::new();
    let own = FARM
        .replace("\"cow\"", "\"cow, cattle\"")
        .replace("unseen = [\"sheep\"]\n", "");
    farm.write("farm.toml", own);
    farm.write(
        "eval.toml",
        "dataset = \"farm.toml\"\nseen = [\"cow, cattle\"]\noutput = \"listed\"\ndevice = \"cpu\"\n",
    );
    let seen = |arguments: &[&str]| {
        let outcome = zegclip(&[&["eval", "--json"], arguments].concat());
        outcome.check(0, &[]);
        let classes = json(&outcome)["classes"].clone();
        [classes[0]["seen"] == true, classes[1]["seen"] == true]
    };
    assert_eq!(seen(&[&farm.text("eval.toml")]), [true, false]);
    let given = [
        &farm.text("eval.toml"),
        "--seen",
        "sheep",
        "--output",
        &farm.text("given"),
    ];
    assert_eq!(seen(&given), [false, true]);
}

#[test]
fn one_class_is_said_to_be_every_pixel() {
    let bench = Bench::new();
    let outcome = bench.segment(&["--classes", "cat"]);
    outcome.check(0, &["one class", "hint: ", "--min-score"]);
    assert_eq!(notes(&outcome, "one class"), 1);
    assert!(json(&outcome)["notes"][0].as_str().expect("a note").contains("`cat`"));
    let list = bench.file("one.txt", "cat\n");
    bench.segment(&["--vocabulary", &list]).check(0, &["one class"]);
    for arguments in [["--min-score", "0.5"], ["--background-class", "grass"]] {
        let outcome = bench.segment(&[&["--classes", "cat"], &arguments[..]].concat());
        outcome.check(0, &[]);
        assert_eq!(notes(&outcome, "one class"), 0, "{}", outcome.stderr);
    }
}

#[test]
fn separators_of_other_programs_are_noted() {
    let bench = Bench::new();
    for names in [
        "cat; dog",
        "cat. dog",
        "cat . dog .",
        "cat | dog",
        "cat\ndog",
        "cat，dog",
        "cat; dog, grass",
    ] {
        let outcome = bench.segment(&["--classes", names]);
        outcome.check(0, &["separated by commas"]);
        assert_eq!(notes(&outcome, "separated by commas"), 1, "{names}");
    }
    let outcome = bench.segment(&["--classes", "traffic light, sofa|couch, St. Bernard, grass"]);
    outcome.check(0, &[]);
    assert_eq!(notes(&outcome, ""), 0, "{}", outcome.stderr);
}

#[test]
fn names_and_files_are_told_apart() {
    let bench = Bench::new();
    let list = bench.file("commas.txt", "cat\ndog\n");
    let plain = bench.file("labels", "cat\ndog\n");
    for file in [
        list.as_str(),
        &plain,
        "nowhere/labels.txt",
        "classes.json",
        "voc.toml",
        &bench.text("photo.png"),
    ] {
        let outcome = bench.segment(&["--classes", file]);
        outcome.check(2, &[file, "--vocabulary"]);
    }
    bench
        .segment(&["--classes", &format!("cat, {list}")])
        .check(2, &["commas.txt", "--vocabulary"]);
    for option in ["--seen", "--background-class", "--background"] {
        bench
            .segment(&["--classes", "cat, dog", option, &list])
            .check(2, &["commas.txt"]);
    }
    for names in ["cat, dog", "cat", "cat; dog"] {
        bench.segment(&["--vocabulary", names]).check(2, &[names, "--classes"]);
    }
    // A folder of a class is not a list.
    std::fs::create_dir(bench.path("cat")).expect("a folder");
    let outcome = zegclip_in(
        &bench,
        &[
            "segment",
            "photo.png",
            "--classes",
            "cat, dog",
            "--device",
            "cpu",
            "--output",
            "o",
        ],
    );
    outcome.check(0, &[]);
}

/// Runs the program in the folder.
fn zegclip_in(bench: &Bench, arguments: &[&str]) -> Outcome {
    let mut command = crate::program::command();
    command
        .current_dir(bench.0.path())
        .args(arguments)
        .output()
        .expect("zegclip starts")
        .into()
}

#[test]
fn numbers_of_a_list_are_label_values() {
    let bench = Bench::new();
    let list = bench.file("numbered.txt", "0: unlabeled\n1: cat\n4: dog\n");
    for (folder, values) in [("labels", [0, 1, 4, 255]), ("predictions", [0, 0, 1, 1])] {
        std::fs::create_dir(bench.path(folder)).expect("a folder");
        let mask = image::GrayImage::from_raw(4, 1, values.to_vec()).expect("a mask");
        mask.save(bench.path(folder).join("a.png")).expect("a mask");
    }
    let (labels, predictions) = (bench.text("labels"), bench.text("predictions"));
    let score = [
        "score",
        "--json",
        "--labels",
        &labels,
        "--predictions",
        &predictions,
        "--vocabulary",
        &list,
    ];
    let outcome = zegclip(&score);
    outcome.check(0, &["numbered.txt", "label values"]);
    let scores = json(&outcome);
    assert_eq!(
        (
            scores["pixel_accuracy"].as_f64(),
            scores["classes"][1]["pixels"].as_u64()
        ),
        (Some(100.0), Some(1))
    );
    assert!(
        scores["assumptions"][0]
            .as_str()
            .expect("an assumption")
            .contains("numbered.txt")
    );
}
