//! `cargo xtask ablation`: the rows of the paper's tables, trained on composed scenes over several seeds.
//!
//! A row and a seed are a training run of `zegclip` and an evaluation of each split. Finished ones stand in `results.json`, so
//! that an interrupted ablation goes on where it stands.

mod configuration;
mod plot;
mod results;
mod runner;
mod table;

use std::path::{Path, PathBuf};

use crate::{cargo, root};
use configuration::Configuration;
use results::Results;
use runner::Runner;

const CONFIGURATION: &str = "assets/ablation/ablation.toml";
pub(crate) const USAGE: &str =
    "cargo xtask ablation [--clip FILE] [--folder DIR] [--program FILE] [--only ROW] [--report] [--smoke]";

pub(crate) fn run(options: &[&str]) -> Result<(), String> {
    let known = ["--clip", "--folder", "--program", "--only"];
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
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
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
        let runner = Runner::new(&configuration, &program, &folder, clip, smoke)?;
        results = results.continued_with(runner.made_with())?;
        let only = value("--only");
        for row in configuration.rows().filter(|row| row.same_as.is_none()) {
            if only.as_ref().is_some_and(|only| !row.name.contains(only.as_str())) {
                continue;
            }
            for seed in &configuration.seeds {
                if results.has(row, *seed) {
                    continue;
                }
                println!("{}, seed {seed}", row.name);
                results.add(row, *seed, &runner.scores(row, *seed)?)?;
            }
        }
    }
    write(&output.join("README.md"), &table::markdown(&configuration, &results))?;
    write(&output.join("ablation.svg"), &plot::svg(&configuration, &results))?;
    println!("{}", output.join("README.md").display());
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
