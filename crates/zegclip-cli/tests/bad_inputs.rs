//! What users get wrong: one clear message, the right exit code, no panic, nothing half-written.

mod program;

use std::io::Write;
use std::path::{Path, PathBuf};

use program::{Outcome, asset, zegclip};

/// A folder with one of every bad file.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.path(name), bytes).expect("a file");
        self.text(name)
    }

    /// `segment` with the example model and image, and more arguments.
    fn segment(&self, arguments: &[&str]) -> Outcome {
        let output = self.text("out");
        let mut all = vec!["segment", "--output", &output];
        if !arguments.contains(&"--device") {
            all.extend(["--device", "cpu"]);
        }
        all.extend_from_slice(arguments);
        zegclip(&all)
    }

    /// No file but those that the test made.
    fn is_clean(&self) {
        let out = self.path("out");
        if out.exists() {
            let left: Vec<_> = std::fs::read_dir(&out)
                .expect("the folder")
                .flatten()
                .map(|entry| entry.path())
                .collect();
            assert!(left.is_empty(), "left behind: {left:?}");
        }
    }
}

fn weights() -> String {
    asset("example/random-weights.safetensors")
}

fn image() -> String {
    asset("photos/chelsea.jpg")
}

/// Runs `segment` and checks message, exit code and that nothing is left behind.
fn refused(name: &str, bench: &Bench, arguments: &[&str], code: i32, words: &[&str]) {
    let outcome = bench.segment(arguments);
    outcome.check(code, words);
    outcome.snapshot(name, bench.folder.path());
    bench.is_clean();
}

fn refused_weights(name: &str, bytes: &[u8], words: &[&str]) {
    let bench = Bench::new();
    let weights = bench.file("model.pth", bytes);
    refused(
        name,
        &bench,
        &[&image(), "--classes", "cat", "--weights", &weights],
        1,
        &[&["model.pth"], words].concat(),
    );
}

fn refused_classes(name: &str, arguments: &[&str], code: i32, words: &[&str]) {
    let bench = Bench::new();
    let (image, weights) = (image(), weights());
    let all: Vec<&str> = [image.as_str(), "--weights", weights.as_str()]
        .into_iter()
        .chain(arguments.iter().copied())
        .collect();
    refused(name, &bench, &all, code, words);
}

fn refused_image(name: &str, file: &str, bytes: &[u8], words: &[&str]) {
    let bench = Bench::new();
    let image = bench.file(file, bytes);
    refused(
        name,
        &bench,
        &[&image, "--classes", "cat, dog", "--weights", &weights()],
        1,
        &[&[file], words].concat(),
    );
}

fn example_bytes() -> Vec<u8> {
    std::fs::read(weights()).expect("the example")
}

#[test]
fn weights_that_do_not_exist() {
    let bench = Bench::new();
    refused(
        "weights_that_do_not_exist",
        &bench,
        &[&image(), "--classes", "cat", "--weights", "no-such.pth"],
        1,
        &["no-such.pth"],
    );
}

#[test]
fn weights_empty() {
    refused_weights("weights_empty", b"", &["empty"]);
}

#[test]
fn weights_truncated() {
    let bytes = example_bytes();
    refused_weights("weights_truncated", &bytes[..bytes.len() / 2], &["damaged"]);
}

#[test]
fn weights_that_are_a_web_page() {
    refused_weights(
        "weights_that_are_a_web_page",
        b"<!DOCTYPE html><html><body>404</body></html>",
        &[],
    );
}

#[test]
fn weights_that_are_an_image() {
    refused_weights(
        "weights_that_are_an_image",
        &std::fs::read(image()).expect("the image"),
        &[],
    );
}

#[test]
fn weights_of_noise() {
    let noise: Vec<u8> = (0..4096u32)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    refused_weights("weights_of_noise", &noise, &[]);
}

#[test]
fn weights_with_a_hostile_pickle() {
    // Protocol 2: os.system("echo owned") on loading.
    let pickle = b"\x80\x02cos\nsystem\nX\x0a\x00\x00\x00echo owned\x85R.";
    refused_weights(
        "weights_with_a_hostile_pickle",
        &program::stored_zip(&[("archive/data.pkl", pickle), ("archive/version", b"3\n")]),
        &["os.system"],
    );
}

#[test]
fn weights_without_a_decoder() {
    let bench = Bench::new();
    let clip = asset("example/random-clip.safetensors");
    refused(
        "weights_without_a_decoder",
        &bench,
        &[&image(), "--classes", "cat", "--weights", &clip, "--method", "zegclip"],
        1,
        &["no decoder", "--clip"],
    );
}

#[test]
fn weights_with_a_missing_tensor() {
    let bytes = example_bytes();
    let text = b"decode_head.decoder_1.layers.0.norm2.weight";
    let at = bytes
        .windows(text.len())
        .position(|window| window == text)
        .expect("the tensor");
    let mut changed = bytes;
    changed[at + text.len() - 6..at + text.len()].copy_from_slice(b"wreath");
    refused_weights("weights_with_a_missing_tensor", &changed, &["norm2.weight"]);
}

#[test]
fn weights_of_another_shape() {
    let bench = Bench::new();
    let config = bench.file("model.toml", b"image_size = 4\n");
    let arguments = [
        &image(),
        "--classes",
        "cat",
        "--weights",
        &weights(),
        "--model-config",
        &config,
    ]
    .map(String::from);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    refused(
        "weights_of_another_shape",
        &bench,
        &arguments,
        1,
        &["image_size 4", "patch"],
    );
}

#[test]
fn model_config_with_an_unknown_key() {
    let bench = Bench::new();
    let config = bench.file("model.toml", b"heads = 4\n");
    refused(
        "model_config_with_an_unknown_key",
        &bench,
        &[
            &image(),
            "--classes",
            "cat",
            "--weights",
            &weights(),
            "--model-config",
            &config,
        ],
        2,
        &["heads", "model.toml"],
    );
}

#[test]
fn free_words_without_a_text_encoder() {
    let bench = Bench::new();
    let weights = asset("example/random-weights-no-text.safetensors");
    refused(
        "free_words_without_a_text_encoder",
        &bench,
        &[&image(), "--classes", "cat, dog", "--weights", &weights],
        1,
        &["text encoder", "--clip", "--text-features"],
    );
}

#[test]
fn published_features_of_another_width() {
    let bench = Bench::new();
    let weights = asset("example/random-weights-no-text.safetensors");
    refused(
        "published_features_of_another_width",
        &bench,
        &[&image(), "--vocabulary", "voc20", "--weights", &weights],
        1,
        &["voc20", "512"],
    );
}

#[test]
fn text_features_of_another_list() {
    let bench = Bench::new();
    let features = test_support::repository()
        .join("crates/zegclip-data/assets/text_features/voc12_single.npy")
        .display()
        .to_string();
    refused(
        "text_features_of_another_list",
        &bench,
        &[
            &image(),
            "--classes",
            "cat, dog",
            "--weights",
            &weights(),
            "--text-features",
            &features,
        ],
        1,
        &["20", "2"],
    );
}

#[test]
fn class_list_missing() {
    refused_classes("class_list_missing", &[], 2, &["--classes"]);
}

#[test]
fn class_list_empty() {
    refused_classes("class_list_empty", &["--classes", " , "], 2, &["empty"]);
}

#[test]
fn class_named_twice() {
    refused_classes(
        "class_named_twice",
        &["--classes", "cat, dog, cat"],
        2,
        &["`cat`", "class 1 and class 3"],
    );
}

#[test]
fn vocabulary_unknown() {
    refused_classes("vocabulary_unknown", &["--vocabulary", "voc22"], 2, &["voc22", "voc20"]);
}

#[test]
fn class_name_longer_than_the_context() {
    let long = "word ".repeat(90);
    refused_classes(
        "class_name_longer_than_the_context",
        &["--classes", &long],
        1,
        &["too long", "77"],
    );
}

#[test]
fn seen_class_that_is_not_in_the_list() {
    refused_classes(
        "seen_class_that_is_not_in_the_list",
        &["--classes", "cat, dog", "--seen", "cat, zebra"],
        2,
        &["zebra"],
    );
}

#[test]
fn device_unknown() {
    refused_classes(
        "device_unknown",
        &["--classes", "cat", "--device", "gpu"],
        2,
        &["gpu", "vulkan"],
    );
}

#[cfg(feature = "wgpu")]
#[test]
fn device_without_adapter() {
    refused_classes(
        "device_without_adapter",
        &["--classes", "cat", "--device", "vulkan:9"],
        1,
        &["vulkan:9", "cpu"],
    );
}

#[cfg(feature = "wgpu")]
#[test]
fn device_of_another_platform() {
    let other = if cfg!(target_os = "macos") { "dx12" } else { "metal" };
    refused_classes(
        "device_of_another_platform",
        &["--classes", "cat", "--device", other],
        1,
        &[other, "cpu"],
    );
}

#[cfg(not(feature = "cuda"))]
#[cfg(feature = "ndarray")]
#[test]
fn device_without_half_precision() {
    let arguments = ["--classes", "cat", "--device", "ndarray", "--precision", "f16"];
    refused_classes(
        "device_without_half_precision",
        &arguments,
        1,
        &["`ndarray`", "--precision f32"],
    );
}

#[cfg(not(feature = "cuda"))]
#[test]
fn device_that_was_not_built() {
    refused_classes(
        "device_that_was_not_built",
        &["--classes", "cat", "--device", "cuda"],
        1,
        &["--features cuda"],
    );
}

#[test]
fn min_score_out_of_range() {
    refused_classes(
        "min_score_out_of_range",
        &["--classes", "cat", "--min-score", "7"],
        2,
        &["-1 to 1"],
    );
}

#[test]
fn background_class_empty() {
    refused_classes(
        "background_class_empty",
        &["--classes", "cat", "--background-class", " "],
        2,
        &["empty"],
    );
}

#[test]
fn former_background_out_of_range() {
    let arguments = ["--classes", "cat", "--background", "7"];
    refused_classes("former_background_out_of_range", &arguments, 2, &["-1 to 1"]);
}

#[test]
fn opacity_out_of_range() {
    refused_classes(
        "opacity_out_of_range",
        &["--classes", "cat", "--overlay-opacity", "2"],
        2,
        &["from 0 to 1"],
    );
}

#[test]
fn image_that_does_not_exist() {
    let bench = Bench::new();
    refused(
        "image_that_does_not_exist",
        &bench,
        &["no-such.jpg", "--classes", "cat", "--weights", &weights()],
        1,
        &["no-such.jpg"],
    );
}

#[test]
fn pattern_without_match() {
    let bench = Bench::new();
    refused(
        "pattern_without_match",
        &bench,
        &["no-such-*.jpg", "--classes", "cat", "--weights", &weights()],
        2,
        &["no-such-*.jpg"],
    );
}

#[test]
fn folder_without_images() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("empty")).expect("a folder");
    refused(
        "folder_without_images",
        &bench,
        &[&bench.text("empty"), "--classes", "cat", "--weights", &weights()],
        2,
        &["no image"],
    );
}

#[test]
fn image_truncated() {
    let bytes = std::fs::read(image()).expect("the image");
    refused_image("image_truncated", "half.jpg", &bytes[..bytes.len() / 2], &[]);
}

#[test]
fn image_empty() {
    refused_image("image_empty", "empty.png", b"", &[]);
}

#[test]
fn image_that_is_text() {
    refused_image(
        "image_that_is_text",
        "letter.jpg",
        b"Dear user, this is not an image.",
        &[],
    );
}

#[test]
fn image_too_large() {
    // The header alone states 20,000 × 20,000 pixels, which must not be allocated.
    refused_image(
        "image_too_large",
        "huge.png",
        &program::png_header(20_000, 20_000),
        &["20000"],
    );
}

#[test]
fn image_of_zero_pixels() {
    refused_image("image_of_zero_pixels", "zero.png", &program::png_header(0, 0), &[]);
}

#[test]
fn one_bad_image_among_good_ones() {
    let bench = Bench::new();
    let bad = bench.file("bad.jpg", b"not an image");
    let outcome = bench.segment(&[&image(), &bad, "--classes", "cat, dog", "--weights", &weights()]);
    outcome.check(1, &["bad.jpg", "1 of 2 images failed"]);
    outcome.snapshot("one_bad_image_among_good_ones", bench.folder.path());
    assert!(bench.path("out/chelsea.labels.png").exists());
    assert!(!bench.path("out/bad.labels.png").exists());
}

#[test]
fn two_images_of_one_name() {
    let bench = Bench::new();
    let copy = bench.file("chelsea.png", b"");
    refused(
        "two_images_of_one_name",
        &bench,
        &[&image(), &copy, "--classes", "cat", "--weights", &weights()],
        2,
        &["the same name"],
    );
}

#[test]
fn results_that_exist_are_kept() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("out")).expect("a folder");
    let mine = bench.file("out/chelsea.json", b"mine");
    let refused = bench.segment(&[&image(), "--classes", "cat", "--weights", &weights()]);
    refused.check(2, &["chelsea.json", "--overwrite"]);
    refused.snapshot("results_that_exist_are_kept", bench.folder.path());
    assert_eq!(std::fs::read(&mine).expect("the file"), b"mine");
    let arguments = [
        image(),
        "--classes".into(),
        "cat, dog".into(),
        "--weights".into(),
        weights(),
        "--overwrite".into(),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    bench.segment(&arguments).check(0, &[]);
    assert_ne!(std::fs::read(&mine).expect("the file"), b"mine");
}

#[test]
fn output_that_is_a_file() {
    let bench = Bench::new();
    bench.file("out", b"a file");
    let refused = bench.segment(&[&image(), "--classes", "cat", "--weights", &weights()]);
    refused.check(1, &["out"]);
    refused.snapshot("output_that_is_a_file", bench.folder.path());
}

/// `/dev/full` refuses every write as a full disk does.
#[cfg(target_os = "linux")]
#[test]
fn disk_full() {
    let bench = Bench::new();
    if !Path::new("/dev/full").exists() {
        return;
    }
    let outcome = program::zegclip_with_stdout(
        &["tokenize", "a photo of a cat"],
        std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("/dev/full"),
    );
    outcome.check(1, &["stdout"]);
    outcome.snapshot("disk_full_stdout", bench.folder.path());
    // A file size limit of zero makes every file of the process too large to write.
    let command = format!(
        "ulimit -f 0; trap '' XFSZ; exec '{}' segment '{}' --device cpu --classes cat,dog --weights '{}' --output '{}'",
        env!("CARGO_BIN_EXE_zegclip"),
        image(),
        weights(),
        bench.text("out")
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &command])
        .output()
        .expect("sh");
    let outcome = Outcome::from(output);
    outcome.check(1, &["write", "chelsea"]);
    outcome.snapshot("disk_full", bench.folder.path());
    bench.is_clean();
}

#[cfg(unix)]
#[test]
fn stdout_that_is_closed() {
    let lines = "a cat\n".repeat(50_000);
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_zegclip"))
        .args(["tokenize", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("zegclip");
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().expect("stdin");
    let writer = std::thread::spawn(move || {
        // The program ends before it has read everything.
        let _ = stdin.write_all(lines.as_bytes());
    });
    let output = child.wait_with_output().expect("the end");
    writer.join().expect("the writer");
    Outcome::from(output).check(0, &[]);
}

#[test]
fn convert_refuses_what_exists_and_what_it_cannot_name() {
    let bench = Bench::new();
    let existing = bench.file("model.safetensors", b"mine");
    let refused = zegclip(&["convert", &weights(), &existing]);
    refused.check(2, &["model.safetensors", "exists"]);
    refused.snapshot("convert_to_an_existing_file", bench.folder.path());
    assert_eq!(std::fs::read(&existing).expect("the file"), b"mine");
    let refused = zegclip(&["convert", &weights(), &bench.text("model.onnx")]);
    refused.check(2, &["model.onnx", ".safetensors"]);
    refused.snapshot("convert_to_an_unknown_format", bench.folder.path());
    // Of plain CLIP, `.pth` is a state dict of OpenCLIP.
    let clip = asset("example/random-clip.safetensors");
    zegclip(&["convert", &clip, &bench.text("clip.pth")]).check(0, &[]);
    let inspected = zegclip(&["inspect", &bench.text("clip.pth")]);
    inspected.check(0, &[]);
    for word in ["OpenCLIP", "image encoder, text encoder"] {
        assert!(
            inspected.stdout.contains(word),
            "`{word}` is not in: {}",
            inspected.stdout
        );
    }
}
