//! `cargo xtask fuzz`: the targets of `fuzz/`, built with counters of branches.

use std::process::Command;

use crate::{root, target_folder};

pub(crate) const USAGE: &str = "cargo xtask fuzz [--minutes N] [--target T] [--seed N] [--grow-corpus] [--sanitize]";

/// What LLVM adds to each branch, without any unstable option of the compiler.
const COUNTERS: [&str; 4] = [
    "--cfg=zegclip_coverage",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=3",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
];
/// Seconds of each target unless `--minutes` says otherwise.
const SECONDS: f64 = 20.0;

/// Builds the fuzzer and runs it: each target for 20 seconds, or all together for `--minutes`.
pub(crate) fn run(options: &[&str]) -> Result<(), String> {
    let (mut minutes, mut target, mut passed, mut sanitize) = (None, None, Vec::new(), false);
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
    let seconds = minutes.map_or(SECONDS, |minutes: f64| minutes * 60.0 / shares as f64);
    let seconds = seconds.to_string();
    passed.extend(["--seconds", &seconds]);
    passed.extend(target.into_iter().flat_map(|target| ["--target", target]));
    crate::run(Command::new(&program).args(&passed))
}

/// The path of the program after building it; with the address sanitizer where a nightly compiler is installed.
fn build(sanitize: bool) -> Result<std::path::PathBuf, String> {
    let host = host()?;
    let nightly = sanitize && has_nightly();
    if sanitize && !nightly {
        println!(
            "no nightly compiler is installed (`rustup toolchain install nightly`): fuzzing without the address sanitizer"
        );
    }
    let mut flags = COUNTERS.to_vec();
    let mut command = if nightly {
        flags.push("-Zsanitizer=address");
        let mut command = Command::new("cargo");
        // The toolchain of this program must not be passed on.
        command
            .env("RUSTUP_TOOLCHAIN", "nightly")
            .env_remove("RUSTC")
            .env_remove("CARGO");
        command
    } else {
        Command::new(env!("CARGO"))
    };
    let target = target_folder();
    // Another compiler would replace what the stable one built.
    let target = if nightly { target.join("sanitize") } else { target };
    let arguments = [
        "build",
        "--profile",
        "fuzz",
        "--package",
        "zegclip-fuzz",
        "--target",
        &host,
    ];
    // With `--target`, the flags are not those of build scripts, which have no counters' callback.
    command
        .args(arguments)
        .arg("--target-dir")
        .arg(&target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env_remove("RUSTFLAGS");
    crate::run(&mut command)?;
    let name = format!("zegclip-fuzz{}", std::env::consts::EXE_SUFFIX);
    Ok(target.join(host).join("fuzz").join(name))
}

fn host() -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").output();
    let output = output.map_err(|error| format!("cannot start rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| "rustc does not name its host".to_owned())
}

fn has_nightly() -> bool {
    let version = Command::new("rustc")
        .arg("+nightly")
        .arg("-V")
        .env_remove("RUSTUP_TOOLCHAIN")
        .output();
    version.is_ok_and(|output| output.status.success())
}
