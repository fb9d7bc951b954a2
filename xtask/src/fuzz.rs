//! `cargo xtask fuzz`: the targets of `fuzz/`, built with counters of branches.

use std::path::PathBuf;
use std::process::Command;

use crate::{root, sanitizer, target_folder};

pub(crate) const USAGE: &str =
    "cargo xtask fuzz [--minutes N | --seconds N] [--target T] [--seed N] [--grow-corpus] [--sanitize]";

/// What LLVM adds to each branch, without any unstable option of the compiler.
const COUNTERS: [&str; 4] = [
    "--cfg=zegclip_coverage",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=3",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
];
/// Seconds of each target unless `--minutes` says otherwise.
const SECONDS: f64 = 20.0;

/// Builds the fuzzer and runs it: each target for 20 seconds or for `--seconds`, or all together for `--minutes`.
pub(crate) fn run(options: &[&str]) -> Result<(), String> {
    let (mut minutes, mut each, mut target, mut passed, mut sanitize) = (None, None, None, Vec::new(), false);
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let mut value = || {
            options
                .next()
                .copied()
                .ok_or_else(|| format!("`{option}` needs a value; {USAGE}"))
        };
        match *option {
            "--minutes" => {
                let text = value()?;
                let number = text.parse::<f64>().ok().filter(|minutes| (0.0..1e5).contains(minutes));
                minutes = Some(number.ok_or_else(|| format!("`{text}` is not a number of minutes"))?);
            }
            "--seconds" => {
                let text = value()?;
                let number = text.parse::<f64>().ok().filter(|seconds| (0.0..1e6).contains(seconds));
                each = Some(number.ok_or_else(|| format!("`{text}` is not a number of seconds"))?);
            }
            "--target" => target = Some(value()?),
            "--seed" => passed.extend(["--seed", value()?]),
            "--grow-corpus" => passed.push("--grow-corpus"),
            "--sanitize" => sanitize = true,
            _ => return Err(format!("usage: {USAGE}")),
        }
    }
    let program = build(sanitize)?;
    let run = |arguments: &[&str]| {
        let output = Command::new(&program).args(arguments).current_dir(root()).output();
        output.map_err(|error| format!("cannot start `{}`: {error}", program.display()))
    };
    let targets = String::from_utf8_lossy(&run(&["list"])?.stdout).lines().count();
    let shares = if target.is_some() { 1 } else { targets.max(1) };
    let shared = minutes.map(|minutes: f64| minutes * 60.0 / shares as f64);
    let seconds = each.or(shared).unwrap_or(SECONDS);
    let seconds = seconds.to_string();
    passed.extend(["--seconds", &seconds]);
    passed.extend(target.into_iter().flat_map(|target| ["--target", target]));
    crate::run(Command::new(&program).args(&passed))
}

/// The path of the program after building it.
fn build(sanitize: bool) -> Result<PathBuf, String> {
    let sanitizer = if sanitize { sanitizer::Build::new()? } else { None };
    if sanitize && sanitizer.is_none() {
        println!("the toolchain has no address sanitizer for this system: fuzzing without it");
    }
    let host = sanitizer::host()?;
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--profile", "fuzz", "--package", "zegclip-fuzz"]);
    let target = match &sanitizer {
        Some(build) => {
            build.configure(&mut command, &COUNTERS);
            build.target()
        }
        None => {
            // With `--target`, the flags are not those of build scripts, which have no counters' callback.
            command.args(["--target", &host]);
            command
                .env("CARGO_ENCODED_RUSTFLAGS", COUNTERS.join("\u{1f}"))
                .env_remove("RUSTFLAGS");
            target_folder()
        }
    };
    crate::run(&mut command)?;
    let name = format!("zegclip-fuzz{}", std::env::consts::EXE_SUFFIX);
    Ok(target.join(host).join("fuzz").join(name))
}
