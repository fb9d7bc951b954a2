//! The one list of what has to pass before a change lands.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tools::{CARGO_DENY, TYPOS};
use crate::{ablation, cargo, fuzz, sanitizer, target_folder};

/// Seconds of each fuzz target; `cargo xtask fuzz --minutes N` goes on for longer.
const FUZZING: &str = "10";

type Check = fn() -> Result<(), String>;

/// In order: what takes seconds first.
const CHECKS: [(&str, Check); 12] = [
    ("format", || cargo(&["fmt", "--all", "--check"])),
    ("spelling", || TYPOS.run(&[])),
    ("licenses, sources, bans", || {
        CARGO_DENY.run(&["check", "licenses", "bans", "sources"])
    }),
    ("tests", || cargo(&["test", "--release", "--workspace"])),
    ("examples", examples),
    ("lints", || {
        cargo(&[
            "clippy",
            "--release",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ])
    }),
    ("address sanitizer", sanitizer::run),
    ("fuzzing", || fuzz::run(&["--seconds", FUZZING])),
    ("documentation", documentation),
    // A row of the paper's tables after the other, each for two iterations.
    ("ablation", || ablation::run(&["--smoke"])),
    ("features", features),
    ("packages", || {
        cargo(&["package", "--workspace", "--no-verify", "--allow-dirty", "--quiet"])
    }),
];

/// Runs every check, or those named, and stops at the first that fails.
pub(crate) fn run(only: &[&str]) -> Result<(), String> {
    let names: Vec<&str> = CHECKS.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = only.iter().find(|name| !names.contains(name)) {
        return Err(format!(
            "there is no check `{unknown}`; the checks are {}",
            names.join("; ")
        ));
    }
    for (name, check) in CHECKS {
        if only.is_empty() || only.contains(&name) {
            let start = std::time::Instant::now();
            println!("== {name}");
            check().map_err(|error| format!("{name}: {error}"))?;
            println!("== {name}: passed in {} s", start.elapsed().as_secs());
        }
    }
    Ok(())
}

fn documentation() -> Result<(), String> {
    crate::run(
        Command::new(env!("CARGO"))
            .args(["doc", "--release", "--workspace", "--no-deps", "--lib"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

/// An application on the CPU and the program with the other compilers at least type-check; `cuda` needs a download that not
/// every machine can make.
fn features() -> Result<(), String> {
    cargo(&["check", "--release", "--package", "zegclip", "--no-default-features"])?;
    cargo(&[
        "check",
        "--release",
        "--package",
        "zegclip-cli",
        "--no-default-features",
        "--features",
        "native-gpu",
    ])
}

/// The examples that the tests have built.
fn examples() -> Result<(), String> {
    let folder = std::env::temp_dir().join(format!("zegclip-examples-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| format!("cannot create `{}`: {error}", folder.display()))?;
    let result = run_examples(&folder);
    let _ = std::fs::remove_dir_all(&folder);
    result
}

fn run_examples(folder: &Path) -> Result<(), String> {
    let data = folder.join("data");
    crate::run(Command::new(built("examples/segment")).args([
        "assets/example/random-weights.safetensors",
        "assets/photos/chelsea.jpg",
        "cat, grass",
    ]))?;
    let mut scenes = Command::new(built("zegclip"));
    crate::run(scenes.arg("scenes").arg(&data).args(["--count", "4"]))?;
    let mut training = Command::new(built("examples/burn_train"));
    crate::run(training.arg(data.join("dataset.toml")).arg(folder.join("run")).arg("2"))
}

/// A program in the target folder.
fn built(name: &str) -> PathBuf {
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    target_folder().join("release").join(name)
}
