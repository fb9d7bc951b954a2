//! A run that is killed at any moment and resumed writes the bytes of an uninterrupted one.
//!
//! `cargo xtask kill` kills it 20 times. The test has no harness: it starts its own executable as the process to kill.

#![allow(clippy::print_stdout)] // In place of a harness.

#[path = "training/farm.rs"]
#[allow(dead_code)]
mod farm;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use burn::tensor::Device;
use zegclip_train::{RunDirectory, SegmentationTraining, TrainConfig, TrainData};

const CHILD: &str = "ZEGCLIP_TEST_RUN";
/// Number of kills; few by default.
const KILLS: &str = "ZEGCLIP_TEST_KILLS";
const FEW: u32 = 3;
/// Iterations from one evaluation to the next.
const EVALUATION: u64 = 2;
/// Iterations per kill, so that no process finishes before it is killed.
const ITERATIONS: u32 = 50;

fn main() -> ExitCode {
    if let Some(run) = std::env::var_os(CHILD) {
        train(Path::new(&run));
        return ExitCode::SUCCESS;
    }
    if std::env::args().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let wanted = std::env::var(KILLS).map_or(FEW, |kills| kills.parse().expect("a number of kills"));
    let iterations = format!("iterations={}", ITERATIONS * (wanted + 1));
    let farm = farm::Farm::new();
    let start = |name: &str| -> PathBuf {
        let interval = format!("run.evaluation_interval={EVALUATION}");
        let evaluated = [interval.as_str(), "run.evaluation_split=train"];
        let config = farm.config(&[&[iterations.as_str(), "run.checkpoint_interval=1"], &evaluated[..]].concat());
        RunDirectory::create(&farm.path(name), &config).unwrap();
        farm.path(name)
    };
    let undisturbed = start("undisturbed");
    let begun = Instant::now();
    assert!(child(&undisturbed).status().unwrap().success());
    let whole = begun.elapsed();
    let killed = start("killed");
    let run = RunDirectory::open(&killed).unwrap();
    let done = || run.metrics().map_or(0, |lines| lines.len());
    let mut moment = Moment::new();
    let (mut places, mut found) = (Vec::new(), [0; 3]);
    for kill in 0..wanted {
        let mut process = child(&killed).spawn().unwrap();
        // Some iterations later, in any phase: reading, computing, writing. Some are killed during their start.
        let further = (moment.share() * 1.6 * f64::from(ITERATIONS)) as usize;
        let until = done() + if moment.share() < 0.15 { 0 } else { further };
        while done() < until && process.try_wait().unwrap().is_none() {
            std::thread::sleep(whole / 20_000);
        }
        // Then at once, or as soon as it evaluates or writes a checkpoint.
        match kill % 3 {
            0 => std::thread::sleep((whole / 50).mul_f64(moment.share())),
            wait => {
                let begun = Instant::now();
                let seen = || {
                    if wait == 1 {
                        evaluates(&run)
                    } else {
                        writes_a_checkpoint(&killed)
                    }
                };
                while !seen() && begun.elapsed() < whole / 10 {}
            }
        }
        if process.try_wait().unwrap().is_some() {
            break;
        }
        process.kill().unwrap();
        process.wait().unwrap();
        places.push(run.checkpoints().unwrap().last().copied().unwrap_or(0));
        found[0] += 1;
        found[1] += usize::from(evaluates(&run));
        found[2] += usize::from(writes_a_checkpoint(&killed));
    }
    let kills = places.len();
    assert!(
        kills as u32 * 3 >= wanted * 2,
        "{kills} of {wanted} processes could be killed"
    );
    assert!(child(&killed).status().unwrap().success());
    assert!(
        farm::model_bytes(&killed) == farm::model_bytes(&undisturbed),
        "other bytes after {kills} kills, with the state after these iterations: {places:?}"
    );
    for checkpoint in ["half-way", "best"] {
        let bytes = |run: &Path| std::fs::read(run.join("checkpoints").join(checkpoint).join("model.bpk")).unwrap();
        assert!(
            bytes(&killed) == bytes(&undisturbed),
            "another checkpoint `{checkpoint}`"
        );
    }
    println!(
        "test killed_and_resumed_equals_undisturbed ... ok ({kills} kills after iterations {places:?}, {} of them in an evaluation, {} while a checkpoint was written; {whole:?} undisturbed)",
        found[1], found[2]
    );
    ExitCode::SUCCESS
}

/// Whether the newest line is of an iteration with an evaluation that is not logged yet.
fn evaluates(run: &RunDirectory) -> bool {
    let lines = run.metrics().unwrap_or_default();
    lines
        .last()
        .is_some_and(|line| line.iteration.is_multiple_of(EVALUATION) && line.scores.is_none())
}

fn writes_a_checkpoint(run: &Path) -> bool {
    let entries = std::fs::read_dir(run.join("checkpoints"))
        .into_iter()
        .flatten()
        .flatten();
    entries
        .into_iter()
        .any(|entry| entry.file_name().to_string_lossy().starts_with(".zegclip-partial"))
}

/// Moments that are different each time.
struct Moment(std::collections::hash_map::RandomState, u64);

impl Moment {
    fn new() -> Self {
        Self(std::collections::hash_map::RandomState::new(), 0)
    }

    /// Uniform in `[0, 1)`.
    fn share(&mut self) -> f64 {
        use std::hash::BuildHasher;
        self.1 += 1;
        (self.0.hash_one(self.1) >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn child(run: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(CHILD, run);
    command
}

/// Starts or resumes a run.
fn train(run: &Path) {
    let run = RunDirectory::open(run).unwrap();
    let config: TrainConfig = run.config().unwrap();
    let data = TrainData::open(&config).unwrap();
    SegmentationTraining::new(config, data, run, &Device::flex())
        .unwrap()
        .run()
        .unwrap();
}
