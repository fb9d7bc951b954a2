//! A run that is killed at any moment and resumed ends in the bytes of an undisturbed one.
//!
//! Without a test harness: the test starts its own executable to have a process to kill.

#![allow(clippy::print_stdout)] // In place of a harness.

#[path = "training/farm.rs"]
#[allow(dead_code)]
mod farm;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use burn::tensor::Device;
use zegclip_train::{RunDirectory, Step, TrainConfig, TrainData, Trainer};

const CHILD: &str = "ZEGCLIP_TEST_RUN";
const KILLS: u32 = 3;
const OVERRIDES: &[&str] = &["iterations=150", "run.checkpoint_interval=1"];

fn main() -> ExitCode {
    if let Some(run) = std::env::var_os(CHILD) {
        train(Path::new(&run));
        return ExitCode::SUCCESS;
    }
    if std::env::args().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let farm = farm::Farm::new();
    let start = |name: &str| -> PathBuf {
        RunDirectory::create(&farm.path(name), &farm.config(OVERRIDES)).unwrap();
        farm.path(name)
    };
    let undisturbed = start("undisturbed");
    let begun = Instant::now();
    assert!(child(&undisturbed).status().unwrap().success());
    let whole = begun.elapsed();
    let killed = start("killed");
    let mut kills = 0;
    for kill in 1..=KILLS {
        let mut process = child(&killed).spawn().unwrap();
        // Each process goes on where the one before was killed, so that these times add up to less than a whole run.
        std::thread::sleep(whole / (KILLS + 1) + Duration::from_millis(u64::from(kill) * 7));
        kills += u32::from(process.try_wait().unwrap().is_none());
        process.kill().unwrap();
        process.wait().unwrap();
    }
    assert!(kills > 0, "every process was done before it could be killed");
    assert!(child(&killed).status().unwrap().success());
    assert!(
        farm::model_bytes(&killed) == farm::model_bytes(&undisturbed),
        "other bytes after {kills} kills"
    );
    println!("test killed_and_resumed_equals_undisturbed ... ok ({kills} kills, {whole:?} undisturbed)");
    ExitCode::SUCCESS
}

fn child(run: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(CHILD, run);
    command
}

/// Begins a run or goes on with it.
fn train(run: &Path) {
    let run = RunDirectory::open(run).unwrap();
    let config: TrainConfig = run.config().unwrap();
    let data = TrainData::open(&config).unwrap();
    Trainer::new(config, data, run, &Device::flex())
        .unwrap()
        .run(&mut |_: &Step| ())
        .unwrap();
}
