//! The commands that are killed: how they are started, how they go on, and how far they are.

use std::path::Path;

use super::bench::Bench;
use super::files;

/// A command with results on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Train,
    Pretrain,
    Eval,
    Convert,
    Segment,
}

/// What a process was doing when it was killed, as its files show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    BeforeTheFirstFile,
    BetweenFiles,
    WritingAFile,
}

impl Phase {
    pub(super) fn of(output: &Path) -> Self {
        if files::has_leftovers(output) {
            Self::WritingAFile
        } else if files::all(output).is_empty() {
            Self::BeforeTheFirstFile
        } else {
            Self::BetweenFiles
        }
    }
}

impl Subject {
    pub(super) const ALL: [Self; 5] = [Self::Train, Self::Pretrain, Self::Eval, Self::Convert, Self::Segment];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Pretrain => "pretrain",
            Self::Eval => "eval",
            Self::Convert => "convert",
            Self::Segment => "segment",
        }
    }

    /// The arguments of a first process.
    pub(super) fn first(self, bench: &Bench, output: &Path) -> Vec<String> {
        let path = |path: &Path| path.display().to_string();
        let mut arguments = match self {
            Self::Train => {
                let dataset = format!("data.dataset={}", path(&bench.dataset()));
                vec!["train".to_owned(), path(&bench.training()), "--set".to_owned(), dataset]
            }
            Self::Pretrain => {
                let mut arguments = vec!["pretrain".to_owned(), "assets/pretraining/tiny.toml".to_owned()];
                for set in [
                    "run.checkpoint_interval=3",
                    "run.log_interval=1",
                    "run.evaluation_interval=5",
                ] {
                    arguments.extend(["--set".to_owned(), set.to_owned()]);
                }
                arguments
            }
            Self::Eval => ["eval", "--save-labels", "--dataset", &path(&bench.dataset())]
                .map(str::to_owned)
                .to_vec(),
            Self::Convert => {
                return vec![
                    "convert".to_owned(),
                    "assets/example/random-weights.safetensors".to_owned(),
                    path(&output.join("model.pth")),
                ];
            }
            Self::Segment => [
                "segment",
                &path(&bench.images()),
                "--classes",
                "cat, dog, grass, sky",
                "--scores",
            ]
            .map(str::to_owned)
            .to_vec(),
        };
        arguments.extend([
            "--device".to_owned(),
            "cpu".to_owned(),
            "--output".to_owned(),
            path(output),
        ]);
        if matches!(self, Self::Train | Self::Pretrain) {
            arguments.push("--no-tui".to_owned());
        }
        arguments
    }

    /// The arguments of a process after one that was killed.
    pub(super) fn next(self, bench: &Bench, output: &Path) -> Vec<String> {
        match self {
            Self::Train | Self::Pretrain if output.join("config.toml").exists() => {
                let output = output.display().to_string();
                [self.name(), "--resume", &output, "--device", "cpu", "--no-tui"]
                    .map(str::to_owned)
                    .to_vec()
            }
            Self::Segment => {
                let mut arguments = self.first(bench, output);
                arguments.push("--skip-existing".to_owned());
                arguments
            }
            _ => self.first(bench, output),
        }
    }

    /// Whether all results are there, so that the same command would be refused.
    pub(super) fn is_complete(self, output: &Path) -> bool {
        match self {
            Self::Eval => output.join("evaluation.json").exists(),
            Self::Convert => output.join("model.pth").exists(),
            Self::Train | Self::Pretrain | Self::Segment => false,
        }
    }

    /// What is done, in iterations, images or files: never less after a kill than before.
    pub(super) fn progress(self, output: &Path) -> Result<u64, String> {
        match self {
            Self::Train | Self::Pretrain => {
                let names = files::names(&output.join("checkpoints"));
                let iterations = names
                    .iter()
                    .filter_map(|name| name.strip_prefix("iteration-")?.parse().ok());
                Ok(iterations.max().unwrap_or(0))
            }
            Self::Eval => {
                if self.is_complete(output) {
                    return Ok(u64::MAX);
                }
                let path = output.join("evaluation.state.json");
                let Ok(text) = std::fs::read_to_string(&path) else {
                    return Ok(0);
                };
                let state: serde_json::Value =
                    serde_json::from_str(&text).map_err(|error| format!("`{}`: {error}", path.display()))?;
                Ok(state["done"].as_u64().unwrap_or(0))
            }
            Self::Convert => Ok(u64::from(self.is_complete(output))),
            Self::Segment => {
                let names = files::names(output);
                Ok(names.iter().filter(|name| name.ends_with(".json")).count() as u64)
            }
        }
    }
}
