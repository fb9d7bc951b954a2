//! Fuzzes targets one after the other, each in a process of its own, and says what was found.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use zegclip_fuzz::{Budget, Crash, Fuzzer, Report, TARGETS, Target, corpus_folder, crashes_folder, find};

const USAGE: &str = "usage: zegclip-fuzz [--target NAME] [--seconds N] [--inputs N] [--seed N] [--grow-corpus] | \
                     zegclip-fuzz reproduce TARGET FILE | zegclip-fuzz list";
/// Process ends of one target after which it is not started again.
const MAX_RESTARTS: u64 = 5;
/// Largest corpus of a target in bytes and in files, and an input in it.
const CORPUS_BYTES: usize = 48 << 10;
const CORPUS_FILES: usize = 60;
const CORPUS_INPUT: usize = 2048;

#[derive(Debug, Clone)]
struct Options {
    target: Option<String>,
    seconds: f64,
    inputs: u64,
    seed: u64,
    grow_corpus: bool,
    /// Set for the process that reads the inputs.
    worker: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["list"] => {
            TARGETS
                .iter()
                .for_each(|target| println!("{:18} {}", target.name, target.about));
            Ok(())
        }
        ["reproduce", target, file] => reproduce(target, Path::new(file)),
        options => parse(options).and_then(|options| {
            if options.worker {
                work(&options)
            } else {
                supervise(&options)
            }
        }),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[&str]) -> Result<Options, String> {
    let mut options = Options {
        target: None,
        seconds: 5.0,
        inputs: u64::MAX,
        seed: 1,
        grow_corpus: false,
        worker: false,
    };
    let mut arguments = arguments.iter();
    while let Some(option) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("`{option}` needs a value; {USAGE}"))
        };
        let number = |text: &str| text.parse().map_err(|_| format!("`{text}` is not a number; {USAGE}"));
        match *option {
            "--target" => options.target = Some(target(value()?)?.name.to_owned()),
            "--seconds" => {
                let seconds = *value()?;
                let parsed = seconds.parse().ok().filter(|seconds| (0.0..1e6).contains(seconds));
                options.seconds = parsed.ok_or_else(|| format!("`{seconds}` is not a number of seconds; {USAGE}"))?;
            }
            "--inputs" => options.inputs = number(value()?)?,
            "--seed" => options.seed = number(value()?)?,
            "--grow-corpus" => options.grow_corpus = true,
            "--worker" => options.worker = true,
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(options)
}

fn target(name: &str) -> Result<&'static Target, String> {
    let names = TARGETS.iter().map(|target| target.name).collect::<Vec<_>>();
    find(name).ok_or_else(|| format!("there is no target `{name}`; the targets are {}", names.join(", ")))
}

/// Runs each target in a process, which is started again after an input that ended it.
fn supervise(options: &Options) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|error| format!("this program is not found: {error}"))?;
    fs::create_dir_all(crashes_folder()).map_err(|error| format!("cannot create the folder of crashes: {error}"))?;
    let mut failed = Vec::new();
    for target in TARGETS
        .iter()
        .filter(|target| options.target.as_ref().is_none_or(|name| name == target.name))
    {
        let end = Instant::now() + Duration::from_secs_f64(options.seconds);
        for restart in 0..=MAX_RESTARTS {
            let seconds = end.saturating_duration_since(Instant::now()).as_secs_f64();
            let mut command = Command::new(&program);
            command.args(["--worker", "--target", target.name]);
            command.args([
                "--seconds",
                &seconds.to_string(),
                "--inputs",
                &options.inputs.to_string(),
            ]);
            command.args(["--seed", &(options.seed + restart).to_string()]);
            command.args(options.grow_corpus.then_some("--grow-corpus"));
            let status = command
                .status()
                .map_err(|error| format!("cannot start a process: {error}"))?;
            if status.success() {
                break;
            }
            failed.push(target.name);
            if status.code() == Some(1) {
                break;
            }
            let input = journaled(&journal(target)).unwrap_or_default();
            let what = if status.code() == Some(124) {
                "a hang".to_owned()
            } else {
                format!("the process ended with {status}")
            };
            tell(target, &Crash { what, input });
        }
        let _ = fs::remove_file(journal(target));
    }
    failed.dedup();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("crashes of {}", failed.join(", ")))
    }
}

fn work(options: &Options) -> Result<(), String> {
    let target = target(options.target.as_deref().unwrap_or_default())?;
    let budget = Budget {
        time: Duration::from_secs_f64(options.seconds),
        inputs: options.inputs,
    };
    let mut fuzzer = Fuzzer::new(target, options.seed)
        .with_journal(&journal(target))
        .map_err(|error| format!("cannot write the journal: {error}"))?;
    Fuzzer::end_hangs();
    let report = fuzzer.run(budget, |crash| tell(target, crash));
    summarize(target, &report);
    if options.grow_corpus {
        grow(target, fuzzer.pool())?;
    }
    if report.crashes.is_empty() {
        Ok(())
    } else {
        Err(format!("{} crashes", report.crashes.len()))
    }
}

fn summarize(target: &Target, report: &Report) {
    let mut line = format!(
        "{:18} {:9} inputs in {:5.1} s, {:4} kept, {} crashes",
        target.name,
        report.inputs,
        report.time.as_secs_f64(),
        report.kept,
        report.crashes.len()
    );
    if report.edges > 0 {
        let _ = write!(line, ", {} edges", report.edges);
    }
    println!("{line}");
}

/// The file with the input that is being read.
fn journal(target: &Target) -> PathBuf {
    crashes_folder().join(format!(".{}", target.name))
}

fn journaled(path: &Path) -> Option<Vec<u8>> {
    let bytes = fs::read(path).ok()?;
    let (length, rest) = bytes.split_first_chunk()?;
    rest.get(..u64::from_le_bytes(*length) as usize).map(<[u8]>::to_vec)
}

/// Stores the input of a crash and prints how it is reproduced.
fn tell(target: &Target, crash: &Crash) {
    let path = crashes_folder().join(format!("{}-{}", target.name, fingerprint(&crash.input)));
    if let Err(error) = fs::write(&path, &crash.input) {
        eprintln!("error: `{}` cannot be written: {error}", path.display());
    }
    println!("CRASH {}: {}", target.name, crash.what);
    println!(
        "  cargo run --release -p zegclip-fuzz -- reproduce {} {}",
        target.name,
        path.display()
    );
}

fn fingerprint(input: &[u8]) -> String {
    let mut checksum = flate2::Crc::new();
    checksum.update(input);
    format!("{:08x}", checksum.sum())
}

/// Reads one input; a crash is shown as it is.
fn reproduce(name: &str, path: &Path) -> Result<(), String> {
    let input = fs::read(path).map_err(|error| format!("`{}`: {error}", path.display()))?;
    let mut fuzzer = Fuzzer::new(target(name)?, 0);
    let start = Instant::now();
    let result = fuzzer.read(&input);
    let (seconds, peak) = (start.elapsed().as_secs_f64(), fuzzer.peak());
    println!("{} bytes, {seconds:.3} s, at most {peak} bytes allocated", input.len());
    result.map(|_| ())
}

/// Adds small inputs that were kept to the corpus, until it is full.
fn grow(target: &Target, pool: &[Vec<u8>]) -> Result<(), String> {
    let folder = corpus_folder(target.name);
    let failed = |error: std::io::Error| format!("`{}`: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(failed)?;
    let (mut total, mut count) = (0, 0);
    for entry in fs::read_dir(&folder).map_err(failed)? {
        total += entry.and_then(|entry| entry.metadata()).map_err(failed)?.len() as usize;
        count += 1;
    }
    // The latest inputs reach the most.
    for input in pool.iter().rev().filter(|input| input.len() <= CORPUS_INPUT) {
        if total + input.len() > CORPUS_BYTES || count >= CORPUS_FILES {
            continue;
        }
        (total, count) = (total + input.len(), count + 1);
        fs::write(folder.join(fingerprint(input)), input).map_err(failed)?;
    }
    Ok(())
}
