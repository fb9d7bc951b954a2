//! Training from the command line: a short run, its files, and what users get wrong.

mod program;

use std::path::{Path, PathBuf};

use program::zegclip;

/// A model so small that an iteration takes milliseconds; random weights.
const CONFIG: &str = r#"
seed = 5
iterations = 6
batch_size = 2
[model]
image_size = 32
stride = 26
[model.prompts]
count = 2
blocks = 1
[model.decoder]
layers = 2
heads = 2
ffn_ratio = 2
[model.untrained_clip]
embed_dim = 16
vision = { patch_size = 8, width = 32, layers = 2, heads = 2, position_grid = 4 }
text = { width = 16, layers = 1, heads = 2, context_length = 16, vocabulary_size = 49408 }
[data.pipeline]
crop_size = 32
scale = [96, 40]
[schedule]
warmup = 2
[run]
log_interval = 1
checkpoint_interval = 3
"#;

fn data() -> String {
    let root = std::env::var_os("ZEGCLIP_FIXTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures"),
        PathBuf::from,
    );
    let folder = root.join("../data/coco-mini");
    assert!(folder.is_dir(), "{}", folder.display());
    format!("data.dataset=coco-stuff={}", folder.display())
}

#[test]
fn a_run_makes_a_model_that_segments() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("tiny.toml"), CONFIG).expect("the configuration");
    let (config, run) = (path("tiny.toml"), path("run"));
    let set = data();
    let arguments = ["train", &config, "--set", &set, "--output", &run, "--device", "cpu"];
    let outcome = zegclip(&arguments);
    outcome.check(0, &["device: cpu", "iteration 6 saved"]);
    assert!(outcome.stdout.trim().ends_with("model.safetensors"));
    for file in ["config.toml", "metrics.jsonl", "report.html", "model.safetensors"] {
        assert!(folder.path().join("run").join(file).exists(), "{file}");
    }
    let photo = program::asset("photos/chelsea.jpg");
    let (model, output) = (path("run/model.safetensors"), path("out"));
    let segment = [
        "segment",
        &photo,
        "--classes",
        "cat, grass",
        "--weights",
        &model,
        "--output",
        &output,
        "--device",
        "cpu",
    ];
    zegclip(&segment).check(0, &[]);
    // A run is never written over.
    zegclip(&arguments).check(1, &["holds a run already", "--resume"]);
    zegclip(&["train", "--resume", &run, "--device", "cpu"]).check(0, &[]);
}

#[test]
fn what_is_wrong_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("tiny.toml"), CONFIG).expect("the configuration");
    let (config, run) = (path("tiny.toml"), path("run"));
    zegclip(&["train"]).check(2, &["CONFIG"]);
    zegclip(&["train", "no-such.toml", "--output", &run]).check(2, &["no-such.toml"]);
    zegclip(&["train", &config, "--set", "model.promts.count=3", "--output", &run]).check(2, &["promts", "prompts"]);
    zegclip(&[
        "train",
        &config,
        "--set",
        "data.dataset=voc2012=nowhere",
        "--output",
        &run,
    ])
    .check(1, &["nowhere"]);
    zegclip(&["train", "--resume", &path("no-run")]).check(1, &["no-run"]);
    assert!(
        !folder.path().join("run").exists(),
        "no run directory is made for a run that cannot start"
    );
}
