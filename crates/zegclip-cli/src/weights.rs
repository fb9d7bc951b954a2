//! `zegclip weights`, and weights by name in other commands.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use zegclip_hub::{HubError, PUBLISHED, Progress, Verification, WeightName, WeightStore, is_weight_name};

use crate::arguments::WeightsCommand;
use crate::failure::Failure;
use crate::interrupt::{end_on_signals, interruptible};
use crate::output;
use crate::progress;

/// Time between two lines where stderr is not a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

pub(crate) fn run(command: &WeightsCommand) -> Result<(), Failure> {
    let store = WeightStore::from_environment()?;
    match command {
        WeightsCommand::List { json } => list(&store, *json),
        WeightsCommand::Fetch { names } => {
            let names = parse(names)?;
            for name in &names {
                let path = fetch(&store, name)?;
                output::line(path.display())?;
            }
            Ok(())
        }
        WeightsCommand::Path { name } => {
            let name: WeightName = name.parse()?;
            let path = store.path(&name).ok_or_else(|| absent(&name))?;
            output::line(path.display())
        }
        WeightsCommand::Verify { names } => verify(&store, names),
    }
}

/// Whether an argument is the name of weights rather than a path.
pub(crate) fn is_name(path: &Path) -> bool {
    path.to_str().is_some_and(is_weight_name)
}

/// The file that `path` names: itself, or weights by name, which are downloaded unless they are on this machine.
pub(crate) fn located(path: &Path) -> Result<PathBuf, Failure> {
    let Some(name) = path.to_str().filter(|text| is_weight_name(text)) else {
        return Ok(path.to_owned());
    };
    let name: WeightName = name.parse()?;
    let store = WeightStore::from_environment()?;
    if let Some(path) = store.path(&name) {
        return Ok(path);
    }
    let path = fetch(&store, &name)?;
    output::message(format_args!("{name} is now `{}`", path.display()));
    Ok(path)
}

fn parse(names: &[String]) -> Result<Vec<WeightName>, Failure> {
    Ok(names.iter().map(|name| name.parse()).collect::<Result<_, HubError>>()?)
}

fn list(store: &WeightStore, as_json: bool) -> Result<(), Failure> {
    let stored = store.list();
    for file in &stored {
        if as_json {
            output::json(&json!({ "name": file.name, "path": file.path, "bytes": file.bytes }))?;
        } else {
            let megabytes = file.bytes as f64 / 1e6;
            output::line(format!(
                "{:<24} {megabytes:>7.1} MB  {}",
                file.name,
                file.path.display()
            ))?;
        }
    }
    for published in PUBLISHED {
        let name = format!("clip:{}", published.name);
        if stored.iter().any(|file| file.name == name) {
            continue;
        }
        if as_json {
            output::json(&json!({ "name": name, "path": null, "bytes": null }))?;
        } else {
            output::line(format!("{name:<24} not on this machine"))?;
        }
    }
    Ok(())
}

fn verify(store: &WeightStore, names: &[String]) -> Result<(), Failure> {
    let names = if names.is_empty() {
        let stored: Vec<String> = store.list().into_iter().map(|file| file.name).collect();
        parse(&stored)?
    } else {
        parse(names)?
    };
    for name in &names {
        if store.path(name).is_none() {
            return Err(absent(name));
        }
        let result = match store.verify(name)? {
            Verification::NoDigest => "no published checksum is known",
            _ => "correct",
        };
        output::line(format!("{name}: {result}"))?;
    }
    Ok(())
}

fn absent(name: &WeightName) -> Failure {
    Failure::failed(format!("`{name}` is not on this machine"))
        .hint(format!("download it with `zegclip weights fetch {name}`"))
}

fn fetch(store: &WeightStore, name: &WeightName) -> Result<PathBuf, Failure> {
    let stop = interruptible();
    let mut display = Display::new();
    let result = store.fetch(name, &mut |progress| {
        display.show(&progress);
        if stop.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    display.bar.finish_and_clear();
    end_on_signals();
    Ok(result?)
}

/// A bar on a terminal, a line every ten seconds elsewhere.
struct Display {
    bar: ProgressBar,
    status: String,
    last_line: Option<Instant>,
}

impl Display {
    fn new() -> Self {
        let bar = progress::bar(0);
        let style = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self {
            bar,
            status: String::new(),
            last_line: None,
        }
    }

    fn show(&mut self, progress: &Progress) {
        let status = match progress {
            Progress::Receiving { file, received, total } => {
                if let Some(total) = total {
                    self.bar.set_length(*total);
                }
                self.bar.set_position(*received);
                self.bar.set_message(file.clone());
                let due = self.last_line.is_none_or(|at| at.elapsed() >= LINE_INTERVAL);
                if self.bar.is_hidden() && due && *received > 0 {
                    self.last_line = Some(Instant::now());
                    let total = total.map_or_else(String::new, |total| format!(" of {:.1}", total as f64 / 1e6));
                    output::message(format_args!("{file}: {:.1}{total} MB", *received as f64 / 1e6));
                }
                return;
            }
            Progress::Retrying { file, reason } => format!("{file}: {reason}; trying again"),
            Progress::Waiting { file } => format!("{file}: another process is downloading it; waiting"),
            Progress::Checking { file } => format!("{file}: computing the checksum"),
            _ => return,
        };
        if status != self.status {
            self.bar.suspend(|| output::message(&status));
            self.status = status;
        }
    }
}
