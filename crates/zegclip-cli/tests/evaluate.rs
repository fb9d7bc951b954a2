//! `eval` and `score`: the same scores in one run, in shards, interrupted, and from label maps; and wrong inputs.

mod program;

use std::path::{Path, PathBuf};

use program::data::{Farm, coco, coco_root};
use program::{Outcome, asset, zegclip};
use serde_json::Value;

/// A folder for results.
struct Bench {
    folder: tempfile::TempDir,
    weights: String,
}

impl Bench {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            weights: asset("example/random-weights.safetensors"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// `eval` with the example model on the CPU.
    fn eval(&self, dataset: &str, output: &str, arguments: &[&str]) -> Outcome {
        let output = self.text(output);
        let mut all = vec![
            "eval",
            "--dataset",
            dataset,
            "--weights",
            &self.weights,
            "--device",
            "cpu",
        ];
        all.extend(["--output", &output]);
        all.extend_from_slice(arguments);
        zegclip(&all)
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn file(path: &Path) -> Value {
    json(&std::fs::read_to_string(path).expect("the file"))
}

fn score(arguments: &[&str]) -> Outcome {
    let mut all = vec!["score", "--json"];
    all.extend_from_slice(arguments);
    zegclip(&all)
}

#[test]
fn the_scores_are_those_of_the_label_maps() {
    let bench = Bench::new();
    let outcome = bench.eval(
        &coco(),
        "whole",
        &["--limit", "8", "--boundary", "--save-labels", "--json"],
    );
    outcome.check(0, &["device: cpu"]);
    let scores = json(&outcome.stdout);
    assert_eq!(scores["images"], 8);
    assert!(scores["pixel_accuracy"].as_f64() > Some(0.0), "some pixel is right");
    assert!(scores["mean_boundary_iou"].is_number());
    assert_eq!(scores["classes"].as_array().map(Vec::len), Some(171));
    assert_eq!(scores, file(&bench.path("whole/evaluation.json")));
    let markdown = std::fs::read_to_string(bench.path("whole/evaluation.md")).expect("the table");
    assert!(markdown.contains("| mIoU(U) | hIoU |") && markdown.contains("coco-stuff, split val"));
    let html = std::fs::read_to_string(bench.path("whole/evaluation.html")).expect("the page");
    // Four pictures of each of eight images.
    assert_eq!(html.matches("data:image/jpeg;base64,").count(), 4 * 8);
    assert!(!bench.path("whole/evaluation.state.json").exists());

    // The same labels in a folder of their own, against the files of the data set.
    let truth = bench.path("truth");
    std::fs::create_dir(&truth).expect("a folder");
    for entry in std::fs::read_dir(bench.path("whole/labels"))
        .expect("the labels")
        .flatten()
    {
        let name = entry
            .file_name()
            .to_string_lossy()
            .replace(".png", "_labelTrainIds.png");
        let from = coco_root().join("annotations/val2017").join(&name);
        std::fs::copy(from, truth.join(name)).expect("a copy");
    }
    let (predictions, truth) = (bench.text("whole/labels"), bench.text("truth"));
    let outcome = score(&[
        "--predictions",
        &predictions,
        "--labels",
        &truth,
        "--vocabulary",
        "coco171",
        "--boundary",
    ]);
    outcome.check(0, &[]);
    assert_eq!(json(&outcome.stdout), scores);

    // What `segment` writes is what `eval` scores.
    let segmented = bench.text("segmented");
    let mut arguments = vec!["segment", "--vocabulary", "coco171", "--weights", &bench.weights];
    arguments.extend(["--device", "cpu", "--presence", "off", "--output", &segmented]);
    let images: Vec<String> = std::fs::read_dir(bench.path("whole/labels"))
        .expect("the labels")
        .flatten()
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().replace(".png", ".jpg");
            coco_root().join("images/val2017").join(name).display().to_string()
        })
        .collect();
    arguments.extend(images.iter().map(String::as_str));
    zegclip(&arguments).check(0, &[]);
    let (output, vocabulary) = (bench.text("scored"), ["--vocabulary", "coco171", "--boundary"]);
    let mut arguments = vec!["--predictions", &segmented, "--labels", &truth, "--output", &output];
    arguments.extend(vocabulary);
    let outcome = score(&arguments);
    outcome.check(0, &[]);
    assert_eq!(json(&outcome.stdout), scores);
    assert_eq!(file(&bench.path("scored/evaluation.json")), scores);
    let html = std::fs::read_to_string(bench.path("scored/evaluation.html")).expect("the page");
    assert_eq!(html.matches("data:image/jpeg;base64,").count(), 3 * 8, "without images");
}

#[test]
fn shards_add_up() {
    let bench = Bench::new();
    let limit = ["--limit", "7", "--json"];
    let whole = bench.eval(&coco(), "whole", &limit);
    whole.check(0, &[]);
    for parts in [1, 3, 5] {
        let folder = format!("of-{parts}");
        let mut merge = vec!["--merge".to_owned()];
        for part in 1..=parts {
            let shard = format!("{part}/{parts}");
            bench
                .eval(&coco(), &folder, &[&limit[..], &["--shard", &shard]].concat())
                .check(0, &[]);
            merge.push(bench.text(&format!("{folder}/evaluation.shard-{part}-of-{parts}.confusion.json")));
        }
        let merge: Vec<&str> = merge.iter().map(String::as_str).collect();
        let merged = score(&merge);
        merged.check(0, &[]);
        assert_eq!(merged.stdout, whole.stdout, "{parts} parts");
        if parts == 3 {
            score(&[&merge[..], &merge[1..2]].concat()).check(2, &["is named twice"]);
        }
    }
    let other = bench.eval(&coco(), "other", &["--limit", "1", "--vocabulary", "voc20"]);
    other.check(0, &["without a counterpart in voc20 are ignored"]);
    let (first, second) = (
        bench.text("whole/evaluation.confusion.json"),
        bench.text("other/evaluation.confusion.json"),
    );
    score(&["--merge", &first, &second]).check(1, &["one is for vocabulary `coco171`, one for `voc20`"]);
}

#[cfg(unix)]
#[test]
fn an_interrupted_evaluation_resumes_to_the_same_result() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    let bench = Bench::new();
    let undisturbed = bench.eval(&coco(), "undisturbed", &["--json"]);
    undisturbed.check(0, &[]);
    let output = bench.text("interrupted");
    let mut child = Command::new(env!("CARGO_BIN_EXE_zegclip"))
        .args(["eval", "--dataset", &coco(), "--weights", &bench.weights])
        .args(["--device", "cpu", "--output", &output, "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("zegclip starts");
    let mut stderr = BufReader::new(child.stderr.take().expect("stderr"));
    let mut line = String::new();
    while !line.starts_with("device: ") {
        line.clear();
        assert!(stderr.read_line(&mut line).expect("a line") > 0, "it names no device");
    }
    std::thread::sleep(std::time::Duration::from_millis(40));
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill starts").success());
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).expect("the message");
    let status = child.wait().expect("the end");
    assert_eq!(status.code(), Some(1), "{rest}");
    assert!(
        rest.contains("error: interrupted") && rest.contains("hint: resume with `"),
        "{rest}"
    );
    assert!(!bench.path("interrupted/evaluation.json").exists());

    if bench.path("interrupted/evaluation.state.json").exists() {
        let foreign = bench.eval(&coco(), "interrupted", &["--setting", "full"]);
        foreign.check(
            1,
            &[
                "belongs to another evaluation",
                "its setting is inductive, here it is full",
            ],
        );
    }
    let resumed = bench.eval(&coco(), "interrupted", &["--json"]);
    resumed.check(0, &[]);
    assert_eq!(resumed.stdout, undisturbed.stdout);
    let page = |folder: &str| std::fs::read(bench.path(folder).join("evaluation.html")).expect("the page");
    assert_eq!(page("interrupted"), page("undisturbed"));
    bench
        .eval(&coco(), "interrupted", &[])
        .check(2, &["evaluation.json` already exists", "--overwrite"]);
}

#[test]
fn a_toml_stands_for_the_options() {
    let (bench, farm) = (Bench::new(), Farm::new());
    let plain = bench.eval(&farm.toml(), "plain", &["--json", "--boundary"]);
    plain.check(0, &[]);
    let weights = format!("weights = '{}'", bench.weights);
    let text = format!("dataset = 'farm.toml'\n{weights}\ndevice = 'cpu'\nboundary = true\noutput = 'by-toml'\n");
    farm.write("eval.toml", &text);
    let by_toml = zegclip(&["eval", &farm.text("eval.toml"), "--json"]);
    by_toml.check(0, &[]);
    assert_eq!(by_toml.stdout, plain.stdout);
    assert!(farm.path("by-toml/evaluation.md").exists(), "paths start at the TOML");
    // The command line takes precedence.
    let other = zegclip(&["eval", &farm.text("eval.toml"), "--limit", "2", "--overwrite", "--json"]);
    other.check(0, &[]);
    assert_eq!(json(&other.stdout)["images"], 2);

    farm.write("eval.toml", text.replace("device", "devcie"));
    zegclip(&["eval", &farm.text("eval.toml")]).check(2, &["unknown key `devcie` (did you mean `device`?)"]);
    farm.write("eval.toml", format!("{weights}\nshard = '4/3'"));
    zegclip(&["eval", &farm.text("eval.toml")]).check(2, &["K from 1 to N"]);
    farm.write("eval.toml", &weights);
    zegclip(&["eval", &farm.text("eval.toml")]).check(2, &["--dataset NAME=DIR"]);
}

#[test]
fn bad_data_is_one_message_with_the_file() {
    type Break = fn(&Farm);
    let cases: [(Break, &[&str]); 6] = [
        (
            |farm| farm.mask("b", 30, 40, |_, _| 7),
            &["masks/b.png` is 30×40", "photos/b.png` is 40×30"],
        ),
        (
            |farm| farm.mask("b", 40, 30, |_, _| 8),
            &["masks/b.png` has the label value 8 (1200 pixels)"],
        ),
        (|farm| farm.write("val.txt", ""), &["val.txt` names no image"]),
        (
            |farm| farm.write("val.txt", "a\nnowhere"),
            &["`nowhere` has no", "zegclip dataset check"],
        ),
        (
            |farm| farm.write("photos/b.png", "<html>"),
            &["photos/b.png` is not a PNG, JPEG, WebP, BMP, TIFF or GIF image but text"],
        ),
        (
            |farm| {
                let colored = image::RgbImage::from_pixel(40, 30, image::Rgb([7, 7, 7]));
                colored.save(farm.path("masks/b.png")).expect("a mask");
            },
            &["masks/b.png`", "RGB"],
        ),
    ];
    for (break_it, words) in cases {
        let (bench, farm) = (Bench::new(), Farm::new());
        break_it(&farm);
        let outcome = bench.eval(&farm.toml(), "out", &[]);
        outcome.check(1, words);
        assert_eq!(outcome.stderr.matches("error: ").count(), 1, "{}", outcome.stderr);
        assert!(!bench.path("out/evaluation.json").exists());
    }
    // Once repaired, the evaluation resumes after the images before.
    let (bench, farm) = (Bench::new(), Farm::new());
    let whole = bench.eval(&farm.toml(), "whole", &["--json"]);
    let mask = std::fs::read(farm.path("masks/c.png")).expect("a mask");
    farm.write("masks/c.png", "");
    bench.eval(&farm.toml(), "mended", &[]).check(1, &["masks/c.png"]);
    farm.write("masks/c.png", mask);
    let mended = bench.eval(&farm.toml(), "mended", &["--json"]);
    mended.check(0, &["note: resuming after 2 of 3 images"]);
    assert_eq!(mended.stdout, whole.stdout);

    bench
        .eval(&program::data::voc(), "voc", &[])
        .check(1, &["has no image", "label files only"]);
    bench
        .eval(&coco(), "x", &["--shard", "0/3"])
        .check(2, &["K from 1 to N"]);
    bench
        .eval(&coco(), "x", &["--vocabulary", "voc22"])
        .check(2, &["`voc20`"]);
    bench
        .eval(&coco(), "x", &["--vocabulary", "voc20", "--unmatched", "refuse"])
        .check(2, &["no counterpart"]);
    bench
        .eval(&coco(), "x", &["--unmatched", "refuse"])
        .check(2, &["--vocabulary"]);
}

#[test]
fn predictions_that_do_not_fit_are_named() {
    let (bench, farm) = (Bench::new(), Farm::new());
    bench
        .eval(&farm.toml(), "out", &["--save-labels", "--json"])
        .check(0, &[]);
    let (predictions, toml) = (bench.text("out/labels"), farm.toml());
    let by_dataset = || score(&["--predictions", &predictions, "--dataset", &toml]);
    by_dataset().check(0, &[]);
    assert_eq!(json(&by_dataset().stdout), file(&bench.path("out/evaluation.json")));
    let save = |name: &str, width: u32, value: u8| {
        let picture = image::GrayImage::from_pixel(width, 30, image::Luma([value]));
        picture.save(bench.path("out/labels").join(name)).expect("a prediction");
    };
    save("b.png", 40, 2);
    by_dataset().check(1, &["labels/b.png` has the label value 2 (1200 pixels)"]);
    save("b.png", 41, 1);
    by_dataset().check(1, &["labels/b.png` is 41×30", "masks/b.png` are 40×30"]);
    std::fs::remove_file(bench.path("out/labels/b.png")).expect("removed");
    by_dataset().check(1, &["`b` has no prediction: expected", "b.labels.png", "b.png"]);
    score(&["--predictions", &predictions]).check(2, &["--labels"]);
    score(&["--predictions", &predictions, "--labels", &predictions]).check(2, &["--vocabulary"]);
    score(&[]).check(2, &["--predictions"]);
    let broken = bench.text("broken.confusion.json");
    std::fs::write(&broken, "{}").expect("a file");
    score(&["--merge", &broken]).check(1, &["broken.confusion.json"]);
}
