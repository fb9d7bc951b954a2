//! Plain CLIP: the method that is chosen, its settings, kept text features, and what is not CLIP. Classes that are not in an image.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype as FileDtype, TensorView};
use serde_json::Value;
use zegclip_weights::{Dtype, IfExists, write_open_clip};

use super::program::{Outcome, asset, command, zegclip};
use super::weights::{outputs, small_clip};

/// Windows of 8 × 8 patches of the example CLIP.
const WINDOWS: [&str; 6] = ["--short-side", "128", "--window", "128", "--stride", "64"];

struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        let bench = Self(tempfile::tempdir().expect("a folder"));
        let image = image::RgbImage::from_fn(64, 48, |x, y| image::Rgb([(4 * x) as u8, (5 * y) as u8, (x * y) as u8]));
        image.save(bench.path("photo.png")).expect("an image");
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn file(&self, name: &str, contents: &str) -> String {
        std::fs::write(self.path(name), contents).expect("a file");
        self.text(name)
    }

    fn segment(&self, output: &str, arguments: &[&str]) -> Outcome {
        let (photo, output) = (self.text("photo.png"), self.text(output));
        let shared = ["segment", &photo, "--device", "cpu", "--json", "--output", &output];
        let output = command()
            .env("ZEGCLIP_CACHE", self.path("cache"))
            .args([&shared[..], arguments].concat())
            .output();
        output.expect("zegclip starts").into()
    }

    fn clip(&self, output: &str, arguments: &[&str]) -> Outcome {
        let clip = asset("example/random-clip.safetensors");
        self.segment(
            output,
            &[
                &["--weights", &clip, "--classes", "cat, dog|puppy, grass"][..],
                arguments,
            ]
            .concat(),
        )
    }
}

fn json(outcome: &Outcome) -> Value {
    outcome.check(0, &[]);
    serde_json::from_str(&outcome.stdout).expect("JSON")
}

#[test]
fn plain_clip_has_a_default_method_which_is_said() {
    let bench = Bench::new();
    let assumed = bench.clip("assumed", &WINDOWS);
    assumed.check(0, &["method: sc-clip", "a trained model makes better masks"]);
    assert_eq!(json(&assumed)["method"], "sc-clip");
    let stated = bench.clip("stated", &[&WINDOWS[..], &["--method", "sc-clip"]].concat());
    assert!(!stated.stderr.contains("method:"), "{}", stated.stderr);
    let labels = |output: &str| std::fs::read(bench.path(output).join("photo.labels.png")).expect("labels");
    assert_eq!(labels("assumed"), labels("stated"));
    for method in [
        "maskclip",
        "maskclip-release",
        "sclip",
        "clearclip",
        "naclip",
        "resclip",
    ] {
        let outcome = bench.clip(method, &[&WINDOWS[..], &["--method", method]].concat());
        assert_eq!(json(&outcome)["method"], method, "{}", outcome.stderr);
    }
    let refined = bench.clip("refined", &[&WINDOWS[..], &["--refine", "pamr"]].concat());
    refined.check(0, &[]);
    // A trained model is what it is.
    let demo = bench.segment("demo", &["--classes", "cat, grass"]);
    assert_eq!(json(&demo)["method"], "zegclip");
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    let bench = Bench::new();
    bench
        .clip("a", &["--short-side", "64", "--window", "64"])
        .check(2, &["4 × 4 patches", "31", "hint: "]);
    bench
        .clip("a", &["--window", "64", "--stride", "65"])
        .check(2, &["stride"]);
    bench
        .clip("a", &["--window", "whole", "--stride", "32"])
        .check(2, &["stride"]);
    bench.clip("a", &["--window", "0"]).check(2, &["--window"]);
    for scale in ["nan", "0", "-1", "inf"] {
        bench
            .clip("a", &[&format!("--logit-scale={scale}")])
            .check(2, &["--logit-scale"]);
    }
    bench.clip("a", &["--method", "maskclop"]).check(2, &["maskclip"]);
    let none = bench.file("none.txt", "a photo of a cat\n");
    bench.clip("a", &["--templates", &none]).check(2, &["{}"]);
    bench
        .clip("a", &["--templates", &bench.file("empty.txt", "\n\n")])
        .check(2, &["template"]);
    bench
        .clip("a", &["--templates", &bench.text("missing.txt")])
        .check(1, &["missing.txt"]);
    let long = "word ".repeat(90);
    let clip = asset("example/random-clip.safetensors");
    let arguments = ["--weights", &clip, "--classes", &long];
    bench
        .segment("a", &[&arguments[..], &WINDOWS].concat())
        .check(1, &["too long", "77"]);
    // Settings of plain CLIP mean nothing to a trained model.
    bench
        .segment("a", &["--classes", "cat, grass", "--logit-scale", "40"])
        .check(2, &["logit scale"]);
    assert!(!bench.path("a").join("photo.json").exists());

    let data = format!("voc21={}", bench.0.path().display());
    let eval = |protocol: &str| zegclip(&["eval", "--dataset", &data, "--weights", &clip, "--protocol", protocol]);
    eval("sclip-voc22").check(2, &["sclip-voc22"]);
}

#[test]
fn models_that_are_not_clip_are_refused() {
    let bench = Bench::new();
    let refused = |name: &str, keep: fn(&str) -> bool, words: &[&str]| {
        let path = bench.text(name);
        let tensors: Vec<_> = small_clip(64, 64).into_iter().filter(|(name, ..)| keep(name)).collect();
        let tensors = outputs(&tensors, Dtype::F16, str::to_owned);
        write_open_clip(Path::new(&path), tensors, IfExists::Fail).expect("weights");
        bench
            .segment(
                "a",
                &["--weights", &path, "--classes", "cat, dog", "--method", "maskclip"],
            )
            .check(1, words);
    };
    // An image encoder that has no joint embedding, as CLIPVisionModel.
    refused("vision.bin", |name| name != "backbone.proj", &["vision.bin"]);
    refused("text.bin", |name| name.starts_with("text_encoder"), &["text.bin"]);
    refused("image.bin", |name| name.starts_with("backbone"), &["image.bin", "text"]);
    // SigLIP has a head that pools by attention instead of a class token.
    let path = bench.path("siglip.safetensors");
    let values = vec![0u8; 4 * 64];
    let tensor = || TensorView::new(FileDtype::F32, vec![64], &values).expect("a tensor");
    let names = [
        "vision_model.embeddings.patch_embedding.bias",
        "vision_model.head.probe",
        "vision_model.head.layernorm.weight",
        "text_model.head.bias",
        "logit_bias",
    ];
    let bytes = safetensors::serialize(names.map(|name| (name, tensor())), None).expect("bytes");
    std::fs::write(&path, bytes).expect("a file");
    bench
        .segment(
            "a",
            &["--weights", &bench.text("siglip.safetensors"), "--classes", "cat, dog"],
        )
        .check(1, &["siglip.safetensors"]);
}

#[test]
fn text_features_are_computed_once() {
    let bench = Bench::new();
    let weights = bench.text("model.bin");
    let tensors = outputs(&small_clip(64, 256), Dtype::F16, str::to_owned);
    write_open_clip(Path::new(&weights), tensors, IfExists::Fail).expect("weights");
    // So many prompts that their features are kept.
    let names: Vec<String> = (0..18).map(|index| format!("thing {index}")).collect();
    let names = names.join(", ");
    let run = |output: &str, names: &str| {
        let arguments = [
            "--weights",
            &weights,
            "--method",
            "maskclip",
            "--classes",
            names,
            "--scores",
        ];
        bench.segment(output, &arguments).check(0, &[]);
        std::fs::read(bench.path(output).join("photo.scores.safetensors")).expect("scores")
    };
    let kept = || {
        let files = std::fs::read_dir(bench.path("cache/text-features"))
            .into_iter()
            .flatten()
            .flatten();
        files.map(|file| file.path()).collect::<Vec<_>>()
    };
    let first = run("first", &names);
    let [path] = kept().try_into().expect("one file");
    assert!(
        first == run("second", &names),
        "features that were kept give other scores"
    );

    // Other features in the file are other scores: the encoder is not used.
    let bytes = std::fs::read(&path).expect("the file");
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("a header");
    let file = SafeTensors::deserialize(&bytes).expect("a file");
    let tensor = file.tensor("text_features").expect("features");
    let mut reversed: Vec<[u8; 4]> = tensor.data().as_chunks().0.to_vec();
    reversed.reverse();
    let data = reversed.concat();
    let mut stated = header.metadata().clone().expect("metadata");
    let damaged = stated.clone();
    stated.insert(
        "crc32".to_owned(),
        zegclip_foundation::Fingerprint::of_bytes(&data).crc32.to_string(),
    );
    let write = |stated| {
        let view = TensorView::new(FileDtype::F32, tensor.shape().to_vec(), &data).expect("a tensor");
        std::fs::write(
            &path,
            safetensors::serialize([("text_features", view)], Some(stated)).expect("bytes"),
        )
        .expect("a file");
    };
    write(stated);
    assert!(first != run("changed", &names), "what was kept is not used");
    // With a wrong checksum they are computed again, and kept.
    write(damaged);
    assert!(first == run("damaged", &names), "damaged features are used");
    let again = std::fs::read(&path).expect("the file");
    let again = SafeTensors::deserialize(&again).expect("a file");
    let again = again.tensor("text_features").expect("features");
    assert!(again.data() == tensor.data(), "damaged features stay");
    // Another list has features of its own; a short one is not worth a file.
    run("other", &names.replace("thing 0", "nothing"));
    run("short", "cat, dog");
    assert_eq!(kept().len(), 2);
}

#[test]
fn classes_that_are_not_in_an_image_can_be_left_out() {
    let bench = Bench::new();
    let demo = |output: &str, arguments: &[&str]| {
        bench.segment(output, &[&["--classes", "cat, grass, sea, zebra"], arguments].concat())
    };
    let report = json(&demo("default", &[]));
    assert_eq!(report["min_presence"], 0.3);
    let classes = report["classes"].as_array().expect("classes").clone();
    for class in &classes {
        let presence = class["presence"].as_f64().expect("a presence");
        assert!((0.0..=1.0).contains(&presence));
        assert!(presence >= 0.29 || class["share"] == 0.0, "{class}");
    }
    let off = json(&demo("off", &["--presence", "off"]));
    assert!(off["min_presence"].is_null() && off["classes"][0]["presence"].is_null());
    // All: as without the option; none: no pixel has a class.
    let shares = |report: &Value| -> Vec<f64> {
        let classes = report["classes"].as_array().expect("classes");
        classes.iter().filter_map(|class| class["share"].as_f64()).collect()
    };
    assert_eq!(shares(&json(&demo("all", &["--presence", "0"]))), shares(&off));
    let nothing = demo("nothing", &["--presence", "1", "--scores"]);
    assert_eq!(json(&nothing)["unlabelled_share"], 1.0);
    // Labels are those of a list of the present classes alone, and scores stand at their classes.
    let best = classes.iter().max_by(|a, b| {
        a["presence"]
            .as_f64()
            .partial_cmp(&b["presence"].as_f64())
            .expect("numbers")
    });
    let best = best.expect("a class");
    let minimum = best["presence"].as_f64().expect("a presence") - 1e-4;
    let one = json(&demo("one", &["--presence", &minimum.to_string(), "--scores"]));
    for class in one["classes"].as_array().expect("classes") {
        let expected = if class["name"] == best["name"] { 1.0 } else { 0.0 };
        assert_eq!(class["share"], expected, "{class}");
    }
    let bytes = std::fs::read(bench.path("one/photo.scores.safetensors")).expect("scores");
    let file = SafeTensors::deserialize(&bytes).expect("scores");
    let scores = file.tensor("scores").expect("scores");
    assert_eq!(scores.shape(), [4, 48, 64]);
    for (plane, class) in scores
        .data()
        .chunks_exact(4 * 48 * 64)
        .zip(one["classes"].as_array().expect("classes"))
    {
        let absent = plane
            .as_chunks()
            .0
            .iter()
            .all(|value| f32::from_le_bytes(*value) == -1.0);
        assert_eq!(absent, class["name"] != best["name"], "{class}");
    }
    // Background classes are always present.
    let background = demo("background", &["--presence", "1", "--background-class", "sea"]);
    assert_eq!(json(&background)["unlabelled_share"], 1.0);
    for wrong in ["-0.1", "1.1", "nan", "on"] {
        demo("wrong", &[&format!("--presence={wrong}")]).check(2, &["--presence", "from 0 to 1"]);
    }
}

#[test]
fn protocols_of_published_figures_are_found_by_name() {
    let bench = Bench::new();
    let data = test_support::repository().join("tests/data/coco-mini");
    let data = format!("coco-stuff={}", data.display());
    let clip = asset("example/random-clip.safetensors");
    let eval = |protocol: &str| {
        let output = bench.text(protocol);
        zegclip(&[
            "eval",
            "--dataset",
            &data,
            "--weights",
            &clip,
            "--protocol",
            protocol,
            "--limit",
            "1",
            "--device",
            "cpu",
            "--output",
            &output,
        ])
    };
    for (protocol, figure) in [("sclip-coco-stuff", "22.77"), ("naclip-coco-stuff", "25.69")] {
        eval(protocol).check(0, &[]);
        let report = std::fs::read_to_string(bench.path(protocol).join("evaluation.md")).expect("a report");
        assert!(
            report.contains(&format!("{protocol}, published mIoU {figure}")),
            "{report}"
        );
    }
    eval("sclip-voc21").check(2, &["`sclip-voc21` scores 21 classes", "171"]);
}
