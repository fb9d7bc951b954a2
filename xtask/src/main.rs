//! `cargo xtask ci [CHECK…]`: everything that has to pass, or some of it. `cargo xtask kill`: commands that are killed
//! at random moments.
//! `cargo xtask bench`: this project beside its peers, into `BENCHMARKS.md`. `cargo xtask ablation`: the paper's claims, re-run
//! on composed scenes. `cargo xtask fuzz`: inputs that are damaged at random, for every parser. `cargo xtask sanitize`: the unsafe
//! code under the address sanitizer.

#![forbid(unsafe_code)]

mod ablation;
mod bench;
mod checks;
mod fuzz;
mod kill;
mod sanitizer;
#[cfg(test)]
mod tidy;
mod tools;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["ci", only @ ..] => checks::run(only),
        ["kill", options @ ..] => kill::run(options),
        ["sanitize"] => sanitizer::run(),
        ["fuzz", options @ ..] => fuzz::run(options),
        ["ablation", options @ ..] => ablation::run(options),
        ["bench", options @ ..] => bench::run(options),
        _ => Err(format!(
            "usage: cargo xtask ci [CHECK…] | cargo xtask sanitize | cargo xtask bench [--peers FOLDER] [--python FILE] [--runs N] \
             [--rounds N] [--only TITLE] | {} | {} | {}",
            kill::USAGE,
            fuzz::USAGE,
            ablation::USAGE
        )),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Runs cargo at the root of the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Result<(), String> {
    run(Command::new(env!("CARGO")).args(arguments))
}

/// Runs a command at the root of the workspace, after showing it; its output is passed on.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let program = Path::new(command.get_program()).file_stem().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    let words: Vec<_> = words.map(std::ffi::OsStr::to_string_lossy).collect();
    let shown = words.join(" ");
    println!("{shown}");
    match command.current_dir(root()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{shown}` ended with {status}")),
        Err(error) => Err(format!("cannot start `{shown}`: {error}")),
    }
}

/// Root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
        .to_owned()
}

/// Where cargo, which runs at the root of the workspace, puts what it builds.
pub(crate) fn target_folder() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}
