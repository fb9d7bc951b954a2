//! Disks, folders, memory and signals that fail, and processes that meet: each ends with a message or goes on, nothing is lost, no
//! file is half-written, and nothing hangs.

mod program;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use program::data::Farm;
use program::{Outcome, asset, command, zegclip};
use serde_json::Value;

/// Longer than any process here takes on a machine with other work.
const LIMIT: Duration = Duration::from_secs(180);

/// A model so small that an iteration takes milliseconds; random weights.
const TRAINING: &str = r#"
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

/// The outcome of a process that ends in time.
fn outcome(child: Child) -> Outcome {
    let (sender, receiver) = channel();
    let id = child.id();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(LIMIT) else {
        let _ = Command::new("kill").args(["-KILL", &id.to_string()]).status();
        panic!("a process hangs");
    };
    output.expect("the end").into()
}

fn start(command: &mut Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// Runs the program, which must end in time.
fn limited(arguments: &[&str]) -> Outcome {
    outcome(start(command().args(arguments)))
}

/// Runs `script` in a shell, in which `"$@"` is the program with its arguments.
#[cfg(unix)]
fn in_shell(script: &str, arguments: &[&str]) -> Outcome {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh", env!("CARGO_BIN_EXE_zegclip")]);
    outcome(start(shell.args(arguments)))
}

#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status();
    assert!(sent.expect("kill starts").success());
}

fn wait_until(what: &str, mut reached: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < LIMIT, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Names of the files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every file is whole, and no temporary one is left.
fn are_whole(folder: &Path) {
    for path in files(folder) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        assert!(!name.starts_with(".zegclip-"), "{} is left", path.display());
        let bytes = std::fs::read(&path).expect("a file");
        let is_whole = match name.rsplit('.').next() {
            Some("json") => serde_json::from_slice::<Value>(&bytes).is_ok(),
            Some("png") => image::load_from_memory(&bytes).is_ok(),
            Some("html") => bytes.trim_ascii_end().ends_with(b"</html>"),
            Some("safetensors") => safetensors_is_whole(&bytes),
            Some("pth") => bytes.ends_with(&[0, 0]),
            _ => !bytes.is_empty(),
        };
        assert!(is_whole, "{} is half-written", path.display());
    }
}

fn safetensors_is_whole(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return false;
    };
    let length = u64::from_le_bytes(*length) as usize;
    let Some(Ok(Value::Object(header))) = rest.get(..length).map(serde_json::from_slice) else {
        return false;
    };
    let ends = header.values().filter_map(|tensor| tensor["data_offsets"][1].as_u64());
    ends.max() == Some((rest.len() - length) as u64)
}

/// A folder with inputs of every command.
struct Bench {
    farm: Farm,
}

impl Bench {
    fn new() -> Self {
        let farm = Farm::new();
        farm.write("training.toml", TRAINING);
        Self { farm }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.farm.path(name)
    }

    fn text(&self, name: &str) -> String {
        self.farm.text(name)
    }

    /// Copies of an image, in a folder.
    fn images(&self, count: usize) -> String {
        let folder = self.path("images");
        std::fs::create_dir_all(&folder).expect("a folder");
        for index in 0..count {
            std::fs::copy(asset("photos/chelsea.jpg"), folder.join(format!("{index:02}.jpg"))).expect("an image");
        }
        folder.display().to_string()
    }

    /// The arguments of a command that writes to `output`, a folder or for `convert` a file in it.
    fn arguments(&self, command: &str, output: &str) -> Vec<String> {
        let owned = |arguments: &[&str]| arguments.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let dataset = format!("data.dataset={}", self.farm.toml());
        let on_cpu = ["--device", "cpu", "--output", output];
        let own = match command {
            "segment" => owned(&[
                "segment",
                &asset("photos/chelsea.jpg"),
                "--classes",
                "cat, grass",
                "--scores",
            ]),
            "eval" => owned(&["eval", "--dataset", &self.farm.toml(), "--save-labels"]),
            "train" => owned(&["train", &self.text("training.toml"), "--set", &dataset, "--no-tui"]),
            "pretrain" => owned(&[
                "pretrain",
                &asset("pretraining/tiny.toml"),
                "--no-tui",
                "--set",
                "stages.0.iterations=2",
                "--set",
                "stages.1.iterations=1",
                "--set",
                "run.log_interval=1",
            ]),
            _ => {
                let output = format!("{output}/model.safetensors");
                return owned(&["convert", &asset("example/random-weights.safetensors"), &output]);
            }
        };
        own.into_iter().chain(owned(&on_cpu)).collect()
    }

    fn run(&self, command: &str, output: &str) -> Outcome {
        let arguments = self.arguments(command, output);
        limited(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

const WRITING_COMMANDS: [&str; 5] = ["segment", "eval", "convert", "train", "pretrain"];

/// The command that a hint names, which a shell reads.
fn hinted(outcome: &Outcome) -> String {
    let hint = outcome.stderr.lines().find(|line| line.starts_with("hint: "));
    let hint = hint.unwrap_or_else(|| panic!("no hint in: {}", outcome.stderr));
    let command = hint.split('`').find(|text| text.starts_with("zegclip "));
    let command = command.unwrap_or_else(|| panic!("no command in: {hint}"));
    command.strip_prefix("zegclip ").unwrap_or_default().to_owned()
}

/// Runs the rest of a command line as a user would paste it.
#[cfg(unix)]
fn pasted(arguments: &str) -> Outcome {
    let script = format!("exec \"$0\" {arguments}");
    let mut shell = Command::new("sh");
    outcome(start(shell.args(["-c", &script, env!("CARGO_BIN_EXE_zegclip")])))
}

#[cfg(unix)]
#[test]
fn a_full_disk_ends_every_command_with_a_message_and_no_half_file() {
    for name in WRITING_COMMANDS {
        let bench = Bench::new();
        let output = bench.text("out");
        std::fs::create_dir(&output).expect("a folder");
        // As a full disk, but for one process: writing more than 4 KiB to a file fails.
        let script = "trap '' XFSZ; ulimit -f 8; exec \"$@\"";
        let arguments = bench.arguments(name, &output);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let failed = in_shell(script, &arguments);
        failed.check(1, &["error: ", "File too large"]);
        assert_eq!(failed.stderr.matches("error: ").count(), 1, "{name}: {}", failed.stderr);
        for path in files(Path::new(&output)) {
            let length = std::fs::metadata(&path).expect("a file").len();
            assert!(length <= 4096 + 512, "{}", path.display());
        }
        // With space, the same folder takes the results.
        let again = match name {
            "train" | "pretrain" if bench.path("out/config.toml").exists() => {
                limited(&[name, "--resume", &output, "--device", "cpu", "--no-tui"])
            }
            "segment" => limited(&[&arguments[..], &["--skip-existing"]].concat()),
            _ => limited(&arguments),
        };
        again.check(0, &[]);
        are_whole(Path::new(&output));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_only_folder_ends_every_command_with_a_message() {
    for name in WRITING_COMMANDS {
        let bench = Bench::new();
        let output = bench.text("out");
        std::fs::create_dir(&output).expect("a folder");
        // Root may write to any folder that is not mounted read-only.
        let script = "folder=$1; shift; mount -t tmpfs -o ro none \"$folder\" || exit 77; exec \"$@\"";
        let mut unshare = Command::new("unshare");
        unshare.args(["-rm", "sh", "-c", script, "sh", &output, env!("CARGO_BIN_EXE_zegclip")]);
        unshare.args(bench.arguments(name, &output));
        if Command::new("unshare")
            .args(["-rm", "true"])
            .status()
            .map_or(true, |status| !status.success())
        {
            println!("skipped: no name space of its own here");
            return;
        }
        let failed = outcome(start(&mut unshare));
        if failed.code == Some(77) {
            println!("skipped: nothing can be mounted here");
            return;
        }
        failed.check(1, &["error: ", "Read-only file system", "out"]);
        assert_eq!(failed.stderr.matches("error: ").count(), 1, "{name}: {}", failed.stderr);
        assert!(files(Path::new(&output)).is_empty());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_small_memory_limit_ends_with_a_message_and_no_half_file() {
    for name in ["segment", "eval", "convert"] {
        // The program itself is mapped first.
        let program = std::fs::metadata(env!("CARGO_BIN_EXE_zegclip"))
            .expect("the program")
            .len()
            / 1024;
        for kibibytes in [50_000, 150_000, 500_000].map(|more| program + more) {
            let bench = Bench::new();
            let output = bench.text("out");
            std::fs::create_dir(&output).expect("a folder");
            let script = format!("ulimit -v {kibibytes}; exec \"$@\"");
            let arguments = bench.arguments(name, &output);
            let ended = in_shell(&script, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(
                ended.code == Some(0) || !ended.stderr.trim().is_empty(),
                "{name} with {kibibytes} KiB ends with {:?} without a word",
                ended.code
            );
            // An allocation that fails ends the process at once, with temporary files and locks at most.
            for path in files(Path::new(&output)) {
                if path
                    .file_name()
                    .map(|name| name.to_string_lossy())
                    .is_some_and(|name| name.starts_with(".zegclip-") || name.ends_with(".lock"))
                {
                    std::fs::remove_file(path).expect("a file of the process");
                }
            }
            are_whole(Path::new(&output));
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn one_thread_gives_the_same_results() {
    let bench = Bench::new();
    for name in ["segment", "eval", "train"] {
        let (many, one) = (bench.text(&format!("{name}-many")), bench.text(&format!("{name}-one")));
        bench.run(name, &many).check(0, &[]);
        let script = "if command -v taskset >/dev/null; then exec taskset -c 0 \"$@\"; else exec \"$@\"; fi";
        let arguments = bench.arguments(name, &one);
        let mut shell = Command::new("sh");
        shell.env("RAYON_NUM_THREADS", "1");
        shell
            .args(["-c", script, "sh", env!("CARGO_BIN_EXE_zegclip")])
            .args(arguments);
        outcome(start(&mut shell)).check(0, &[]);
        let file = match name {
            "segment" => "chelsea.labels.png",
            "eval" => "evaluation.json",
            _ => "model.safetensors",
        };
        let bytes = |folder: &str| std::fs::read(Path::new(folder).join(file)).expect("a result");
        assert!(bytes(&many) == bytes(&one), "{name}");
    }
}

/// Results of `segment` without its times.
fn segmented(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let results = files(folder).into_iter().map(|path| {
        let mut bytes = std::fs::read(&path).expect("a result");
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".json") {
            let mut report: Value = serde_json::from_slice(&bytes).expect("JSON");
            report["milliseconds"] = Value::Null;
            bytes = report.to_string().into_bytes();
        }
        (name, bytes)
    });
    results.collect()
}

#[cfg(unix)]
#[test]
fn a_signal_leaves_whole_images_and_names_the_command_that_does_the_others() {
    let bench = Bench::new();
    let images = bench.images(30);
    let (whole, output) = (bench.text("whole"), bench.text("out"));
    let arguments = |output: &str| {
        let arguments = [
            "segment",
            &images,
            "--classes",
            "cat, grass",
            "--device",
            "cpu",
            "--output",
            output,
        ];
        arguments.map(str::to_owned).to_vec()
    };
    let run = |arguments: &[String]| limited(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    run(&arguments(&whole)).check(0, &[]);
    for (name, text) in [("TERM", "SIGTERM"), ("INT", "Ctrl-C")] {
        for overwrites in [false, true] {
            let mut begun = arguments(&output);
            if overwrites {
                run(&[&begun[..], &["--overwrite".to_owned()]].concat()).check(0, &[]);
                begun.push("--overwrite".to_owned());
            } else {
                let _ = std::fs::remove_dir_all(&output);
            }
            let earlier = std::time::SystemTime::now();
            let child = start(command().args(&begun));
            let reports = || {
                let files = files(Path::new(&output)).into_iter();
                let new = |path: &PathBuf| {
                    path.metadata()
                        .and_then(|file| file.modified())
                        .is_ok_and(|time| time > earlier)
                };
                files
                    .filter(|path| path.extension().is_some_and(|found| found == "json"))
                    .filter(new)
                    .count()
            };
            wait_until("an image", || reports() > 0);
            signal(&child, name);
            let ended = outcome(child);
            // Shells and schedulers see the signal.
            assert_eq!(ended.code, None, "{}", ended.stderr);
            assert!(
                ended.stderr.contains(&format!("error: ended by {text} after ")),
                "{}",
                ended.stderr
            );
            assert!(
                ended.stderr.contains("of 30 images") && !ended.stderr.contains("panicked"),
                "{}",
                ended.stderr
            );
            assert!((1..30).contains(&reports()), "{} images are done", reports());
            are_whole(Path::new(&output));
            let hint = hinted(&ended);
            assert!(
                hint.contains("--skip-existing") && !hint.contains("--overwrite"),
                "{hint}"
            );
            let done = reports();
            let resumed = pasted(&hint);
            resumed.check(0, &[&format!("note: {done} of 30 images are done")]);
            assert!(segmented(Path::new(&output)) == segmented(Path::new(&whole)));
        }
    }
    let other = [&arguments(&output)[..], &["--skip-existing".to_owned()]].concat();
    let other: Vec<String> = other
        .into_iter()
        .map(|text| text.replace("cat, grass", "cat, sky"))
        .collect();
    run(&other).check(2, &["results of other classes: cat, grass", "hint: "]);
}

#[cfg(unix)]
#[test]
fn a_signal_ends_every_long_command_with_a_message() {
    let bench = Bench::new();
    let endless = [
        (
            vec![
                "scenes".to_owned(),
                bench.text("scenes"),
                "--count".to_owned(),
                "1000000".to_owned(),
            ],
            bench.path("scenes"),
        ),
        (
            ["demo", "--count", "100000", "--output", &bench.text("demo")]
                .map(str::to_owned)
                .to_vec(),
            bench.path("demo/index.html"),
        ),
    ];
    for (arguments, result) in endless {
        let child = start(command().args(&arguments));
        // Whatever it is at, also its start.
        std::thread::sleep(Duration::from_millis(400));
        signal(&child, "TERM");
        let ended = outcome(child);
        assert!(
            ended.code != Some(0) && ended.stderr.contains("error: "),
            "{arguments:?}: {}",
            ended.stderr
        );
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        assert!(!result.exists(), "{arguments:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_second_evaluation_in_a_folder_is_refused() {
    let bench = Bench::new();
    let output = bench.text("out");
    let mut first = command();
    let coco = program::data::coco();
    first.args(["eval", "--dataset", &coco, "--device", "cpu", "--output", &output]);
    first.args(["--weights", &asset("example/random-weights.safetensors"), "--json"]);
    let child = start(&mut first);
    wait_until("the lock", || bench.path("out/evaluation.lock").exists());
    let second = bench.run("eval", &output);
    let first = outcome(child);
    first.check(0, &[]);
    second.check(1, &["is in use by another process", "hint: wait"]);
    let saved: Value =
        serde_json::from_slice(&std::fs::read(bench.path("out/evaluation.json")).expect("a result")).expect("JSON");
    let printed: Value = serde_json::from_str(&first.stdout).expect("JSON");
    assert_eq!(saved, printed);
    assert!(!bench.path("out/evaluation.lock").exists());
    // The folder is refused for what it has, not for a lock.
    bench.run("eval", &output).check(2, &["already exists"]);
}

#[test]
fn processes_that_segment_into_one_folder_do_not_mix_their_files() {
    let bench = Bench::new();
    let images = bench.images(12);
    let lists = ["cat, grass", "sky, road, cat"];
    let arguments = |classes: &str, output: &str| {
        let arguments = [
            "segment",
            &images,
            "--classes",
            classes,
            "--scores",
            "--device",
            "cpu",
            "--output",
            output,
        ];
        arguments.map(str::to_owned).to_vec()
    };
    let alone = ["first", "second"].map(|name| bench.text(name));
    for (classes, output) in lists.iter().zip(&alone) {
        outcome(start(command().args(arguments(classes, output)))).check(0, &[]);
    }
    for overwrites in [false, true] {
        let together = bench.text("together");
        let children = lists.map(|classes| {
            let mut command = command();
            command.args(arguments(classes, &together));
            start(command.args(overwrites.then_some("--overwrite")))
        });
        for child in children {
            let ended = outcome(child);
            // Without `--overwrite`, what one process has written is not replaced by the other.
            let codes: &[i32] = if overwrites { &[0] } else { &[0, 1, 2] };
            assert!(ended.code.is_some_and(|code| codes.contains(&code)), "{}", ended.stderr);
            assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        }
        are_whole(Path::new(&together));
        let alone = [0, 1].map(|index| segmented(Path::new(&alone[index])));
        let together = segmented(Path::new(&together));
        assert_eq!(together.len(), 12 * 4);
        for index in 0..12 {
            let of_image = |results: &[(String, Vec<u8>)]| {
                let name = format!("{index:02}.");
                let files = results.iter().filter(|(file, _)| file.starts_with(&name));
                files.cloned().collect::<Vec<_>>()
            };
            let found = of_image(&together);
            assert!(
                alone.iter().any(|alone| of_image(alone) == found),
                "the files of image {index} are mixed"
            );
        }
    }
}

#[test]
fn of_two_trainings_that_begin_in_one_folder_one_runs() {
    let bench = Bench::new();
    let (alone, together) = (bench.text("alone"), bench.text("together"));
    bench.run("train", &alone).check(0, &[]);
    for _ in 0..3 {
        let children = [0, 1].map(|_| start(command().args(bench.arguments("train", &together))));
        let mut codes: Vec<_> = children.into_iter().map(|child| outcome(child).code).collect();
        codes.sort();
        assert!(codes == [Some(0), Some(1)] || codes == [Some(0), Some(2)], "{codes:?}");
        let model = |run: &str| std::fs::read(Path::new(run).join("model.safetensors")).expect("a model");
        assert!(model(&alone) == model(&together));
        std::fs::remove_dir_all(&together).expect("a folder");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_evaluation_that_overwrites_is_resumed_by_its_hint() {
    let bench = Bench::new();
    let output = bench.text("out");
    let coco = program::data::coco();
    let weights = asset("example/random-weights.safetensors");
    let arguments = [
        "eval",
        "--dataset",
        &coco,
        "--device",
        "cpu",
        "--output",
        &output,
        "--weights",
        &weights,
        "--json",
    ];
    let whole = limited(&arguments);
    whole.check(0, &[]);
    let child = start(command().args(arguments).arg("--overwrite"));
    // From here on, the earlier results are gone.
    wait_until("a new evaluation", || !bench.path("out/evaluation.json").exists());
    signal(&child, "INT");
    let ended = outcome(child);
    if ended.code == Some(0) {
        println!("skipped: it was too fast");
        return;
    }
    ended.check(1, &["error: interrupted"]);
    for ending in ["json", "md", "html", "confusion.json"] {
        assert!(!bench.path(&format!("out/evaluation.{ending}")).exists(), "{ending}");
    }
    let resumed = pasted(&hinted(&ended));
    resumed.check(0, &[]);
    assert_eq!(resumed.stdout, whole.stdout);
}

/// The same mistake has the same exit code in every command.
#[test]
fn exit_codes_are_the_same_in_every_command() {
    let bench = Bench::new();
    bench.farm.write("unknown.toml", "no_such_key = 1\n");
    bench.farm.write("broken.toml", "a = \n");
    bench
        .farm
        .write("vocabulary.toml", "classes = [\"cat\"]\nno_such_key = 1\n");
    let dataset = program::data::FARM.replace("name =", "no_such_key = 1\nname =");
    bench.farm.write("dataset.toml", dataset);
    for name in WRITING_COMMANDS {
        let output = bench.text(name);
        std::fs::create_dir_all(&output).expect("a folder");
        bench.run(name, &output).check(0, &[]);
    }
    let (farm, image, weights) = (
        bench.farm.toml(),
        asset("photos/chelsea.jpg"),
        asset("example/random-weights.safetensors"),
    );
    let (training, unknown, broken) = (
        bench.text("training.toml"),
        bench.text("unknown.toml"),
        bench.text("broken.toml"),
    );
    let (vocabulary, dataset) = (bench.text("vocabulary.toml"), bench.text("dataset.toml"));
    let (run, pretraining, missing, new) = (
        bench.text("train"),
        bench.text("pretrain"),
        bench.text("nowhere"),
        bench.text("new"),
    );
    let tiny = asset("pretraining/tiny.toml");
    let (labels, masks) = (bench.text("eval/labels"), bench.text("masks"));
    let latest = bench.text("latest.safetensors");
    limited(&["train", "--resume", &run, "--export", "latest", "--output", &latest]).check(0, &[]);
    let set = format!("data.dataset={farm}");
    let no_split = ["--set", &set, "--set", "data.split=nowhere"];
    let set_dataset = format!("data.dataset={dataset}");
    let to_pth = bench.text("latest.pth");
    let score = ["score", "--predictions", &labels, "--dataset", &farm, "--output"];
    let (evaluated, demo) = (bench.text("eval"), bench.text("demo-folder"));
    std::fs::create_dir_all(&demo).expect("a folder");
    std::fs::write(Path::new(&demo).join("index.html"), "<html>").expect("a file");
    let existing: Vec<Vec<&str>> = vec![
        vec![
            "segment",
            &image,
            "--classes",
            "cat",
            "--device",
            "cpu",
            "--output",
            "SEGMENT",
        ],
        vec!["eval", "--dataset", &farm, "--device", "cpu", "--output", &evaluated],
        [&score[..], &[evaluated.as_str()]].concat(),
        vec!["convert", &weights, &latest],
        vec!["train", &training, "--set", &set, "--device", "cpu", "--output", &run],
        vec!["pretrain", &tiny, "--device", "cpu", "--output", &pretraining],
        vec!["train", "--resume", &run, "--export", "latest", "--output", &latest],
        vec!["pretrain", "--resume", &pretraining, "--export", &latest],
        vec!["scenes", &evaluated],
        vec!["demo", "--output", &demo],
        vec!["dataset", "show", &farm, &latest],
    ];
    let segmented = bench.text("segment");
    let existing = existing.into_iter().map(|arguments| {
        arguments
            .into_iter()
            .map(|argument| {
                if argument == "SEGMENT" {
                    segmented.as_str()
                } else {
                    argument
                }
            })
            .collect()
    });
    let missing_files: Vec<Vec<&str>> = vec![
        vec![
            "segment",
            &missing,
            "--classes",
            "cat",
            "--device",
            "cpu",
            "--output",
            &new,
        ],
        vec![
            "segment",
            &image,
            "--classes",
            "cat",
            "--weights",
            &missing,
            "--device",
            "cpu",
            "--output",
            &new,
        ],
        vec![
            "segment",
            &image,
            "--classes",
            "cat",
            "--model-config",
            &missing,
            "--device",
            "cpu",
            "--output",
            &new,
        ],
        vec!["eval", &missing],
        vec![
            "eval",
            "--dataset",
            &farm,
            "--weights",
            &missing,
            "--device",
            "cpu",
            "--output",
            &new,
        ],
        vec!["convert", &missing, &to_pth],
        vec!["inspect", &missing],
        vec!["train", &missing, "--device", "cpu", "--output", &new],
        vec!["pretrain", &missing, "--device", "cpu", "--output", &new],
        vec!["train", "--resume", &missing, "--device", "cpu"],
        vec!["pretrain", "--resume", &missing, "--device", "cpu"],
        vec!["train", "--resume", &missing, "--export", "best"],
        vec!["pretrain", "--resume", &missing, "--export", &new],
        vec![
            "score",
            "--predictions",
            &missing,
            "--labels",
            &masks,
            "--vocabulary",
            "voc20",
        ],
        vec!["score", "--merge", &missing],
    ];
    let keys: Vec<Vec<&str>> = vec![
        vec!["eval", &unknown],
        vec!["eval", &broken],
        vec!["train", &unknown, "--device", "cpu", "--output", &new],
        vec!["train", &broken, "--device", "cpu", "--output", &new],
        vec!["pretrain", &unknown, "--device", "cpu", "--output", &new],
        vec![
            "segment",
            &image,
            "--classes",
            "cat",
            "--model-config",
            &unknown,
            "--device",
            "cpu",
            "--output",
            &new,
        ],
        vec![
            "segment",
            &image,
            "--classes",
            "cat",
            "--model-config",
            &broken,
            "--device",
            "cpu",
            "--output",
            &new,
        ],
        vec!["convert", &weights, "new.pth", "--model-config", &unknown],
        vec![
            "segment",
            &image,
            "--vocabulary",
            &vocabulary,
            "--device",
            "cpu",
            "--output",
            &new,
        ],
        vec!["eval", "--dataset", &dataset, "--device", "cpu", "--output", &new],
        vec!["dataset", "check", &dataset],
        vec![
            "train",
            &training,
            "--set",
            &set_dataset,
            "--device",
            "cpu",
            "--output",
            &new,
        ],
        vec!["score", "--predictions", &labels, "--dataset", &dataset],
    ];
    let splits: Vec<Vec<&str>> = vec![
        vec![
            "eval",
            "--dataset",
            &farm,
            "--split",
            "nowhere",
            "--device",
            "cpu",
            "--output",
            &new,
        ],
        vec![
            "score",
            "--predictions",
            &labels,
            "--dataset",
            &farm,
            "--split",
            "nowhere",
        ],
        vec!["dataset", "check", &farm, "--split", "nowhere"],
        [
            &["train", &training, "--device", "cpu", "--output", &new],
            &no_split[..],
        ]
        .concat(),
    ];
    let arguments: Vec<Vec<&str>> = vec![
        vec!["train", "--export", "best"],
        vec!["train", "--resume", &run, "--export", "latest", "--output", &to_pth],
        vec!["pretrain", "--resume", &pretraining, "--export", &to_pth],
        vec!["convert", &weights, &new],
        vec!["train", "--resume", &pretraining, "--device", "cpu"],
        vec!["pretrain", "--resume", &run, "--device", "cpu"],
        vec!["train", "--resume", &pretraining, "--export", "best"],
        vec!["segment", &image],
        vec!["score"],
        vec!["score", "--predictions", &labels],
        vec!["eval"],
    ];
    let check = |what: &str, code: i32, cases: Vec<Vec<&str>>| {
        for arguments in cases {
            let ended = limited(&arguments);
            assert_eq!(ended.code, Some(code), "{what}: {arguments:?}: {}", ended.stderr);
            assert!(
                ended.stderr.contains("error: ") && !ended.stderr.contains("panicked"),
                "{}",
                ended.stderr
            );
            assert!(
                !Path::new(&new).exists() || files(Path::new(&new)).is_empty(),
                "{what}: {arguments:?}"
            );
        }
    };
    check("output that exists", 2, existing.collect());
    check("a missing file", 1, missing_files);
    check("a key or TOML that cannot be meant", 2, keys);
    check("an unknown split", 2, splits);
    check("arguments", 2, arguments);
    #[cfg(not(feature = "cuda"))]
    check(
        "a device that was not built",
        1,
        vec![
            vec![
                "segment",
                &image,
                "--classes",
                "cat",
                "--device",
                "cuda",
                "--output",
                &new,
            ],
            vec!["eval", "--dataset", &farm, "--device", "cuda", "--output", &new],
            vec!["train", &training, "--set", &set, "--device", "cuda", "--output", &new],
            vec!["pretrain", &tiny, "--device", "cuda", "--output", &new],
            vec!["demo", "--device", "cuda", "--output", &new],
        ],
    );
}

#[test]
fn a_run_of_the_other_command_is_named() {
    let bench = Bench::new();
    for (name, other) in [("train", "pretrain"), ("pretrain", "train")] {
        let run = bench.text(name);
        bench.run(name, &run).check(0, &[]);
        let refused = limited(&[other, "--resume", &run, "--device", "cpu"]);
        refused.check(
            2,
            &[
                &format!("is a run of `zegclip {name}`"),
                &format!("zegclip {name} --resume "),
            ],
        );
    }
}

#[test]
fn an_export_needs_neither_device_nor_data_set() {
    let bench = Bench::new();
    let run = bench.text("run");
    bench.run("train", &run).check(0, &[]);
    for name in ["farm.toml", "val.txt"] {
        std::fs::remove_file(bench.path(name)).expect("a file");
    }
    let exported = bench.text("exported.safetensors");
    let export = [
        "train",
        "--resume",
        &run,
        "--device",
        "vulkan:99",
        "--export",
        "latest",
        "--output",
        &exported,
    ];
    limited(&export).check(0, &[]);
    let model = |path: &Path| std::fs::read(path).expect("a model");
    assert!(model(&bench.path("exported.safetensors")) == model(&bench.path("run/model.safetensors")));
}

#[test]
fn a_missing_shard_is_named() {
    let bench = Bench::new();
    for shard in ["1/3", "3/3"] {
        let output = bench.text("shards");
        let arguments = [
            "eval",
            "--dataset",
            &bench.farm.toml(),
            "--device",
            "cpu",
            "--output",
            &output,
            "--shard",
            shard,
        ];
        limited(&arguments).check(0, &[]);
    }
    let files = [1, 3].map(|number| bench.text(&format!("shards/evaluation.shard-{number}-of-3.confusion.json")));
    let output = bench.text("merged");
    let merged = limited(&["score", "--merge", &files[0], &files[1], "--output", &output]);
    merged.check(0, &["warning: ", "shard 2/3 is missing"]);
    let text = std::fs::read_to_string(bench.path("merged/evaluation.md")).expect("the table");
    assert!(text.contains("- shards: 2, without 2/3\n"), "{text}");
}

#[test]
fn hidden_options_are_not_completed() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = zegclip(&["completions", shell]).stdout;
        assert!(script.contains("background-class"), "{shell}");
        let words = script.split(|letter: char| !letter.is_alphanumeric() && letter != '-' && letter != '_');
        let hidden: Vec<&str> = words.filter(|word| word.trim_matches('-') == "background").collect();
        assert!(hidden.is_empty(), "{shell}: {hidden:?}");
    }
}

#[test]
fn long_lists_of_a_configuration_are_printed_as_their_length() {
    let bench = Bench::new();
    let run = bench.text("run");
    // `compact_tokens` keeps the tokens of the captions, hundreds of them.
    bench.run("pretrain", &run).check(0, &[]);
    let model = bench.text("run/model.safetensors");
    let text = zegclip(&["inspect", &model]).stdout;
    let longest = text.lines().map(str::len).max().unwrap_or(0);
    assert!(text.contains("values") && longest < 400, "{text}");
    let json: Value = serde_json::from_str(&zegclip(&["inspect", &model, "--json"]).stdout).expect("JSON");
    assert!(
        json["meta"]["text"].as_str().is_some_and(|text| text.len() > 400),
        "{json}"
    );
}
