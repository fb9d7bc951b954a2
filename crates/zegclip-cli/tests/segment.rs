//! `segment`: its files, its devices, and that converting changes nothing.

mod program;

use std::path::Path;
use std::process::{Command, Stdio};

use program::{Outcome, asset, zegclip};
use serde_json::Value;

fn segment(output: &Path, arguments: &[&str]) -> Outcome {
    let output = output.display().to_string();
    let mut all = vec!["segment", "--output", &output];
    all.extend_from_slice(arguments);
    zegclip(&all)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("the file")).expect("JSON")
}

/// Indices of an indexed PNG.
fn labels(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).expect("the file");
    assert_eq!(bytes[25], 3, "{}: color type of an indexed PNG", path.display());
    let limits = zegclip_data::ImageLimits::default();
    let raw = zegclip_data::read_label_png(path, &limits, zegclip_data::LabelDepth::Eight).expect("a label file");
    raw.values().iter().map(|value| *value as u8).collect()
}

#[test]
fn every_file_of_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    let (image, weights) = (asset("photos/chelsea.jpg"), asset("example/random-weights.safetensors"));
    let outcome = segment(
        folder.path(),
        &[
            &image,
            "--classes",
            "cat|kitten, grass, sky",
            "--seen",
            "grass",
            "--weights",
            &weights,
            "--device",
            "cpu",
            "--scores",
            "--json",
        ],
    );
    outcome.check(0, &["device: cpu"]);
    let printed: Value = serde_json::from_str(outcome.stdout.trim()).expect("one JSON object on stdout");
    let written = json(&folder.path().join("chelsea.json"));
    assert_eq!(printed, written);
    assert_eq!(
        (written["width"].as_u64(), written["height"].as_u64()),
        (Some(451), Some(300))
    );
    assert_eq!(written["classes"][0]["name"], "cat");
    assert_eq!(written["classes"][0]["seen"], false);
    assert_eq!(written["classes"][1]["seen"], true);
    let labels = labels(&folder.path().join("chelsea.labels.png"));
    assert_eq!(labels.len(), 451 * 300);
    for class in 0..3u8 {
        let share = labels.iter().filter(|label| **label == class).count() as f64 / labels.len() as f64;
        assert!(
            (share
                - written["classes"][usize::from(class)]["share"]
                    .as_f64()
                    .expect("a share"))
            .abs()
                < 1e-9
        );
    }
    let bytes = std::fs::read(folder.path().join("chelsea.scores.safetensors")).expect("the scores");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let scores = file.tensor("scores").expect("scores");
    assert_eq!(scores.shape(), [3, 300, 451]);
    let scores: Vec<f32> = scores
        .data()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    for (pixel, label) in labels.iter().enumerate() {
        let score = |class: usize| scores[class * 451 * 300 + pixel];
        let best = (0..3).map(score).fold(f32::MIN, f32::max);
        assert_eq!(score(usize::from(*label)), best);
    }
    let overlay = image::open(folder.path().join("chelsea.overlay.png")).expect("the overlay");
    assert!(overlay.width() >= 451 && overlay.height() >= 300);
}

#[test]
fn converted_models_give_the_same_labels() {
    let folder = tempfile::tempdir().expect("a folder");
    let (image, weights) = (asset("photos/coffee.jpg"), asset("example/random-weights.safetensors"));
    let path = |name: &str| folder.path().join(name).display().to_string();
    zegclip(&["convert", &weights, &path("authors.pth")]).check(0, &[]);
    std::fs::write(
        path("model.toml"),
        "image_size = 64\nvision_heads = 4\ntext_heads = 2\n",
    )
    .expect("a file");
    zegclip(&[
        "convert",
        &path("authors.pth"),
        &path("again.safetensors"),
        "--model-config",
        &path("model.toml"),
    ])
    .check(0, &[]);
    let first = segment(
        &folder.path().join("a"),
        &[
            &image,
            "--classes",
            "cup, table",
            "--weights",
            &weights,
            "--device",
            "cpu",
        ],
    );
    first.check(0, &[]);
    let second = segment(
        &folder.path().join("b"),
        &[
            &image,
            "--classes",
            "cup, table",
            "--weights",
            &path("again.safetensors"),
            "--device",
            "cpu",
        ],
    );
    second.check(0, &[]);
    let labels = |name: &str| std::fs::read(folder.path().join(name)).expect("labels");
    assert!(
        labels("a/coffee.labels.png") == labels("b/coffee.labels.png"),
        "the label maps differ"
    );
    let inspected = zegclip(&["inspect", &path("authors.pth"), "--json"]);
    inspected.check(0, &[]);
    let inspected: Value = serde_json::from_str(&inspected.stdout).expect("JSON");
    assert_eq!(inspected["parts"]["decode_head"], true);
}

#[test]
fn clip_brings_the_text_encoder() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (image, clip) = (asset("photos/chelsea.jpg"), asset("example/random-weights.safetensors"));
    let head = asset("example/random-weights-no-text.safetensors");
    zegclip(&["convert", &head, &path("whole.safetensors"), "--clip", &clip]).check(0, &[]);
    let labels = |name: &str, weights: &[&str]| {
        let output = folder.path().join(name);
        let mut arguments = vec![image.as_str(), "--classes", "cat, dog", "--device", "cpu"];
        arguments.extend_from_slice(weights);
        segment(&output, &arguments).check(0, &[]);
        std::fs::read(output.join("chelsea.labels.png")).expect("labels")
    };
    let combined = labels("a", &["--weights", &head, "--clip", &clip]);
    let converted = labels("b", &["--weights", &path("whole.safetensors")]);
    assert!(combined == converted, "the label maps differ");
}

#[test]
fn backgrounds_have_no_label() {
    let folder = tempfile::tempdir().expect("a folder");
    let (image, weights) = (asset("photos/chelsea.jpg"), asset("example/random-weights.safetensors"));
    let run = |name: &str, option: &str, value: &str, notes: &[&str]| {
        let output = folder.path().join(name);
        let outcome = segment(
            &output,
            &[
                &image,
                "--classes",
                "cat, dog",
                "--weights",
                &weights,
                "--device",
                "cpu",
                option,
                value,
            ],
        );
        outcome.check(0, notes);
        assert_eq!(outcome.stderr.contains("note: `--background"), !notes.is_empty());
        json(&output.join("chelsea.json"))["unlabelled_share"]
            .as_f64()
            .expect("a share")
    };
    assert_eq!(run("none", "--min-score", "-1", &[]), 0.0);
    assert_eq!(run("all", "--min-score", "1", &[]), 1.0);
    let wall = run("class", "--background-class", "wall", &[]);
    assert!(wall < 1.0);
    // The former option.
    let note = ["note: `--background 1` is now `--min-score 1`"];
    assert_eq!(run("former-score", "--background", "1", &note), 1.0);
    let note = ["note: `--background wall` is now `--background-class wall`"];
    assert_eq!(run("former-class", "--background", "wall", &note), wall);
}

#[test]
fn an_image_from_stdin_and_a_folder_of_images() {
    let folder = tempfile::tempdir().expect("a folder");
    let weights = asset("example/random-weights.safetensors");
    let output = Command::new(env!("CARGO_BIN_EXE_zegclip"))
        .args([
            "segment",
            "-",
            "--classes",
            "cat, dog",
            "--device",
            "cpu",
            "--weights",
            &weights,
            "--output",
        ])
        .arg(folder.path())
        .stdin(Stdio::from(
            std::fs::File::open(asset("photos/chelsea.jpg")).expect("the image"),
        ))
        .output()
        .expect("zegclip");
    Outcome::from(output).check(0, &[]);
    assert!(folder.path().join("stdin.labels.png").exists());
    let outcome = segment(
        folder.path(),
        &[
            &asset("photos"),
            "--classes",
            "cat, dog",
            "--weights",
            &weights,
            "--device",
            "cpu",
            "--json",
        ],
    );
    outcome.check(0, &[]);
    assert_eq!(outcome.stdout.lines().count(), 3);
    for name in ["astronaut", "chelsea", "coffee"] {
        assert!(folder.path().join(format!("{name}.overlay.png")).exists());
    }
}

/// Labels of an image on the CPU and on another device may differ only at ties; the number of pixels is printed.
fn check_agreement_with_cpu(other: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let (image, weights) = (asset("photos/chelsea.jpg"), asset("example/random-weights.safetensors"));
    let [cpu, other] = ["cpu", other].map(|device| {
        let output = folder.path().join(device.replace(':', "-"));
        segment(
            &output,
            &[
                &image,
                "--classes",
                "cat, grass, sky",
                "--weights",
                &weights,
                "--device",
                device,
                "--batch",
                "2",
            ],
        )
        .check(0, &[device]);
        labels(&output.join("chelsea.labels.png"))
    });
    let different = cpu.iter().zip(&other).filter(|(a, b)| a != b).count();
    println!("{different} of {} pixels differ", cpu.len());
    assert!(
        different * 10_000 <= cpu.len(),
        "{different} of {} pixels differ",
        cpu.len()
    );
}

#[cfg(feature = "ndarray")]
#[test]
fn cpu_and_reference_device_agree() {
    check_agreement_with_cpu("ndarray");
}

#[test]
fn cpu_and_gpu_agree() {
    let devices = zegclip(&["devices", "--json"]);
    devices.check(0, &[]);
    if !devices.stdout.contains("\"vulkan:0\"") {
        assert!(
            !test_support::gpu_required(),
            "ZEGCLIP_REQUIRE_GPU is set, but there is no Vulkan adapter: {}",
            devices.stdout
        );
        return;
    }
    check_agreement_with_cpu("vulkan:0");
}

#[test]
fn tokens_are_one_array_per_line() {
    let outcome = zegclip(&["tokenize", "a photo of a cat", "dog"]);
    outcome.check(0, &[]);
    assert_eq!(
        outcome.stdout,
        "[49406,320,1125,539,320,2368,49407]\n[49406,1929,49407]\n"
    );
}
