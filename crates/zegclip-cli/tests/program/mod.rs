//! Running the program and checking how it ended.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its own part")]

pub mod data;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How a run of the program ended.
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Outcome {
    /// The exit code, words of the message, and no panic.
    pub fn check(&self, code: i32, words: &[&str]) {
        assert_eq!(
            self.code,
            Some(code),
            "stdout: {}\nstderr: {}",
            self.stdout,
            self.stderr
        );
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is not in: {}", self.stderr);
        }
        assert!(
            !self.stderr.contains("panicked") && !self.stderr.contains("RUST_BACKTRACE"),
            "{}",
            self.stderr
        );
        if code != 0 {
            assert!(self.stderr.contains("error"), "{}", self.stderr);
        }
    }

    /// Exit code and message as in the snapshot `name`; `folder` is the test's own.
    #[track_caller]
    pub fn snapshot(&self, name: &str, folder: &Path) {
        let code = self.code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        snapshot(name, &format!("exit code: {code}\n{}", portable(&self.stderr, folder)));
    }
}

/// Compares with `tests/snapshots/NAME.snap`. `INSTA_UPDATE=always` writes it.
#[track_caller]
pub fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// The text without paths and devices of this machine.
pub fn portable(text: &str, folder: &Path) -> String {
    const DEVICES: &str = "use one of: ";
    let repository = test_support::repository();
    let mut text = text.to_owned();
    for (path, name) in [
        (folder, "[FOLDER]"),
        (&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."), "[REPOSITORY]"),
        (&repository, "[REPOSITORY]"),
    ] {
        text = text.replace(&path.display().to_string(), name);
    }
    // EGL prints such lines where no display server runs.
    let lines = text.lines().filter(|line| !line.contains("XDG_RUNTIME_DIR"));
    let lines = lines.map(
        |line| match (line.split_once(DEVICES), line.split_once(" at path \"")) {
            (Some((before, _)), _) => format!("{before}{DEVICES}[DEVICES]"),
            // The name of a temporary file is random.
            (None, Some((before, _))) => before.to_owned(),
            _ => line.to_owned(),
        },
    );
    lines.collect::<Vec<_>>().join("\n")
}

/// The program with an environment that does not depend on the machine.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zegclip"));
    command
        .env("COLUMNS", "100")
        .env_remove("ZEGCLIP_LOG")
        .stdin(Stdio::null());
    command
}

/// Runs the program.
pub fn zegclip(arguments: &[&str]) -> Outcome {
    let output = command().args(arguments).output();
    output.expect("zegclip starts").into()
}

/// Runs the program until `metrics` has three lines, and then interrupts it as Ctrl-C does.
#[cfg(unix)]
pub fn interrupted(arguments: &[&str], metrics: &Path) -> Outcome {
    signaled("INT", arguments, metrics)
}

/// Runs the program until `metrics` has three lines, and then sends it a signal.
#[cfg(unix)]
pub fn signaled(signal: &str, arguments: &[&str], metrics: &Path) -> Outcome {
    let child = Command::new(env!("CARGO_BIN_EXE_zegclip"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("zegclip starts");
    let lines = || std::fs::read_to_string(metrics).map_or(0, |text| text.lines().count());
    let begun = Instant::now();
    while lines() < 3 {
        assert!(begun.elapsed() < Duration::from_secs(120), "no iteration was done");
        std::thread::sleep(Duration::from_millis(20));
    }
    let interrupt = Command::new("kill")
        .args([&format!("-{signal}"), &child.id().to_string()])
        .status();
    assert!(interrupt.expect("kill").success());
    child.wait_with_output().expect("the end").into()
}

/// Runs the program with its stdout going elsewhere.
pub fn zegclip_with_stdout(arguments: &[&str], stdout: std::fs::File) -> Outcome {
    let child = Command::new(env!("CARGO_BIN_EXE_zegclip"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn();
    child
        .expect("zegclip starts")
        .wait_with_output()
        .expect("the end")
        .into()
}

/// A file of the repository's `assets`.
pub fn asset(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets").join(name);
    assert!(path.exists(), "{}", path.display());
    path.display().to_string()
}

/// A zip of stored entries.
pub fn stored_zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    let short = |value: usize| (value as u16).to_le_bytes();
    let long = |value: usize| (value as u32).to_le_bytes();
    for (name, data) in entries {
        let offset = bytes.len();
        let mut shared = Vec::new();
        shared.extend(short(10));
        shared.extend([0; 8]);
        shared.extend(crc32(data).to_le_bytes());
        shared.extend(long(data.len()));
        shared.extend(long(data.len()));
        shared.extend(short(name.len()));
        shared.extend(short(0));
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&shared);
        bytes.extend(name.as_bytes());
        bytes.extend(*data);
        directory.extend(b"PK\x01\x02");
        directory.extend(short(10));
        directory.extend(&shared);
        directory.extend([0; 10]);
        directory.extend(long(offset));
        directory.extend(name.as_bytes());
    }
    let start = bytes.len();
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend(short(entries.len()));
    bytes.extend(short(entries.len()));
    bytes.extend(long(directory.len()));
    bytes.extend(long(start));
    bytes.extend(short(0));
    bytes
}

/// Signature and header of a PNG of 8-bit RGB that ends before its pixels.
pub fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    chunk.extend([8, 2, 0, 0, 0]);
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    bytes.extend(&chunk);
    bytes.extend(crc32(&chunk).to_be_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
