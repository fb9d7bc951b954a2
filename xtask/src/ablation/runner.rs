//! Training and scoring of rows with the program itself.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::configuration::{Configuration, Row};
use super::results::fingerprint;
use crate::root;

pub(super) struct Runner<'a> {
    configuration: &'a Configuration,
    program: &'a Path,
    /// Of runs with this CLIP and this preset: others are not gone on with.
    runs: PathBuf,
    clip: PathBuf,
    made_with: String,
    /// Threads of a training, where several rows are trained at once.
    threads: Option<usize>,
    /// Held while a run is trained, by its folder: a row may begin from a run that another job is at.
    training: Mutex<BTreeMap<PathBuf, Arc<Mutex<()>>>>,
}

impl<'a> Runner<'a> {
    /// In a smoke run the CLIP is a very small one, pre-trained in seconds.
    pub(super) fn new(
        configuration: &'a Configuration,
        program: &'a Path,
        folder: &'a Path,
        clip: PathBuf,
        jobs: usize,
        smoke: bool,
    ) -> Result<Self, String> {
        let mut runner = Self {
            configuration,
            program,
            runs: PathBuf::new(),
            clip,
            made_with: String::new(),
            threads: (jobs > 1).then(|| {
                let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
                (threads / jobs).max(1)
            }),
            training: Mutex::default(),
        };
        if smoke {
            let output = folder.join("clip");
            runner.call(&[
                "pretrain",
                "assets/pretraining/tiny.toml",
                "--output",
                &text(&output),
                "--device",
                "cpu",
            ])?;
            runner.clip = output.join("model.safetensors");
        } else if !runner.clip.is_file() {
            return Err(format!(
                "there is no CLIP in `{}`; name one with `--clip`",
                runner.clip.display()
            ));
        }
        let clip = read(&runner.clip)?;
        runner.made_with = runner.common(&clip)?;
        runner.runs = folder.join(fingerprint(runner.made_with.as_bytes()));
        // Rows take hours, within which the file may become another one.
        let kept = runner.runs.join("clip.safetensors");
        std::fs::create_dir_all(&runner.runs)
            .and_then(|()| std::fs::write(&kept, clip))
            .map_err(|error| format!("{}: {error}", kept.display()))?;
        runner.clip = kept;
        Ok(runner)
    }

    /// A name of all that rows have in common.
    pub(super) fn made_with(&self) -> &str {
        &self.made_with
    }

    fn common(&self, clip: &[u8]) -> Result<String, String> {
        let preset = root().join(&self.configuration.preset);
        Ok(format!(
            "CLIP {}, preset {}, {} images",
            fingerprint(clip),
            fingerprint(&read(&preset)?),
            self.configuration.images
        ))
    }

    /// Trains a row and scores it on each split: what `zegclip eval --json` prints.
    pub(super) fn scores(&self, row: &Row, seed: u64) -> Result<BTreeMap<String, Value>, String> {
        let run = self.run_of(row, seed);
        if row.method.is_none() {
            self.train(row, seed)?;
        }
        let splits = self.configuration.splits.iter();
        splits
            .map(|split| Ok((split.clone(), self.score(row, split, &run)?)))
            .collect()
    }

    fn run_of(&self, row: &Row, seed: u64) -> PathBuf {
        self.runs.join(row.file_name(seed))
    }

    /// Trains a row as far as it is not trained.
    fn train(&self, row: &Row, seed: u64) -> Result<(), String> {
        let run = self.run_of(row, seed);
        let run_text = text(&run);
        let lock = {
            let mut training = self.training.lock().unwrap_or_else(PoisonError::into_inner);
            training.entry(run.clone()).or_default().clone()
        };
        let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
        if run.join("model.safetensors").is_file() {
            return Ok(());
        }
        if run.join("config.toml").is_file() {
            return self
                .call(&["train", "--resume", &run_text, "--device", "cpu"])
                .map(drop);
        }
        let preset = text(&self.configuration.preset);
        let mut set = vec![format!("seed={seed}"), format!("model.clip={}", text(&self.clip))];
        if let Some(initial) = &row.initial {
            let from = self.configuration.rows().find(|other| other.name == *initial);
            let from = from.ok_or_else(|| format!("there is no row `{initial}`"))?;
            let checkpoint = self.run_of(from, seed).join("checkpoints/half-way");
            if !checkpoint.is_dir() {
                // Its scores may stem from another machine.
                self.train(from, seed)?;
            }
            set.push(format!("model.initial={}", text(&checkpoint)));
        }
        set.extend(row.set.iter().chain(&row.last).cloned());
        let mut arguments = vec!["train", &preset, "--output", &run_text, "--device", "cpu"];
        for value in &set {
            arguments.extend(["--set", value]);
        }
        self.call(&arguments).map(drop)
    }

    /// The evaluation as `evaluation.json` has it.
    fn score(&self, row: &Row, split: &str, run: &Path) -> Result<Value, String> {
        let output = text(&run.join(split));
        let images = self.configuration.images.to_string();
        let mut arguments = vec!["eval", "--dataset", "scenes", "--split", split, "--limit", &images];
        arguments.extend(["--output", &output, "--json", "--device", "cpu", "--overwrite"]);
        let (weights, sizes) = match &row.method {
            None => (text(&run.join("model.safetensors")), None),
            Some(method) => {
                let sizes = run.join("sizes.toml");
                let size = format!("image_size = {}\n", self.image_size()?);
                std::fs::create_dir_all(run)
                    .and_then(|()| std::fs::write(&sizes, size))
                    .map_err(|error| format!("{}: {error}", sizes.display()))?;
                (text(&self.clip), Some((method, text(&sizes))))
            }
        };
        arguments.extend(["--weights", &weights]);
        if let Some((method, sizes)) = &sizes {
            arguments.extend(["--method", method, "--model-config", sizes]);
        }
        if let Some(setting) = row.set.iter().find_map(|value| value.strip_prefix("setting=")) {
            arguments.extend(["--setting", setting]);
        }
        let printed = self.call(&arguments)?;
        serde_json::from_str(&printed).map_err(|error| format!("{split} of {}: {error}", row.name))
    }

    /// The size that rows are trained at, for those that are not.
    fn image_size(&self) -> Result<i64, String> {
        let path = root().join(&self.configuration.preset);
        let wrong = |error: String| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        let preset: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| wrong(error.to_string()))?;
        let size = preset.get("model").and_then(|model| model.get("image_size"));
        let size = size.and_then(toml::Value::as_integer);
        size.ok_or_else(|| wrong("it has no `model.image_size`".to_owned()))
    }

    /// Its standard output.
    fn call(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(self.program);
        if let Some(threads) = self.threads {
            // Results do not depend on it.
            command.env("RAYON_NUM_THREADS", threads.to_string());
        }
        let output = command
            .args(arguments)
            .current_dir(root())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("cannot start `{}`: {error}", self.program.display()))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(format!(
            "`zegclip {}` ended with {}",
            arguments.join(" "),
            output.status
        ))
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}
