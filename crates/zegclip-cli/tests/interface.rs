//! What scripts and shells rely on: help, JSON, completions, manual pages, signals.

mod program;

use std::io::Write;
use std::process::Stdio;

use program::data::Farm;
use program::{asset, command, portable, snapshot, zegclip};
use serde_json::Value;

/// The commands, as `zegclip --help` lists them.
const COMMANDS: [&str; 15] = [
    "demo",
    "segment",
    "train",
    "pretrain",
    "eval",
    "score",
    "dataset",
    "scenes",
    "inspect",
    "convert",
    "weights",
    "tokenize",
    "devices",
    "completions",
    "man",
];

fn help(arguments: &[&str]) -> String {
    let outcome = zegclip(&[arguments, &["--help"]].concat());
    outcome.check(0, &[]);
    outcome.stdout
}

#[test]
fn help_lists_every_command() {
    let text = help(&[]);
    let listed = text
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help");
    assert_eq!(listed.collect::<Vec<_>>(), COMMANDS);
    assert!(text.starts_with("Segment images by class names"), "{text}");
    snapshot("help", &text);
}

#[test]
fn help_of_every_command() {
    for name in COMMANDS {
        snapshot(&format!("help_{name}"), &help(&[name]));
    }
    for name in ["check", "show"] {
        snapshot(&format!("help_dataset_{name}"), &help(&["dataset", name]));
    }
}

/// The JSON without what differs from machine to machine: fractions and paths.
fn stable(text: &str, folder: &std::path::Path) -> String {
    fn redact(value: &mut Value) {
        match value {
            Value::Number(number) if number.is_f64() => *value = "[fraction]".into(),
            Value::Array(values) => values.iter_mut().for_each(redact),
            Value::Object(values) => values.values_mut().for_each(redact),
            _ => {}
        }
    }
    let mut value: Value = serde_json::from_str(text).expect("one JSON object");
    redact(&mut value);
    portable(&serde_json::to_string_pretty(&value).expect("JSON"), folder)
}

#[test]
fn json_of_segment() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().display().to_string();
    let (image, weights) = (asset("photos/chelsea.jpg"), asset("example/random-weights.safetensors"));
    let outcome = zegclip(&[
        "segment",
        &image,
        "--classes",
        "cat|kitten, grass",
        "--seen",
        "grass",
        "--weights",
        &weights,
        "--device",
        "cpu",
        "--output",
        &output,
        "--json",
    ]);
    outcome.check(0, &[]);
    snapshot("json_of_segment", &stable(&outcome.stdout, folder.path()));
}

#[test]
fn json_of_eval() {
    let farm = Farm::new();
    let (data, output, weights) = (
        farm.toml(),
        farm.text("out"),
        asset("example/random-weights.safetensors"),
    );
    let outcome = zegclip(&[
        "eval",
        "--dataset",
        &data,
        "--weights",
        &weights,
        "--device",
        "cpu",
        "--output",
        &output,
        "--boundary",
        "--json",
    ]);
    outcome.check(0, &[]);
    snapshot("json_of_eval", &stable(&outcome.stdout, farm.folder.path()));
}

#[test]
fn json_of_inspect() {
    let outcome = zegclip(&["inspect", &asset("example/random-weights.safetensors"), "--json"]);
    outcome.check(0, &[]);
    let folder = tempfile::tempdir().expect("a folder");
    snapshot("json_of_inspect", &stable(&outcome.stdout, folder.path()));
}

#[test]
fn completions_name_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let outcome = zegclip(&["completions", shell]);
        outcome.check(0, &[]);
        for name in COMMANDS {
            assert!(outcome.stdout.contains(name), "{shell}: {name}");
        }
        assert!(outcome.stdout.contains("background-class"), "{shell}");
    }
    zegclip(&["completions", "tcsh"]).check(2, &["bash", "zsh", "fish"]);
}

#[cfg(unix)]
#[test]
fn bash_accepts_its_completions() {
    let script = zegclip(&["completions", "bash"]).stdout;
    let child = std::process::Command::new("bash")
        .arg("-n")
        .stdin(Stdio::piped())
        .spawn();
    let mut child = child.expect("bash starts");
    let mut stdin = child.stdin.take().expect("stdin");
    stdin.write_all(script.as_bytes()).expect("bash reads");
    drop(stdin);
    assert!(child.wait().expect("the end").success());
}

#[test]
fn manual_pages_of_the_program_and_of_every_command() {
    let printed = zegclip(&["man"]);
    printed.check(0, &[]);
    assert!(printed.stdout.contains(".TH zegclip 1"), "{}", printed.stdout);
    for name in COMMANDS {
        assert!(
            printed.stdout.contains(&format!("zegclip\\-{name}(1)")),
            "{name}: {}",
            printed.stdout
        );
    }
    let folder = tempfile::tempdir().expect("a folder");
    let pages = folder.path().join("share/man1");
    let output = pages.display().to_string();
    let written = zegclip(&["man", "--output", &output]);
    written.check(0, &[]);
    assert_eq!(written.stdout.lines().count(), 1 + COMMANDS.len() + 2 + 4);
    let page = |name: &str| std::fs::read_to_string(pages.join(name)).expect(name);
    for name in COMMANDS {
        assert!(page(&format!("zegclip-{name}.1")).contains(".SH SYNOPSIS"), "{name}");
    }
    assert!(page("zegclip.1").contains("zegclip\\-segment(1)"));
    assert!(page("zegclip-dataset-check.1").contains("\\-\\-chart"));
    let refused = zegclip(&["man", "--output", &output]);
    refused.check(2, &["zegclip.1` already exists", "--overwrite"]);
    zegclip(&["man", "--output", &output, "--overwrite"]).check(0, &[]);
}

#[cfg(unix)]
#[test]
fn a_signal_at_any_time_has_a_message() {
    use std::io::{BufRead, BufReader, Read};
    use std::os::unix::process::ExitStatusExt;

    for (signal, number, name) in [("INT", 2, "Ctrl-C"), ("TERM", 15, "SIGTERM")] {
        let child = command()
            .args(["tokenize", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.expect("zegclip starts");
        let mut stdin = child.stdin.take().expect("stdin");
        stdin.write_all(b"cat\n").expect("a line");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout"));
        stdout.read_line(&mut line).expect("a line");
        let kill = std::process::Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status();
        assert!(kill.expect("kill starts").success());
        let status = child.wait().expect("the end");
        assert_eq!(status.signal(), Some(number), "shells see the signal");
        let mut stderr = String::new();
        child
            .stderr
            .take()
            .expect("stderr")
            .read_to_string(&mut stderr)
            .expect("the message");
        assert_eq!(stderr, format!("error: ended by {name}\n"));
    }
}

#[test]
fn the_choice_of_a_device_is_reported_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().display().to_string();
    let (image, weights) = (asset("photos/chelsea.jpg"), asset("example/random-weights.safetensors"));
    let outcome = zegclip(&[
        "segment",
        &image,
        "--classes",
        "cat, grass",
        "--weights",
        &weights,
        "--output",
        &output,
    ]);
    outcome.check(0, &["selected by `auto`"]);
    assert_eq!(outcome.stderr.matches("device: ").count(), 1, "{}", outcome.stderr);
    let on_cpu = outcome.stderr.contains("device: cpu");
    assert_eq!(
        on_cpu,
        outcome.stderr.contains("note: no GPU could be opened"),
        "{}",
        outcome.stderr
    );
}
