//! Inputs of the commands that are killed, in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::subject::Subject;

/// A model so small that an iteration takes milliseconds.
const TRAINING: &str = r#"
seed = 5
iterations = 40
batch_size = 4
[model]
image_size = 32
stride = 26
[model.prompts]
count = 2
blocks = 1
[model.decoder]
layers = 2
heads = 2
ffn_ratio = 2
[model.untrained_clip]
embed_dim = 16
vision = { patch_size = 8, width = 32, layers = 2, heads = 2, position_grid = 4 }
text = { width = 16, layers = 1, heads = 2, context_length = 16, vocabulary_size = 49408 }
[data.pipeline]
crop_size = 32
scale = [96, 40]
[schedule]
warmup = 2
[run]
log_interval = 1
checkpoint_interval = 3
evaluation_interval = 10
evaluation_split = "train"
"#;

#[derive(Debug)]
pub(super) struct Bench {
    program: PathBuf,
    folder: PathBuf,
    /// Whether the folder stays because something was wrong.
    kept: std::cell::Cell<bool>,
}

impl Bench {
    /// Composes a data set with the program itself.
    pub(super) fn new(program: &Path) -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("zegclip-kill-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|error| format!("cannot create `{}`: {error}", folder.display()))?;
        let bench = Self {
            program: program.to_owned(),
            folder,
            kept: std::cell::Cell::default(),
        };
        std::fs::write(bench.training(), TRAINING).map_err(|error| format!("cannot write: {error}"))?;
        let status = Command::new(program)
            .arg("scenes")
            .arg(bench.folder.join("data"))
            .args(["--count", "48", "--size", "64"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        match status {
            Ok(status) if status.success() => Ok(bench),
            Ok(status) => Err(format!("`zegclip scenes` ended with {status}")),
            Err(error) => Err(format!("cannot start `{}`: {error}", program.display())),
        }
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// The configuration of a small training.
    pub(super) fn training(&self) -> PathBuf {
        self.folder.join("training.toml")
    }

    pub(super) fn dataset(&self) -> PathBuf {
        self.folder.join("data").join("dataset.toml")
    }

    pub(super) fn images(&self) -> PathBuf {
        self.folder.join("data").join("photos")
    }

    /// stderr of the last process.
    pub(super) fn messages(&self) -> PathBuf {
        self.folder.join("messages.txt")
    }

    /// A folder for the results of a command.
    pub(super) fn output(&self, subject: Subject, name: &str) -> PathBuf {
        let folder = self.folder.join(subject.name()).join(name);
        if subject == Subject::Convert {
            // The program does not make the folder of a file; where it cannot be made, the program says so.
            let _ = std::fs::create_dir_all(&folder);
        }
        folder
    }

    pub(super) fn remove(&self, subject: Subject, name: &str) {
        let _ = std::fs::remove_dir_all(self.output(subject, name));
    }

    /// Keeps the files and names their folder.
    pub(super) fn keep(&self) -> String {
        self.kept.set(true);
        self.folder.display().to_string()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !self.kept.get() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}
