//! The folder of a run: configuration, metrics, checkpoints, model.

use std::io::Write;
use std::path::{Path, PathBuf};

use zegclip_data::write_atomically;

use crate::training::{Checkpoint, clean_up};
use crate::{Configuration, MetricsLine, TrainError};

const CONFIG: &str = "config.toml";
const METRICS: &str = "metrics.jsonl";
const CHECKPOINTS: &str = "checkpoints";
const MODEL: &str = "model.safetensors";
const BEST: &str = "best";
const HALF_WAY: &str = "half-way";
const REPORT: &str = "report.html";
const TEXT_FEATURES: &str = "text-features";
const PREFIX: &str = "iteration-";
const INPUTS: &str = "inputs.json";
const LOCK: &str = "lock";

/// Held as long as a run trains.
#[derive(Debug)]
pub struct RunLock {
    _file: std::fs::File,
}

/// A folder that holds one run.
#[derive(Debug, Clone)]
pub struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// Makes the folder of a new run and stores its configuration.
    ///
    /// # Errors
    /// [`TrainError::RunExists`] if there is one, [`TrainError::Io`] and [`TrainError::Data`] if it cannot be written.
    pub fn create(path: &Path, config: &impl Configuration) -> Result<Self, TrainError> {
        let run = Self { path: path.to_owned() };
        // Whatever a run would write is another run's, or not ours to replace.
        let ours = [CONFIG, METRICS, CHECKPOINTS, MODEL, REPORT, TEXT_FEATURES, INPUTS, LOCK];
        if ours.iter().any(|name| path.join(name).exists()) {
            return Err(TrainError::RunExists { path: path.to_owned() });
        }
        let checkpoints = path.join(CHECKPOINTS);
        std::fs::create_dir_all(&checkpoints).map_err(TrainError::io("make", &checkpoints))?;
        let text = config.to_toml()?;
        write_atomically(&run.config_path(), |file| file.write_all(text.as_bytes()))?;
        Ok(run)
    }

    /// Opens the folder of a run to resume.
    ///
    /// # Errors
    /// [`TrainError::NoRun`], [`TrainError::OldCheckpoint`], [`TrainError::Io`].
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        let run = Self { path: path.to_owned() };
        if !run.config_path().is_file() {
            return Err(TrainError::NoRun { path: path.to_owned() });
        }
        let checkpoints = path.join(CHECKPOINTS);
        let entries = std::fs::read_dir(&checkpoints).map_err(TrainError::io("read", &checkpoints))?;
        let old = entries.flatten().map(|entry| entry.path());
        if let Some(path) = old
            .into_iter()
            .find(|path| path.is_file() && Checkpoint::is_checkpoint(path))
        {
            return Err(TrainError::OldCheckpoint { path });
        }
        Ok(run)
    }

    /// Removes what [`create`](Self::create) made for a run that then could not start, so that the next try may take the same
    /// folder. Checkpoints and what is not of the run stay.
    pub fn discard_unstarted(&self) {
        let checkpoints = self.path.join(CHECKPOINTS);
        if std::fs::remove_dir(&checkpoints).is_err() {
            return;
        }
        // What cannot be removed does no harm.
        let _ = std::fs::remove_dir_all(self.text_features_path());
        for file in [
            self.metrics_path(),
            self.config_path(),
            self.inputs_path(),
            self.path.join(LOCK),
        ] {
            let _ = std::fs::remove_file(file);
        }
        let _ = std::fs::remove_dir(&self.path);
    }

    /// Keeps other processes from training this run as long as the lock lives, and removes what a killed one left unfinished.
    ///
    /// # Errors
    /// [`TrainError::RunInUse`], [`TrainError::Io`].
    pub fn lock(&self) -> Result<RunLock, TrainError> {
        let path = self.path.join(LOCK);
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(TrainError::io("write", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(TrainError::RunInUse {
                    path: self.path.clone(),
                });
            }
            // Not every file system can lock.
            Err(std::fs::TryLockError::Error(error)) => {
                tracing::warn!("`{}` cannot be locked: {error}", path.display())
            }
        }
        clean_up(&self.path)?;
        clean_up(&self.path.join(CHECKPOINTS))?;
        Ok(RunLock { _file: file })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration as run.
    pub fn config_path(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// Fingerprints of what the run was started with.
    pub fn inputs_path(&self) -> PathBuf {
        self.path.join(INPUTS)
    }

    /// The losses.
    pub fn metrics_path(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    /// The trained model; exists once a run is done.
    pub fn model_path(&self) -> PathBuf {
        self.path.join(MODEL)
    }

    /// The report.
    pub fn report_path(&self) -> PathBuf {
        self.path.join(REPORT)
    }

    /// The folder of text features, which are computed once a run.
    pub fn text_features_path(&self) -> PathBuf {
        self.path.join(TEXT_FEATURES)
    }

    /// The checkpoint of the best hIoU.
    pub fn best_path(&self) -> PathBuf {
        self.path.join(CHECKPOINTS).join(BEST)
    }

    /// The checkpoint after half of the iterations, which transductive training starts from.
    pub fn half_way_path(&self) -> PathBuf {
        self.path.join(CHECKPOINTS).join(HALF_WAY)
    }

    /// The checkpoint after `iteration` iterations.
    pub fn checkpoint_path(&self, iteration: u64) -> PathBuf {
        self.path.join(CHECKPOINTS).join(format!("{PREFIX}{iteration:08}"))
    }

    /// The configuration as run.
    ///
    /// # Errors
    /// [`TrainError::Io`], and those of [`Configuration::from_file`].
    pub fn config<C: Configuration>(&self) -> Result<C, TrainError> {
        C::from_file(&self.config_path(), &[])
    }

    /// Iterations of the checkpoints in order.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn checkpoints(&self) -> Result<Vec<u64>, TrainError> {
        let folder = self.path.join(CHECKPOINTS);
        let entries = std::fs::read_dir(&folder).map_err(TrainError::io("read", &folder))?;
        let mut found: Vec<u64> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name();
                name.to_str()?.strip_prefix(PREFIX)?.parse().ok()
            })
            .collect();
        found.sort_unstable();
        Ok(found)
    }

    /// The newest checkpoint; `None` before the first.
    ///
    /// # Errors
    /// [`TrainError::DamagedCheckpoint`] that says from which one to go on, [`TrainError::Io`].
    pub fn latest(&self) -> Result<Option<Checkpoint>, TrainError> {
        let iterations = self.checkpoints()?;
        let Some(last) = iterations.last() else { return Ok(None) };
        match Checkpoint::open(&self.checkpoint_path(*last)) {
            Ok(checkpoint) => Ok(Some(checkpoint)),
            Err(TrainError::DamagedCheckpoint { path, reason, .. }) => {
                let previous = iterations
                    .iter()
                    .rev()
                    .skip(1)
                    .map(|iteration| self.checkpoint_path(*iteration));
                let whole = previous.into_iter().find(|path| Checkpoint::open(path).is_ok());
                let fix = match whole {
                    Some(whole) => format!("remove it and resume again to go on from `{}`", whole.display()),
                    None => {
                        "remove it and resume again to start from the beginning: there is no other whole one".to_owned()
                    }
                };
                Err(TrainError::DamagedCheckpoint { path, reason, fix })
            }
            Err(error) => Err(error),
        }
    }

    /// Removes checkpoints but the last `keep`, at least two: the newest may turn out to be damaged, or to lead to a loss
    /// that is not finite. That of iteration `newest` stays.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub(crate) fn prune(&self, newest: u64, keep: usize) -> Result<(), TrainError> {
        let iterations = self.checkpoints()?;
        let surplus = iterations.len().saturating_sub(keep.max(2));
        for iteration in iterations
            .into_iter()
            .take(surplus)
            .filter(|iteration| *iteration != newest)
        {
            let path = self.checkpoint_path(iteration);
            std::fs::remove_dir_all(&path).map_err(TrainError::io("remove", &path))?;
        }
        Ok(())
    }

    /// Replaces the recorded configuration by one that differs in nothing that matters for the result.
    ///
    /// # Errors
    /// [`TrainError::OtherConfig`], [`TrainError::Data`].
    pub fn record_config<C: Configuration>(&self, config: &C) -> Result<(), TrainError> {
        self.config::<C>()?.require_same(config, &self.config_path())?;
        let text = config.to_toml()?;
        Ok(write_atomically(&self.config_path(), |file| {
            file.write_all(text.as_bytes())
        })?)
    }

    /// The lines of `metrics.jsonl`; a half-written last one is left out.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn metrics(&self) -> Result<Vec<MetricsLine>, TrainError> {
        let path = self.metrics_path();
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(TrainError::io("read", path)(error)),
        }
    }

    /// Drops the lines after `iteration`, which a resumed run writes again, and the evaluation after `iteration` if it is due.
    ///
    /// # Errors
    /// [`TrainError::Io`], [`TrainError::Data`].
    pub fn truncate_metrics(&self, iteration: u64, evaluation_due: bool) -> Result<(), TrainError> {
        let path = self.metrics_path();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(TrainError::io("read", path)(error)),
        };
        let stays = |line: &MetricsLine| {
            let evaluation = line.scores.is_some() || !line.clip_scores.is_empty();
            line.iteration < iteration || (line.iteration == iteration && !(evaluation && evaluation_due))
        };
        // Lines that stay are not written anew, so that no digit changes.
        let kept = text
            .lines()
            .filter(|line| serde_json::from_str(line).is_ok_and(|line| stays(&line)));
        let kept: String = kept.map(|line| format!("{line}\n")).collect();
        Ok(write_atomically(&path, |file| file.write_all(kept.as_bytes()))?)
    }

    /// Adds a line to `metrics.jsonl`.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn log(&self, line: &MetricsLine) -> Result<(), TrainError> {
        let path = self.metrics_path();
        let text = serde_json::to_string(line).unwrap_or_default() + "\n";
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(TrainError::io("write", path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TrainConfig;
    use crate::training::tests::write_checkpoint;

    fn run(folder: &Path) -> RunDirectory {
        RunDirectory::create(&folder.join("run"), &TrainConfig::default()).unwrap()
    }

    #[test]
    fn the_last_ones_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let run = run(folder.path());
        for iteration in [5, 10, 15, 20] {
            write_checkpoint(&run.checkpoint_path(iteration), iteration).unwrap();
            run.prune(iteration, 2).unwrap();
        }
        assert_eq!(run.checkpoints().unwrap(), [15, 20]);
        assert_eq!(run.latest().unwrap().unwrap().iteration(), 20);
    }

    #[test]
    fn a_damaged_checkpoint_offers_the_previous_one() {
        let folder = tempfile::tempdir().unwrap();
        let run = run(folder.path());
        write_checkpoint(&run.checkpoint_path(5), 5).unwrap();
        write_checkpoint(&run.checkpoint_path(10), 10).unwrap();
        std::fs::write(run.checkpoint_path(10).join("optim.bpk"), b"half").unwrap();
        let error = run.latest().unwrap_err().to_string();
        assert!(
            error.contains("iteration-00000010")
                && error.contains("go on from")
                && error.contains("iteration-00000005"),
            "{error}"
        );
        std::fs::remove_dir_all(run.checkpoint_path(10)).unwrap();
        assert_eq!(run.latest().unwrap().unwrap().iteration(), 5);
    }

    #[test]
    fn a_run_is_not_started_over_another() {
        let folder = tempfile::tempdir().unwrap();
        let first = run(folder.path());
        let error = RunDirectory::create(first.path(), &TrainConfig::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("--resume"), "{error}");
        assert!(
            RunDirectory::open(folder.path())
                .unwrap_err()
                .to_string()
                .contains("config.toml")
        );
    }

    #[test]
    fn a_run_that_cannot_start_leaves_nothing_but_what_is_not_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let first = run(folder.path());
        std::fs::create_dir(first.text_features_path()).unwrap();
        first.discard_unstarted();
        assert!(!first.path().exists());
        let second = run(folder.path());
        write_checkpoint(&second.checkpoint_path(5), 5).unwrap();
        second.discard_unstarted();
        assert!(second.config_path().exists());
    }

    #[test]
    fn lines_that_will_be_written_again_are_cut() {
        let folder = tempfile::tempdir().unwrap();
        let run = run(folder.path());
        let line = |iteration| MetricsLine {
            iteration,
            loss_mask: Some(1.0),
            lr: Some(0.1),
            ..MetricsLine::default()
        };
        for iteration in [1, 2, 3] {
            run.log(&line(iteration)).unwrap();
        }
        let half = std::fs::read_to_string(run.metrics_path()).unwrap() + "{\"iteration\": 4, \"lo";
        std::fs::write(run.metrics_path(), half).unwrap();
        run.truncate_metrics(2, false).unwrap();
        assert_eq!(run.metrics().unwrap(), [line(1), line(2)]);
    }

    #[test]
    fn what_a_killed_process_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let run = run(folder.path());
        let (file, partial) = (
            run.path().join("checkpoints/.zegclip-x1"),
            run.path().join("checkpoints/.zegclip-partial-iteration-00000005"),
        );
        std::fs::write(&file, "half").unwrap();
        std::fs::create_dir(&partial).unwrap();
        // It was about to replace the best one.
        let best = run.best_path();
        write_checkpoint(&best, 4).unwrap();
        std::fs::rename(&best, best.with_file_name(".zegclip-old-best")).unwrap();
        let _lock = run.lock().unwrap();
        assert!(!file.exists() && !partial.exists());
        assert_eq!(Checkpoint::open(&best).unwrap().iteration(), 4);
    }

    #[test]
    fn one_process_holds_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let run = run(folder.path());
        let lock = run.lock().unwrap();
        assert!(matches!(run.lock(), Err(TrainError::RunInUse { .. })));
        drop(lock);
        run.lock().unwrap();
    }
}
