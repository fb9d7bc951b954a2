//! Programs that checks need beside cargo: taken from `PATH`, else installed once under `target/tools`.

use std::path::PathBuf;
use std::process::Command;

use crate::root;

/// A program of the crates registry.
pub(crate) struct Tool {
    /// Name of the program.
    pub(crate) program: &'static str,
    /// The crate that has it.
    pub(crate) package: &'static str,
    /// The version that the checks were written for.
    pub(crate) version: &'static str,
}

pub(crate) const CARGO_DENY: Tool = Tool {
    program: "cargo-deny",
    package: "cargo-deny",
    version: "0.20.2",
};
pub(crate) const TYPOS: Tool = Tool {
    program: "typos",
    package: "typos-cli",
    version: "1.52.0",
};

impl Tool {
    /// Runs it at the root of the workspace.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<(), String> {
        crate::run(Command::new(self.find()?).args(arguments))
    }

    fn find(&self) -> Result<PathBuf, String> {
        if self.has_version(&PathBuf::from(self.program)) {
            return Ok(self.program.into());
        }
        let tools = root().join("target/tools");
        let program = tools
            .join("bin")
            .join(format!("{}{}", self.program, std::env::consts::EXE_SUFFIX));
        if !self.has_version(&program) {
            // Unoptimized: compiled in a third of the time, and fast enough for one run.
            let package = format!("{}@{}", self.package, self.version);
            let installed = crate::run(
                Command::new(env!("CARGO"))
                    .args(["install", "--quiet", "--locked", "--debug", "--force", "--root"])
                    .arg(&tools)
                    .arg(&package)
                    .env("CARGO_TARGET_DIR", tools.join("build")),
            );
            installed.map_err(|error| format!("{error}; install it by hand: cargo install {package}"))?;
        }
        Ok(program)
    }

    fn has_version(&self, program: &PathBuf) -> bool {
        let output = Command::new(program).arg("--version").output();
        output.is_ok_and(|output| {
            let text = String::from_utf8_lossy(&output.stdout);
            text.split_whitespace().any(|word| word == self.version)
        })
    }
}
