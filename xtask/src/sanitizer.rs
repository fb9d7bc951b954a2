//! The address sanitizer on the stable toolchain: `cargo xtask sanitize`, and `cargo xtask fuzz --sanitize`.

use std::path::PathBuf;
use std::process::Command;

use crate::target_folder;

/// What is run under the address sanitizer: the kernels for the CPU and the readers of weight files, whose memory map is the only
/// other `unsafe` code.
const PACKAGES: [&str; 2] = ["zegclip-sanitize", "zegclip-weights"];
/// Systems for which the toolchain has the sanitizer's library.
const HOSTS: [&str; 4] = [
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
];
const FLAG: &str = "-Zsanitizer=address";

/// Runs the tests of [`PACKAGES`] with the address sanitizer.
pub(crate) fn run() -> Result<(), String> {
    let Some(build) = Build::new()? else {
        println!("the toolchain has no address sanitizer for this system");
        return Ok(());
    };
    for package in PACKAGES {
        let mut command = Command::new(env!("CARGO"));
        command.args(["test", "--profile", "fuzz", "--lib", "--package", package]);
        build.configure(&mut command, &[]);
        crate::run(&mut command)?;
    }
    Ok(())
}

/// A build in a target folder of its own, whose flags would otherwise compile everything else again.
pub(crate) struct Build {
    host: String,
}

impl Build {
    /// `None` where the toolchain has no address sanitizer.
    pub(crate) fn new() -> Result<Option<Self>, String> {
        let host = host()?;
        Ok(HOSTS.contains(&host.as_str()).then_some(Self { host }))
    }

    pub(crate) fn target(&self) -> PathBuf {
        target_folder().join("sanitize")
    }

    /// Target, flags and environment of a cargo command.
    pub(crate) fn configure(&self, command: &mut Command, flags: &[&str]) {
        let flags: Vec<&str> = flags.iter().copied().chain([FLAG]).collect();
        // With `--target`, the flags are not those of build scripts and procedural macros.
        command
            .args(["--target", &self.host])
            .arg("--target-dir")
            .arg(self.target());
        command
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
            .env_remove("RUSTFLAGS")
            // The option is not stable, its library is a part of the stable toolchain all the same.
            .env("RUSTC_BOOTSTRAP", "1");
    }
}

/// The system that rustc compiles for.
pub(crate) fn host() -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").output();
    let output = output.map_err(|error| format!("cannot start rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| "rustc does not name its host".to_owned())
}
