//! The directory of a run: configuration, metrics, checkpoints, model.

use std::io::Write;
use std::path::{Path, PathBuf};

use zegclip_data::Vocabulary;
use zegclip_foundation::{AtomicFile, FileLock, IfExists, LockError};

use super::checkpoint_writer::{clean_up, remove_checkpoint};
use super::{Checkpoint, MetricsLine, write_file};
use crate::config_text::RecordedConfig;
use crate::{Configuration, TrainError};

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
const CLASSES: &str = "classes.toml";

/// Exclusive use of a run directory, until it is dropped.
#[derive(Debug)]
pub struct RunLock {
    _lock: FileLock,
}

/// The directory of one run.
///
/// | file | contents |
/// |---|---|
/// | `config.toml` | the configuration, every value stated |
/// | `classes.toml` | all classes of the data set, of segmentation runs |
/// | `inputs.json` | fingerprints of the inputs |
/// | `metrics.jsonl` | a [`MetricsLine`] per line |
/// | `checkpoints/` | `iteration-NNNNNNNN`, `best`, `half-way` |
/// | `text-features/` | text features of class lists |
/// | `model.safetensors` | the trained model, once the run is finished |
/// | `report.html` | curves, scores and example masks |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// Creates the directory of a new run and stores its configuration. Nothing is created for a configuration that cannot
    /// be run.
    ///
    /// # Errors
    /// Those of [`Configuration::validate`] and [`Configuration::preflight`]; [`TrainError::RunExists`] if `path` contains a
    /// run or a file that a run would replace; [`TrainError::Io`].
    pub fn create(path: &Path, config: &impl Configuration) -> Result<Self, TrainError> {
        config.validate()?;
        config.preflight()?;
        let run = Self { path: path.to_owned() };
        let exists = || TrainError::RunExists { path: path.to_owned() };
        let ours = [CONFIG, METRICS, MODEL, REPORT, TEXT_FEATURES, INPUTS, LOCK, CLASSES];
        let checkpoints = path.join(CHECKPOINTS);
        // A process that was killed before it wrote the configuration leaves an empty folder.
        let is_empty = |folder: &Path| std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
        if ours.iter().any(|name| path.join(name).exists()) || (checkpoints.exists() && !is_empty(&checkpoints)) {
            return Err(exists());
        }
        std::fs::create_dir_all(&checkpoints).map_err(TrainError::io("make", &checkpoints))?;
        let text = config.to_toml()?;
        let config = run.config_path();
        // Of two processes that begin at the same time, one gets the folder.
        let written = AtomicFile::create(&config, IfExists::Fail).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.commit()
        });
        match written {
            Ok(()) => Ok(run),
            Err(_) if config.exists() => Err(exists()),
            Err(error) => Err(TrainError::io("write", &config)(error)),
        }
    }

    /// Opens an existing run directory.
    ///
    /// # Errors
    /// [`TrainError::NoRun`], [`TrainError::OldCheckpoint`], [`TrainError::Io`].
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        let run = Self { path: path.to_owned() };
        if !run.config_path().is_file() {
            return Err(TrainError::NoRun { path: path.to_owned() });
        }
        let checkpoints = path.join(CHECKPOINTS);
        // Copies of a run may lack an empty folder.
        if !checkpoints.exists() {
            std::fs::create_dir(&checkpoints).map_err(TrainError::io("make", &checkpoints))?;
        }
        let entries = std::fs::read_dir(&checkpoints).map_err(TrainError::io("read", &checkpoints))?;
        let mut paths = entries.flatten().map(|entry| entry.path());
        if let Some(path) = paths.find(|path| path.is_file() && Checkpoint::is_checkpoint(path)) {
            return Err(TrainError::OldCheckpoint { path });
        }
        Ok(run)
    }

    /// Removes what [`create`](Self::create) made for a run that then could not start, so that the directory can be used
    /// again. Checkpoints and files of others are kept.
    pub fn discard_unstarted(&self) {
        let checkpoints = self.path.join(CHECKPOINTS);
        if std::fs::remove_dir(&checkpoints).is_err() {
            return;
        }
        // A leftover is harmless.
        let _ = std::fs::remove_dir_all(self.text_features_path());
        // The configuration last: a run is what has one.
        for file in [
            self.metrics_path(),
            self.inputs_path(),
            self.path.join(LOCK),
            self.classes_path(),
            self.config_path(),
        ] {
            let _ = std::fs::remove_file(file);
        }
        let _ = std::fs::remove_dir(&self.path);
    }

    /// Keeps other processes from training this run until the lock is dropped, and removes leftovers of a killed process.
    ///
    /// # Errors
    /// [`TrainError::RunInUse`], [`TrainError::Io`].
    pub fn lock(&self) -> Result<RunLock, TrainError> {
        let path = self.path.join(LOCK);
        let lock = FileLock::acquire(&path).map_err(|error| match error {
            LockError::Io(source) => TrainError::io("write", &path)(source),
            _ => TrainError::RunInUse {
                path: self.path.clone(),
            },
        })?;
        for folder in [&self.path, &self.path.join(CHECKPOINTS), &self.text_features_path()] {
            clean_up(folder)?;
        }
        Ok(RunLock { _lock: lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The recorded configuration.
    pub fn config_path(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// Fingerprints of the inputs that the run was started with.
    pub fn inputs_path(&self) -> PathBuf {
        self.path.join(INPUTS)
    }

    /// The classes of the data set.
    pub fn classes_path(&self) -> PathBuf {
        self.path.join(CLASSES)
    }

    /// Records the classes of a run, once.
    pub(crate) fn record_classes(&self, classes: &Vocabulary) -> Result<(), TrainError> {
        let path = self.classes_path();
        if path.exists() {
            return Ok(());
        }
        write_file(&path, classes.to_toml().as_bytes())
    }

    /// The classes of a run; `None` for one of an earlier version.
    ///
    /// # Errors
    /// [`TrainError::Data`] if the file cannot be read.
    pub(crate) fn classes(&self) -> Result<Option<Vocabulary>, TrainError> {
        let path = self.classes_path();
        if !path.exists() {
            return Ok(None);
        }
        Ok(Some(Vocabulary::from_toml(&path)?))
    }

    /// The metrics.
    pub fn metrics_path(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    /// The trained model; exists once the run is finished.
    pub fn model_path(&self) -> PathBuf {
        self.path.join(MODEL)
    }

    /// The report.
    pub fn report_path(&self) -> PathBuf {
        self.path.join(REPORT)
    }

    /// The folder of text features, which are computed once per run.
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

    /// The recorded configuration.
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
    /// [`TrainError::DamagedCheckpoint`] with the newest intact one, [`TrainError::Io`].
    pub fn latest(&self) -> Result<Option<Checkpoint>, TrainError> {
        let iterations = self.checkpoints()?;
        let Some(last) = iterations.last() else { return Ok(None) };
        match Checkpoint::open(&self.checkpoint_path(*last)) {
            Ok(checkpoint) => Ok(Some(checkpoint)),
            Err(TrainError::DamagedCheckpoint { path, source, .. }) => {
                let mut previous = iterations
                    .iter()
                    .rev()
                    .skip(1)
                    .map(|iteration| self.checkpoint_path(*iteration));
                let intact = previous.find(|path| Checkpoint::open(path).is_ok());
                Err(TrainError::DamagedCheckpoint { path, intact, source })
            }
            Err(error) => Err(error),
        }
    }

    /// Removes all but the last `keep` checkpoints, at least two: the newest may be damaged, or lead to a loss that is not
    /// finite. That of iteration `newest` is kept.
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
            remove_checkpoint(&self.checkpoint_path(iteration))?;
        }
        Ok(())
    }

    /// Replaces the recorded configuration by one that differs only in [`Configuration::RESUME_MUTABLE_KEYS`].
    ///
    /// # Errors
    /// [`TrainError::OtherConfig`], [`TrainError::Io`].
    pub fn record_config<C: Configuration>(&self, config: &C) -> Result<(), TrainError> {
        self.require_same_config(config)?;
        write_file(&self.config_path(), config.to_toml()?.as_bytes())
    }

    /// Fails if `config` differs from the recorded one in a value that the result depends on.
    pub(crate) fn require_same_config<C: Configuration>(&self, config: &C) -> Result<(), TrainError> {
        let path = self.config_path();
        let text = std::fs::read_to_string(&path).map_err(TrainError::io("read", &path))?;
        RecordedConfig {
            text: &text,
            path: &path,
        }
        .require_same(config)
    }

    /// The lines of `metrics.jsonl`; an incomplete last one is ignored.
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

    /// Drops the lines after `iteration`, which a resumed run writes again, and the evaluation after `iteration` if it is
    /// due again.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub(crate) fn truncate_metrics(&self, iteration: u64, evaluation_due: bool) -> Result<(), TrainError> {
        let path = self.metrics_path();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(TrainError::io("read", path)(error)),
        };
        let stays = |line: &MetricsLine| {
            line.iteration < iteration || (line.iteration == iteration && !(line.is_evaluation() && evaluation_due))
        };
        // Kept lines are copied as text, so that no digit changes.
        let kept = text
            .lines()
            .filter(|line| serde_json::from_str(line).is_ok_and(|line| stays(&line)));
        let kept: String = kept.map(|line| format!("{line}\n")).collect();
        write_file(&path, kept.as_bytes())
    }

    /// Appends a line to `metrics.jsonl`.
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
    use crate::run::write_checkpoint;

    fn run(folder: &Path) -> RunDirectory {
        RunDirectory::create(&folder.join("run"), &TrainConfig::for_tests()).unwrap()
    }

    #[test]
    fn the_last_checkpoints_are_kept() {
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
    fn a_damaged_checkpoint_names_the_intact_one() {
        let folder = tempfile::tempdir().unwrap();
        let run = run(folder.path());
        write_checkpoint(&run.checkpoint_path(5), 5).unwrap();
        write_checkpoint(&run.checkpoint_path(10), 10).unwrap();
        std::fs::write(run.checkpoint_path(10).join("optim.bpk"), b"half").unwrap();
        let error = run.latest().unwrap_err();
        let TrainError::DamagedCheckpoint { path, intact, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(*path, run.checkpoint_path(10));
        assert_eq!(*intact, Some(run.checkpoint_path(5)));
        let text = error.to_string();
        assert!(
            text.contains("iteration-00000010") && text.contains("iteration-00000005"),
            "{text}"
        );
        std::fs::remove_dir_all(run.checkpoint_path(10)).unwrap();
        assert_eq!(run.latest().unwrap().unwrap().iteration(), 5);
    }

    #[test]
    fn a_run_is_not_started_over_another() {
        let folder = tempfile::tempdir().unwrap();
        let first = run(folder.path());
        let error = RunDirectory::create(first.path(), &TrainConfig::for_tests()).unwrap_err();
        assert!(matches!(error, TrainError::RunExists { .. }), "{error}");
        assert!(
            RunDirectory::open(folder.path())
                .unwrap_err()
                .to_string()
                .contains("config.toml")
        );
    }

    #[test]
    fn a_folder_without_configuration_and_checkpoints_is_not_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        // As a process leaves it that is killed while it writes the configuration.
        std::fs::create_dir_all(path.join("checkpoints")).unwrap();
        std::fs::write(path.join(".zegclip-abc.partial"), "seed = ").unwrap();
        let run = RunDirectory::create(&path, &TrainConfig::for_tests()).unwrap();
        drop(run.lock().unwrap());
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 2);
        // A copy without empty folders is a run all the same.
        std::fs::remove_dir(path.join("checkpoints")).unwrap();
        assert_eq!(RunDirectory::open(&path).unwrap().checkpoints().unwrap(), [0; 0]);
    }

    #[test]
    fn of_processes_that_begin_at_once_one_gets_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let made: Vec<_> = std::thread::scope(|scope| {
            let create = || scope.spawn(|| RunDirectory::create(&path, &TrainConfig::for_tests()));
            let threads: Vec<_> = (0..8).map(|_| create()).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
        let others = made.into_iter().filter_map(Result::err);
        assert!(
            others
                .into_iter()
                .all(|error| matches!(error, TrainError::RunExists { .. }))
        );
    }

    #[test]
    fn a_configuration_that_cannot_run_creates_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let error = RunDirectory::create(&path, &TrainConfig::default()).unwrap_err();
        assert!(error.is_configuration_error() && !path.exists(), "{error}");
    }

    #[test]
    fn a_run_that_cannot_start_removes_only_its_own_files() {
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
    fn lines_after_the_checkpoint_are_dropped() {
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
    fn leftovers_of_a_killed_process_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let run = run(folder.path());
        let (file, partial) = (
            run.path().join("checkpoints/.zegclip-x1"),
            run.path().join("checkpoints/.zegclip-partial-iteration-00000005"),
        );
        std::fs::write(&file, "half").unwrap();
        std::fs::create_dir(&partial).unwrap();
        let removed = run.path().join("checkpoints/.zegclip-removed-iteration-00000001");
        std::fs::create_dir(&removed).unwrap();
        // The process was replacing the best one.
        let best = run.best_path();
        write_checkpoint(&best, 4).unwrap();
        std::fs::rename(&best, best.with_file_name(".zegclip-old-best")).unwrap();
        let _lock = run.lock().unwrap();
        assert!(!file.exists() && !partial.exists() && !removed.exists());
        assert_eq!(Checkpoint::open(&best).unwrap().iteration(), 4);
    }

    #[test]
    fn a_lock_is_exclusive() {
        let folder = tempfile::tempdir().unwrap();
        let run = run(folder.path());
        let lock = run.lock().unwrap();
        assert!(matches!(run.lock(), Err(TrainError::RunInUse { .. })));
        drop(lock);
        run.lock().unwrap();
    }
}
