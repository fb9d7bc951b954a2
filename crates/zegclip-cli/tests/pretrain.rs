//! Pre-training from the command line: a short run, its files, and what users get wrong.

mod program;

use std::path::Path;

use program::{asset, zegclip};

/// Few and small batches; both losses.
const SMALL: [&str; 5] = [
    "stages.0.iterations=3",
    "stages.1.iterations=3",
    "loss.patches=0.5",
    "run.log_interval=1",
    "run.evaluation_interval=3",
];

fn pretraining<'a>(config: &'a str, run: &'a str, overrides: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["pretrain", config, "--output", run, "--device", "cpu"];
    for set in SMALL.iter().chain(overrides) {
        arguments.extend(["--set", *set]);
    }
    arguments
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn a_run_makes_a_clip_and_a_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (config, run) = (asset("pretraining/tiny.toml"), path("run"));
    let arguments = pretraining(&config, &run, &[]);
    let outcome = zegclip(&arguments);
    let scores = "iteration 3: known_artists: top-1 ";
    outcome.check(
        0,
        &[
            "device: cpu",
            "resumes bit-exactly",
            "Contrastive loss ",
            "iteration 6 saved in ",
            scores,
            "iteration 6: unknown_artist: ",
        ],
    );
    let model = outcome.stdout.trim();
    assert!(model.ends_with("model.safetensors"), "{model}");
    let inspected = zegclip(&["inspect", model]);
    inspected.check(0, &[]);
    assert!(
        inspected.stdout.contains("image encoder, text encoder"),
        "{}",
        inspected.stdout
    );
    let report = text(&folder.path().join("run/report.html"));
    for part in [
        "<h1>CLIP pre-training</h1><p>Images and captions of scenes, 6 of 6 iterations (finished)",
        "<td>loss of patches</td>",
        "<td>unknown artist, top-5</td>",
        "aria-label=\"Zero-shot classification, top-1\"",
        "</i>known artists</span>",
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
    // A run is never written over, and one that is done has nothing to do.
    zegclip(&arguments).check(2, &["hint: resume it with `--resume "]);
    zegclip(&["pretrain", "--resume", &run, "--device", "cpu"]).check(0, &[]);
}

#[test]
fn what_is_wrong_is_named_and_leaves_no_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = asset("pretraining/tiny.toml");
    let run = folder.path().join("run").display().to_string();
    let started = |overrides: &[&str]| zegclip(&pretraining(&config, &run, overrides));
    zegclip(&["pretrain"]).check(2, &["CONFIG"]);
    zegclip(&["pretrain", "no-such.toml", "--output", &run]).check(1, &["no-such.toml"]);
    started(&["loss.patch=0.5"]).check(2, &["loss.patch", "did you mean `loss.patches`?"]);
    started(&["loss.patches=1.5"]).check(2, &["`loss.patches` = 1.5: must be in [0, 1]"]);
    started(&["data.source=no-such.jsonl"]).check(1, &["no-such.jsonl"]);
    started(&["model.initial=no-such.safetensors"]).check(1, &["no-such.safetensors"]);
    zegclip(&["pretrain", &config, "--output", &run, "--device", "vulkan:99"]).check(1, &["vulkan"]);
    zegclip(&["pretrain", "--resume", &run]).check(1, &["run"]);
    let exported = format!("{run}.safetensors");
    let export = ["pretrain", "--resume", &run, "--export", &exported];
    zegclip(&[&export[..], &["--set", "run.log_interval=5"]].concat()).check(2, &["--set", "cannot be used with"]);
    assert!(!Path::new(&run).exists());
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_reports_and_hints_at_resuming() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = asset("pretraining/tiny.toml");
    let run = folder.path().join("run");
    let run_text = run.display().to_string();
    let arguments = pretraining(&config, &run_text, &["stages.0.iterations=100000"]);
    let outcome = program::interrupted(&arguments, &run.join("metrics.jsonl"));
    let resume = format!("hint: resume with `zegclip pretrain --resume {run_text} --device cpu`");
    outcome.check(1, &["error: interrupted after iteration", "which is saved", &resume]);
    let report = text(&run.join("report.html"));
    assert!(report.contains("(not finished)") && report.contains("<svg"), "{report}");
}
