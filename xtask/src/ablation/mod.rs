//! `cargo xtask ablation`: the rows of the paper's tables, trained on composed scenes over several seeds.
//!
//! A row and a seed are a training run of `zegclip` and an evaluation of each split. Finished ones stand in `results.json`, so
//! that an interrupted ablation resumes.

mod configuration;
mod plot;
mod results;
mod runner;
mod table;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::{cargo, root, target_folder};
use configuration::{Configuration, Row};
use results::Results;
use runner::Runner;

const CONFIGURATION: &str = "assets/ablation/ablation.toml";
pub(crate) const USAGE: &str =
    "cargo xtask ablation [--clip FILE] [--folder DIR] [--program FILE] [--only ROW]… [--jobs N] [--report] [--smoke]";

pub(crate) fn run(options: &[&str]) -> Result<(), String> {
    let known = ["--clip", "--folder", "--program", "--only", "--jobs"];
    let mut values = Vec::new();
    let (mut smoke, mut report_only) = (false, false);
    let mut rest = options.iter();
    while let Some(option) = rest.next() {
        match *option {
            "--smoke" => smoke = true,
            "--report" => report_only = true,
            name if known.contains(&name) => {
                let value = rest.next().ok_or_else(|| format!("`{name}` needs a value"))?;
                values.push((name, *value));
            }
            other => return Err(format!("there is no option `{other}`; usage: {USAGE}")),
        }
    }
    let value = |name: &str| {
        let found = values.iter().rev().find(|(option, _)| *option == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let mut configuration = Configuration::read(&root().join(CONFIGURATION))?;
    if smoke {
        configuration = configuration.smoke();
    }
    let target = target_folder();
    let default = if smoke { "ablation-smoke" } else { "ablation" };
    let folder = value("--folder").map_or_else(|| target.join(default), PathBuf::from);
    let program = match value("--program") {
        Some(program) => PathBuf::from(program),
        None => {
            cargo(&["build", "--release", "--workspace", "--bin", "zegclip"])?;
            target.join("release/zegclip")
        }
    };
    if smoke && folder.exists() {
        // It shows that all works from the beginning.
        std::fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let output = if smoke {
        folder.clone()
    } else {
        root().join("assets/ablation")
    };
    let mut results = Results::read(&output.join("results.json"))?;
    if !report_only {
        let clip = value("--clip").map_or_else(|| configuration.clip.clone(), PathBuf::from);
        let clip = if clip.is_absolute() { clip } else { root().join(clip) };
        let jobs = value("--jobs").map_or(Ok(1), |jobs| match jobs.parse() {
            Ok(jobs) if jobs > 0 => Ok(jobs),
            _ => Err(format!("`--jobs {jobs}`: give the number of rows to train at once")),
        })?;
        let runner = Runner::new(&configuration, &program, &folder, clip, jobs, smoke)?;
        results = results.continued_with(runner.made_with())?;
        let only: Vec<&str> = values
            .iter()
            .filter(|(name, _)| *name == "--only")
            .map(|(_, row)| *row)
            .collect();
        // A seed of all rows before the next seed: a table that is not done yet can be compared.
        let tasks = configuration.seeds.iter().flat_map(|seed| {
            let rows = configuration.rows().filter(|row| row.same_as.is_none());
            rows.map(move |row| (row, *seed))
        });
        let wanted = |row: &Row| only.is_empty() || only.iter().any(|only| row.name.contains(only));
        let tasks: Vec<_> = tasks
            .filter(|(row, seed)| wanted(row) && !results.has(row, *seed))
            .collect();
        results = run_tasks(&runner, &tasks, jobs, results)?;
    }
    write(&output.join("README.md"), &table::markdown(&configuration, &results))?;
    write(&output.join("ablation.svg"), &plot::svg(&configuration, &results))?;
    println!("{}", output.join("README.md").display());
    Ok(())
}

/// Trains and scores rows, `jobs` at once. The first error keeps further ones from being begun.
fn run_tasks(runner: &Runner, tasks: &[(&Row, u64)], jobs: usize, results: Results) -> Result<Results, String> {
    let results = Mutex::new(results);
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((row, seed)) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
            println!("{}, seed {seed}", row.name);
            let done = runner.scores(row, *seed).and_then(|scores| {
                let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                results.add(row, *seed, &scores)
            });
            if done.is_err() {
                next.store(tasks.len(), Ordering::Relaxed);
                return done;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            let panicked = |_| Err("a row ended with a panic of this program".to_owned());
            worker.join().unwrap_or_else(panicked)
        })
    })?;
    Ok(results.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
