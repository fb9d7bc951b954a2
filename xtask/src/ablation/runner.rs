//! Training and scoring of rows with the program itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Map, Value};

use super::configuration::{Configuration, Row};
use crate::root;

pub(super) struct Runner<'a> {
    configuration: &'a Configuration,
    program: &'a Path,
    folder: &'a Path,
    clip: PathBuf,
}

impl<'a> Runner<'a> {
    /// In a smoke run the CLIP is a very small one, pre-trained in seconds.
    pub(super) fn new(
        configuration: &'a Configuration,
        program: &'a Path,
        folder: &'a Path,
        clip: PathBuf,
        smoke: bool,
    ) -> Result<Self, String> {
        let mut runner = Self {
            configuration,
            program,
            folder,
            clip,
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
                "there is no CLIP in `{}`; make it with `zegclip pretrain assets/pretraining/demo.toml`, or name another with `--clip`",
                runner.clip.display()
            ));
        }
        Ok(runner)
    }

    /// Trains and scores a row, unless it is done.
    pub(super) fn finish(&mut self, row: &Row, seed: u64) -> Result<(), String> {
        let name = row.file_name(seed);
        let result = self.folder.join("results").join(format!("{name}.json"));
        if result.is_file() {
            return Ok(());
        }
        println!("{}, seed {seed}", row.name);
        let run = self.folder.join("runs").join(&name);
        let weights = run.join("model.safetensors");
        if row.method.is_none() && !weights.is_file() {
            self.train(row, seed, &run)?;
        }
        let mut scores = Map::new();
        for split in &self.configuration.splits {
            scores.insert(split.clone(), self.score(row, split, &weights, &run)?);
        }
        let temporary = result.with_extension("unfinished");
        let wrong = |error| format!("{}: {error}", result.display());
        std::fs::write(&temporary, Value::Object(scores).to_string()).map_err(wrong)?;
        std::fs::rename(&temporary, &result).map_err(wrong)
    }

    fn train(&self, row: &Row, seed: u64, run: &Path) -> Result<(), String> {
        let run_text = text(run);
        if run.join("config.toml").is_file() {
            return self
                .call(&["train", "--resume", &run_text, "--device", "cpu"])
                .map(drop);
        }
        let preset = text(row.preset.as_ref().unwrap_or(&self.configuration.preset));
        let mut set = self.configuration.set.clone();
        set.extend([format!("seed={seed}"), format!("model.clip={}", text(&self.clip))]);
        if let Some(initial) = &row.initial {
            let from = self.configuration.rows().find(|other| other.name == *initial);
            let from = from.ok_or_else(|| format!("there is no row `{initial}`"))?;
            let checkpoint = self
                .folder
                .join("runs")
                .join(from.file_name(seed))
                .join("checkpoints/half-way.safetensors");
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
    fn score(&self, row: &Row, split: &str, weights: &Path, run: &Path) -> Result<Value, String> {
        let output = text(&run.join(split));
        let images = self.configuration.images.to_string();
        let mut arguments = vec!["eval", "--dataset", "scenes", "--split", split, "--limit", &images];
        arguments.extend(["--output", &output, "--json", "--device", "cpu", "--overwrite"]);
        let (weights, sizes) = match &row.method {
            None => (text(weights), None),
            Some(method) => {
                let sizes = run.join("sizes.toml");
                std::fs::create_dir_all(run)
                    .and_then(|()| std::fs::write(&sizes, "image_size = 128\n"))
                    .map_err(|error| format!("{}: {error}", sizes.display()))?;
                (text(&self.clip), Some((method, text(&sizes))))
            }
        };
        arguments.extend(["--weights", &weights]);
        if let Some((method, sizes)) = &sizes {
            arguments.extend(["--method", method, "--model-config", sizes]);
        }
        let setting = row.set.iter().find_map(|value| value.strip_prefix("setting="));
        let preset = row.preset.as_ref().map(|preset| text(preset)).unwrap_or_default();
        if let Some(setting) =
            setting.or_else(|| ["transductive", "full"].into_iter().find(|name| preset.contains(name)))
        {
            arguments.extend(["--setting", setting]);
        }
        let printed = self.call(&arguments)?;
        serde_json::from_str(&printed).map_err(|error| format!("{split} of {}: {error}", row.name))
    }

    /// Its standard output.
    fn call(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(self.program)
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
