//! `cargo xtask kill`: commands of the program are killed at random moments; afterwards every file is whole, nothing is lost, and
//! the command goes on to the results of an undisturbed run.

mod bench;
mod files;
mod subject;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use zegclip_foundation::RandomStream;

use crate::{cargo, target_folder};
use bench::Bench;
use subject::{Phase, Subject};

pub(crate) const USAGE: &str = "cargo xtask kill [--kills N] [--seed S] [--command NAME] [--program FILE]";

/// Kills of all commands together.
const KILLS: u32 = 100;
/// Processes of one output folder that are killed at most, one after the other.
const KILLS_IN_A_ROW: u64 = 4;
/// Processes that may end before they are killed, for each one that is killed.
const MISSES: u32 = 5;
/// The exit code of a command whose output exists.
const EXISTS: i32 = 2;
/// A process that takes longer than this many undisturbed ones hangs.
const HANG: u32 = 20;
/// Allowed on top, for machines with other work.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two looks at the folder of a process.
const LOOK: Duration = Duration::from_micros(100);

/// What became of the kills of a command.
#[derive(Debug, Default)]
struct Tally {
    kills: u32,
    phases: [u32; 3],
    /// Outputs that were completed after kills and compared.
    compared: u32,
    undisturbed: Duration,
    total: Duration,
}

/// Kills `--kills` processes in all and prints a table.
pub(crate) fn run(options: &[&str]) -> Result<(), String> {
    let (mut kills, mut seed, mut only, mut program) = (KILLS, 1, None, None);
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let value = options.next().ok_or_else(|| format!("usage: {USAGE}"))?;
        let number = || {
            value
                .parse::<u32>()
                .map_err(|_| format!("`{option} {value}` is not a number"))
        };
        match *option {
            "--kills" => kills = number()?,
            "--seed" => seed = number()?,
            "--program" => program = Some(PathBuf::from(value)),
            "--command" => {
                let known = Subject::ALL.iter().find(|subject| subject.name() == *value);
                only = Some(*known.ok_or_else(|| format!("`{value}` is none of the commands that are killed"))?);
            }
            _ => return Err(format!("usage: {USAGE}")),
        }
    }
    let program = match program {
        Some(program) => program,
        None => {
            cargo(&["build", "--release", "--workspace", "--bin", "zegclip"])?;
            let name = format!("zegclip{}", std::env::consts::EXE_SUFFIX);
            target_folder().join("release").join(name)
        }
    };
    let subjects: Vec<Subject> = only.map_or_else(|| Subject::ALL.to_vec(), |subject| vec![subject]);
    let bench = Bench::new(&program)?;
    println!("seed {seed}, {kills} kills\n");
    println!(
        "| command | kills | before the first file | between files | while a file was written | compared | undisturbed | in all |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut total = 0;
    for (index, subject) in subjects.iter().enumerate() {
        // What does not divide equally is for the first ones.
        let share = kills / subjects.len() as u32 + u32::from((index as u32) < kills % subjects.len() as u32);
        let random = RandomStream::from_key([u64::from(seed), subject.name().len() as u64, index as u64]);
        let tally = Killer {
            bench: &bench,
            subject: *subject,
            random,
        }
        .kill(share)
        .map_err(|error| {
            format!(
                "{}: {error} (seed {seed}; the files are in `{}`)",
                subject.name(),
                bench.keep()
            )
        })?;
        let [before, between, writing] = tally.phases;
        println!(
            "| `{}` | {} | {before} | {between} | {writing} | {} | {:.2} s | {:.0} s |",
            subject.name(),
            tally.kills,
            tally.compared,
            tally.undisturbed.as_secs_f64(),
            tally.total.as_secs_f64()
        );
        total += tally.kills;
    }
    println!("\n{total} kills: every file whole, nothing lost, results as those of undisturbed runs");
    Ok(())
}

struct Killer<'a> {
    bench: &'a Bench,
    subject: Subject,
    random: RandomStream,
}

impl Killer<'_> {
    fn kill(mut self, wanted: u32) -> Result<Tally, String> {
        let begun = Instant::now();
        let reference = self.bench.output(self.subject, "undisturbed");
        self.to_the_end(&self.subject.first(self.bench, &reference), PATIENCE * 5, 0)?;
        let mut tally = Tally {
            undisturbed: begun.elapsed(),
            ..Tally::default()
        };
        let expected = files::results(self.subject, &reference)?;
        let limit = tally.undisturbed * HANG + PATIENCE;
        let mut missed = 0;
        let mut round = 0;
        while tally.kills < wanted {
            round += 1;
            let output = self.bench.output(self.subject, &round.to_string());
            let in_a_row = (1 + self.random.below(KILLS_IN_A_ROW)).min(u64::from(wanted - tally.kills));
            let (mut killed, mut progress) = (0, 0);
            for _ in 0..in_a_row {
                if self.subject.is_complete(&output) {
                    break;
                }
                let arguments = self.subject.next(self.bench, &output);
                let Some(phase) = self.kill_one(&arguments, &output, tally.undisturbed, limit)? else {
                    break;
                };
                killed += 1;
                tally.phases[phase as usize] += 1;
                files::check(self.subject, &output)?;
                let now = self.subject.progress(&output)?;
                if now < progress {
                    return Err(format!("{progress} were done before a kill, {now} after it"));
                }
                progress = now;
            }
            // Where all results are there, the command is refused, and what is left is removed all the same.
            let expected_code = if self.subject.is_complete(&output) { EXISTS } else { 0 };
            self.to_the_end(&self.subject.next(self.bench, &output), limit, expected_code)?;
            files::check(self.subject, &output)?;
            files::no_leftovers(&output)?;
            files::compare(&expected, &files::results(self.subject, &output)?)?;
            if killed == 0 {
                missed += 1;
                if missed > wanted * MISSES {
                    return Err(format!("{} of {wanted} processes could be killed", tally.kills));
                }
            } else {
                tally.compared += 1;
            }
            tally.kills += killed;
            self.bench.remove(self.subject, &round.to_string());
        }
        tally.total = begun.elapsed();
        Ok(tally)
    }

    /// Starts a process and kills it at a random moment. `None` if it ended before.
    fn kill_one(
        &mut self,
        arguments: &[String],
        output: &Path,
        undisturbed: Duration,
        limit: Duration,
    ) -> Result<Option<Phase>, String> {
        let begun = Instant::now();
        let mut process = self.start(arguments)?;
        let moment = undisturbed.mul_f64(self.random.unit());
        // At any moment, while a file is being written, or just after one appeared.
        let aim = self.random.below(5);
        let further = Duration::from_micros(self.random.below(3000));
        let known = self.subject.progress(output).unwrap_or(0);
        let mut aimed_since = None;
        loop {
            if let Some(status) = ended(&mut process)? {
                return self.must_be(0, status, arguments).map(|()| None);
            }
            if begun.elapsed() > limit {
                let _ = process.kill();
                let _ = process.wait();
                return Err(format!("{arguments:?} did not end within {limit:?}"));
            }
            let ready = match aim {
                0 | 1 => begun.elapsed() >= moment,
                2 | 3 => begun.elapsed() >= moment.mul_f64(0.7) && files::has_leftovers(output),
                _ => {
                    let appeared = self.subject.progress(output).unwrap_or(0) > known;
                    let since = *aimed_since.get_or_insert_with(Instant::now);
                    if !appeared {
                        aimed_since = None;
                    }
                    appeared && since.elapsed() >= further
                }
            };
            if ready {
                break;
            }
            std::thread::sleep(LOOK);
        }
        process.kill().map_err(|error| format!("cannot kill: {error}"))?;
        let status = process.wait().map_err(|error| format!("cannot wait: {error}"))?;
        // It may have ended at the last moment.
        if status.success() {
            return Ok(None);
        }
        Ok(Some(Phase::of(output)))
    }

    fn to_the_end(&self, arguments: &[String], limit: Duration, code: i32) -> Result<(), String> {
        let begun = Instant::now();
        let mut process = self.start(arguments)?;
        loop {
            if let Some(status) = ended(&mut process)? {
                return self.must_be(code, status, arguments);
            }
            if begun.elapsed() > limit {
                let _ = process.kill();
                let _ = process.wait();
                return Err(format!("{arguments:?} did not end within {limit:?}"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn start(&self, arguments: &[String]) -> Result<Child, String> {
        let messages =
            File::create(self.bench.messages()).map_err(|error| format!("cannot write messages: {error}"))?;
        Command::new(self.bench.program())
            .args(arguments)
            .current_dir(crate::root())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(messages)
            .spawn()
            .map_err(|error| format!("cannot start the program: {error}"))
    }

    fn must_be(&self, code: i32, status: std::process::ExitStatus, arguments: &[String]) -> Result<(), String> {
        if status.code() == Some(code) {
            return Ok(());
        }
        let messages = std::fs::read_to_string(self.bench.messages()).unwrap_or_default();
        Err(format!("{arguments:?} ended with {status}: {}", messages.trim()))
    }
}

fn ended(process: &mut Child) -> Result<Option<std::process::ExitStatus>, String> {
    process.try_wait().map_err(|error| format!("cannot wait: {error}"))
}
