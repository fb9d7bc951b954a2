//! Training from the command line: a short run, its files, and what users get wrong.

mod program;

use std::path::Path;
use std::process::{Command, Stdio};

use program::data::{Farm, coco, coco_root};
use program::{Outcome, zegclip};
use serde_json::Value;
use zegclip_data::{Vocabulary, published_text_features};

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

#[test]
fn a_run_makes_a_model_that_segments() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("tiny.toml"), CONFIG).expect("the configuration");
    let (config, run) = (path("tiny.toml"), path("run"));
    let set = format!("data.dataset={}", coco());
    let arguments = ["train", &config, "--set", &set, "--output", &run, "--device", "cpu"];
    let outcome = zegclip(&arguments);
    outcome.check(0, &["device: cpu", "iteration 6 saved"]);
    assert!(outcome.stdout.trim().ends_with("model.safetensors"));
    for file in ["config.toml", "metrics.jsonl", "report.html", "model.safetensors"] {
        assert!(folder.path().join("run").join(file).exists(), "{file}");
    }
    let image = program::asset("photos/chelsea.jpg");
    let (model, output) = (path("run/model.safetensors"), path("out"));
    let segment = [
        "segment",
        &image,
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
    zegclip(&arguments).check(2, &["hint: resume it with `--resume "]);
    zegclip(&["train", "--resume", &run, "--device", "cpu"]).check(0, &[]);
}

#[test]
fn what_is_wrong_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("tiny.toml"), CONFIG).expect("the configuration");
    let (config, run) = (path("tiny.toml"), path("run"));
    zegclip(&["train"]).check(2, &["CONFIG"]);
    zegclip(&["train", "no-such.toml", "--output", &run]).check(1, &["no-such.toml"]);
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
    std::fs::create_dir_all(path("emptied/checkpoints")).expect("a folder");
    std::fs::write(path("emptied/config.toml"), "\n").expect("a file");
    for command in ["train", "pretrain"] {
        let resumed = zegclip(&[command, "--resume", &path("emptied"), "--device", "cpu"]);
        resumed.check(1, &["emptied/config.toml` is empty", "hint: "]);
    }
    assert!(
        !folder.path().join("run").exists(),
        "no run directory is made for a run that cannot start"
    );
}

/// A folder with the configuration of a run on three small images.
fn farm_run() -> (Farm, String, String) {
    let farm = Farm::new();
    farm.write("tiny.toml", CONFIG);
    let (config, set) = (farm.text("tiny.toml"), format!("data.dataset={}", farm.toml()));
    (farm, config, set)
}

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn devices_are_named_once_and_share_the_batch() {
    let (farm, config, set) = farm_run();
    let run = farm.text("run");
    let start = |device: &str| zegclip(&["train", &config, "--set", &set, "--output", &run, "--device", device]);
    start("cpu,cpu").check(2, &["cpu is named twice", "hint: name each device once"]);
    start("cpu,gpu").check(2, &["unknown device `gpu`"]);
    start("").check(2, &["unknown device"]);
    let heads = zegclip(&[
        "train",
        &config,
        "--set",
        &set,
        "--set",
        "model.decoder.heads=5",
        "--output",
        &run,
        "--device",
        "cpu",
    ]);
    heads.check(2, &["`model.decoder.heads` = 5: must divide the width 16"]);
    let clip = ["--set", "model.initial=no-such.safetensors"];
    let arguments = [
        &["train", &config, "--set", &set],
        &clip[..],
        &["--output", &run, "--device", "cpu"],
    ]
    .concat();
    zegclip(&arguments).check(1, &["no-such.safetensors"]);
    // The run directory exists only from the first run that can start.
    assert!(!farm.path("run").exists());
    start("cpu").check(0, &["an interrupted run resumes bit-exactly"]);
}

#[test]
fn a_model_remembers_its_setting() {
    let (farm, config, set) = farm_run();
    let short = ["--set", "iterations=1", "--device", "cpu"];
    for setting in ["inductive", "transductive"] {
        let run = farm.text(setting);
        let of_setting = format!("setting={setting}");
        let own = ["train", &config, "--set", &set, "--set", &of_setting, "--output", &run];
        zegclip(&[&own[..], &short].concat()).check(0, &[]);
        let (model, data) = (format!("{run}/model.safetensors"), farm.toml());
        let output = farm.text(&format!("{setting}-scores"));
        let evaluation = [
            "eval",
            "--dataset",
            &data,
            "--weights",
            &model,
            "--output",
            &output,
            "--device",
            "cpu",
        ];
        zegclip(&evaluation).check(0, &[]);
        let page = std::fs::read_to_string(farm.path(&format!("{setting}-scores/evaluation.html"))).expect("the page");
        assert!(page.contains(&format!("<dt>setting</dt><dd>{setting}</dd>")), "{page}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_reports_and_hints_at_resuming() {
    let (farm, config, set) = farm_run();
    let run = farm.text("run");
    let many = ["--set", "iterations=100000", "--set", "run.checkpoint_interval=100000"];
    let start = ["train", &config, "--set", &set, "--output", &run, "--device", "cpu"];
    let outcome = program::interrupted(&[&start[..], &many].concat(), &farm.path("run/metrics.jsonl"));
    let resume = format!("hint: resume with `zegclip train --resume {run} --device cpu`");
    outcome.check(1, &["error: interrupted after iteration", "which is saved", &resume]);
    let report = std::fs::read_to_string(farm.path("run/report.html")).expect("the report");
    // Three images of the only split, each with labels, prediction and errors.
    assert_eq!(report.matches("src=\"data:image/jpeg;base64,").count(), 3 * 4);
    assert!(report.contains("(not finished)") && report.contains("<svg") && report.contains("sheep"));
    assert_eq!(
        std::fs::read_dir(farm.path("run/checkpoints"))
            .expect("a folder")
            .count(),
        1
    );
}

#[cfg(unix)]
#[test]
fn sigterm_saves_and_the_run_resumes_with_values_that_may_change() {
    let (farm, config, set) = farm_run();
    let run = farm.text("run");
    let many = ["--set", "iterations=100000", "--set", "run.checkpoint_interval=100000"];
    let start = ["train", &config, "--set", &set, "--output", &run, "--device", "cpu"];
    let metrics = farm.path("run/metrics.jsonl");
    let outcome = program::signaled("TERM", &[&start[..], &many].concat(), &metrics);
    outcome.check(
        1,
        &[
            "SIGTERM",
            "error: interrupted after iteration",
            "zegclip train --resume",
        ],
    );
    // A resumed run stays what it is, but for what does not change its result.
    let resume = ["train", "--resume", &run, "--device", "cpu"];
    let refused = zegclip(&[&resume[..], &["--set", "optimizer.lr=1.0"]].concat());
    refused.check(2, &["`optimizer.lr`"]);
    zegclip(&[&resume[..], &["--output", &run]].concat()).check(2, &["`--output`"]);
    let lines = || std::fs::read_to_string(&metrics).expect("metrics").lines().count();
    let before = lines();
    let sparse = [&resume[..], &["--set", "run.log_interval=1000000"]].concat();
    let child = Command::new(env!("CARGO_BIN_EXE_zegclip"))
        .args(&sparse)
        .stderr(Stdio::piped())
        .spawn()
        .expect("zegclip starts");
    // While it trains, nothing else does.
    let begun = std::time::Instant::now();
    let recorded = || std::fs::read_to_string(farm.path("run/config.toml")).expect("the configuration");
    while !recorded().contains("log_interval = 1000000") {
        assert!(begun.elapsed().as_secs() < 60, "the value is not recorded");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    zegclip(&resume).check(1, &["is in use by another process"]);
    let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(kill.expect("kill").success());
    let outcome: Outcome = child.wait_with_output().expect("the end").into();
    outcome.check(1, &["error: interrupted after iteration"]);
    assert_eq!(lines(), before);
}

#[test]
fn checkpoints_become_model_files() {
    let (farm, config, set) = farm_run();
    let (run, data) = (farm.text("run"), farm.toml());
    let scored = [
        "--set",
        "run.evaluation_interval=3",
        "--set",
        "run.evaluation_split=val",
    ];
    let start = [
        "train", &config, "--set", &set, "--output", &run, "--device", "cpu", "--json",
    ];
    let outcome = zegclip(&[&start[..], &scored].concat());
    outcome.check(0, &["iteration 3: hIoU"]);
    let result: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!(result["iterations"], 6);
    assert!(
        result["model"]
            .as_str()
            .is_some_and(|path| path.ends_with("model.safetensors"))
    );
    let export = |options: &[&str]| {
        let arguments = ["train", "--resume", &run, "--device", "cpu", "--export"];
        zegclip(&[&arguments[..], options].concat())
    };
    let latest = export(&["latest"]);
    latest.check(0, &[]);
    assert!(bytes(Path::new(latest.stdout.trim())) == bytes(&farm.path("run/model.safetensors")));
    export(&["latest"]).check(2, &["iteration-6.safetensors` already exists", "--output"]);
    export(&["best"]).check(0, &[]);
    let other = farm.text("other.safetensors");
    export(&["half-way", "--output", &other]).check(0, &[]);
    export(&["17"]).check(1, &["there is no checkpoint `", "iteration-00000017"]);
    let scores = farm.text("scores");
    let eval = [
        "eval",
        "--dataset",
        &data,
        "--weights",
        &other,
        "--output",
        &scores,
        "--device",
        "cpu",
    ];
    zegclip(&eval).check(0, &[]);
}

/// The command that the shell runs as `$@`.
fn training(arguments: &[&str]) -> Vec<String> {
    let program = [env!("CARGO_BIN_EXE_zegclip"), "train", "--device", "cpu"];
    program.iter().chain(arguments).map(ToString::to_string).collect()
}

fn shell(script: &str, arguments: &[String]) -> Outcome {
    let output = Command::new("sh")
        .args(["-c", script, "sh"])
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    output.expect("a shell").into()
}

#[cfg(unix)]
#[test]
fn a_file_that_grows_too_large_stops_the_run_with_a_complete_checkpoint() {
    let (farm, config, set) = farm_run();
    let (whole, run) = (farm.text("whole"), farm.text("run"));
    zegclip(&["train", &config, "--set", &set, "--output", &whole, "--device", "cpu"]).check(0, &[]);
    // Every file but the model with its text encoder is small enough.
    let limited = "trap '' XFSZ; ulimit -f 2000; exec \"$@\"";
    let outcome = shell(limited, &training(&[&config, "--set", &set, "--output", &run]));
    let resume = format!("resume with `zegclip train --resume {run} --device cpu`");
    outcome.check(
        1,
        &[
            "error: ",
            "model.safetensors",
            "File too large",
            "the checkpoint of iteration 6 is complete",
            &resume,
        ],
    );
    assert_eq!(outcome.stderr.matches("error: ").count(), 1, "{}", outcome.stderr);
    assert!(!farm.path("run/model.safetensors").exists());
    zegclip(&["train", "--resume", &run, "--device", "cpu"]).check(0, &[]);
    assert!(bytes(&farm.path("run/model.safetensors")) == bytes(&farm.path("whole/model.safetensors")));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_stops_the_run_with_a_complete_checkpoint() {
    let (farm, config, set) = farm_run();
    let (whole, disk, copy) = (farm.text("whole"), farm.text("disk"), farm.text("copy"));
    std::fs::create_dir(&disk).expect("a folder");
    let settings = [
        "--set",
        &set,
        "--set",
        "iterations=8",
        "--set",
        "run.checkpoint_interval=2",
    ];
    let undisturbed = [&[config.as_str()], &settings[..], &["--output", &whole]].concat();
    shell("exec \"$@\"", &training(&undisturbed)).check(0, &[]);
    // Room for the checkpoints of iterations 2 and 4 and the half-way one, not for a further one beside them.
    let folder = farm.path("whole/checkpoints/iteration-00000008");
    let files = std::fs::read_dir(folder).expect("a folder").flatten();
    // In pages of a file system.
    let checkpoint: u64 = files
        .map(|file| file.metadata().expect("a file").len().next_multiple_of(4096))
        .sum();
    let size = format!("{}", checkpoint * 7 / 2 + (16 << 10));
    let run = format!("{disk}/run");
    // A name space of its own needs no right and leaves nothing mounted.
    let script = "size=$1 disk=$2 copy=$3; shift 3; mount -t tmpfs -o size=$size none \"$disk\" || exit 77; \
                  \"$@\"; code=$?; cp -r \"$disk\" \"$copy\"; exit $code";
    let mut arguments: Vec<String> = ["-rm", "sh", "-c", script, "sh", &size, &disk, &copy]
        .map(str::to_owned)
        .to_vec();
    arguments.extend(training(
        &[&[config.as_str()], &settings[..], &["--output", &run]].concat(),
    ));
    let outcome: Outcome = match Command::new("unshare").args(&arguments).stdin(Stdio::null()).output() {
        Ok(output) => output.into(),
        Err(error) => {
            println!("skipped: no `unshare` here ({error})");
            return;
        }
    };
    if outcome.code == Some(77) || outcome.stderr.contains("unshare") {
        println!("skipped: no small disk can be mounted here ({})", outcome.stderr.trim());
        return;
    }
    outcome.check(
        1,
        &[
            "error: cannot write `",
            "No space left on device",
            "the checkpoint of iteration 4 is complete",
        ],
    );
    assert_eq!(outcome.stderr.matches("error: ").count(), 1, "{}", outcome.stderr);
    // On a disk with space the run resumes from there, and its model equals that of the undisturbed run.
    let copied = format!("{copy}/run");
    zegclip(&["train", "--resume", &copied, "--device", "cpu"]).check(0, &["iteration 6 saved"]);
    assert!(bytes(&farm.path("copy/run/model.safetensors")) == bytes(&farm.path("whole/model.safetensors")));
}

/// Frequent classes of the images; grass and trees are unseen in COCO-Stuff's split.
const FREQUENT: [&str; 8] = [
    "person",
    "sky-other",
    "wall-other",
    "pizza",
    "grass",
    "tree",
    "motorcycle",
    "teddy bear",
];

#[test]
fn scores_of_training_images_rise() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let known = Vocabulary::built_in("coco171").expect("a vocabulary");
    let values: Vec<usize> = FREQUENT
        .iter()
        .map(|name| known.find(name).expect(name).index())
        .collect();
    let named: Vec<String> = values
        .iter()
        .zip(FREQUENT)
        .map(|(value, name)| format!("{value} = \"{name}\""))
        .collect();
    let others: Vec<usize> = (0..256).filter(|value| !values.contains(value)).collect();
    let root = coco_root().display().to_string();
    let description = format!(
        "classes = {FREQUENT:?}\nunseen = [\"grass\", \"tree\"]\nlabels = {{ values = {{ {} }}, ignore = {others:?} }}\n\
         [splits.train]\nimages = \"{root}/images/train2017/*.jpg\"\n\
         labels = \"{root}/annotations/train2017/*.png\"\nlabel_suffix = \"_labelTrainIds\"\n",
        named.join(", ")
    );
    std::fs::write(path("frequent.toml"), description).expect("a file");
    let published = published_text_features("coco171").expect("text features");
    let rows = values
        .iter()
        .flat_map(|row| &published.data[row * published.width..(row + 1) * published.width]);
    let rows: Vec<u8> = rows.flat_map(|value| value.to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![8, published.width], &rows);
    let file = safetensors::serialize([("text_features", view.expect("a tensor"))], None).expect("a file");
    std::fs::write(path("features.safetensors"), file).expect("a file");

    let (preset, data, run) = (
        program::asset("training/overfit-small.toml"),
        format!("data.dataset={}", path("frequent.toml")),
        path("run"),
    );
    let mut arguments = vec!["train", &preset, "--set", &data, "--output", &run, "--device", "cpu"];
    for set in [
        "iterations=80",
        "run.evaluation_interval=20",
        "run.evaluation_split=train",
    ] {
        arguments.extend(["--set", set]);
    }
    zegclip(&arguments).check(0, &["iteration 80: hIoU"]);
    let metrics = std::fs::read_to_string(path("run/metrics.jsonl")).expect("metrics");
    let lines: Vec<Value> = metrics
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let all = |pointer: &str| -> Vec<f64> {
        lines
            .iter()
            .filter_map(|line| line.pointer(pointer)?.as_f64())
            .collect()
    };
    let (losses, accuracies, means) = (all("/loss_mask"), all("/scores/pixel_accuracy"), all("/scores/miou"));
    assert!(losses[losses.len() - 1] < 0.5 * losses[0], "{losses:?}");
    let rise = |scores: &[f64]| scores[scores.len() - 1] - scores[0];
    assert!(
        rise(&accuracies) > 3.0 && rise(&means) > 1.0,
        "{accuracies:?} {means:?}"
    );
    let report = std::fs::read_to_string(path("run/report.html")).expect("the report");
    assert!(report.contains("Training images (train)") && report.contains("data:image/jpeg"));

    // The program's own evaluation finds what training found.
    let (weights, features, scores) = (
        path("run/model.safetensors"),
        path("features.safetensors"),
        path("scores"),
    );
    let dataset = path("frequent.toml");
    let mut arguments = vec![
        "eval",
        "--dataset",
        &dataset,
        "--split",
        "train",
        "--weights",
        &weights,
        "--json",
    ];
    arguments.extend([
        "--text-features",
        &features,
        "--setting",
        "full",
        "--output",
        &scores,
        "--device",
        "cpu",
    ]);
    let outcome = zegclip(&arguments);
    outcome.check(0, &[]);
    let scored: Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    for (key, found) in [("pixel_accuracy", accuracies), ("miou", means)] {
        let (eval, train) = (scored[key].as_f64().expect(key), found[found.len() - 1]);
        assert!((eval - train).abs() < 0.01, "{key}: {eval} {train}");
    }
}
