//! What `zegclip train` and `zegclip pretrain` report of a run that can be resumed.

use std::ffi::OsStr;

use zegclip::{DeviceName, OpenDevice};
use zegclip_train::pretrain::PretrainConfig;
use zegclip_train::{Configuration, RunDirectory, TrainConfig, TrainError};

use crate::failure::Failure;
use crate::{hints, shell};

/// The command that resumes a run.
#[derive(Debug)]
pub(crate) struct ResumeCommand<'a> {
    /// `train` or `pretrain`.
    pub(crate) command: &'static str,
    pub(crate) run: &'a RunDirectory,
    pub(crate) devices: &'a [DeviceName],
}

impl ResumeCommand<'_> {
    /// The failure of a run that was interrupted.
    pub(crate) fn interrupted(&self, iteration: u64) -> Failure {
        Failure::failed(format!("interrupted after iteration {iteration}, which is saved"))
            .hint(hints::resume(&self.line()))
    }

    /// The failure of a run, which can be resumed where its files or data were at fault.
    pub(crate) fn failed(&self, error: TrainError) -> Failure {
        let last = self
            .run
            .checkpoints()
            .ok()
            .and_then(|iterations| iterations.last().copied());
        match (&error, last) {
            (
                TrainError::Io { .. } | TrainError::Data(_) | TrainError::Weights(_) | TrainError::Device(_),
                Some(iteration),
            ) => Failure::failed(error).hint(hints::resume_from(iteration, &self.line())),
            _ => Failure::failed(error),
        }
    }

    fn line(&self) -> String {
        let devices: Vec<String> = self.devices.iter().map(DeviceName::to_string).collect();
        let devices = devices.join(",");
        let run = self.run.path().as_os_str();
        let arguments = ["zegclip", self.command, "--resume"].map(OsStr::new).into_iter();
        let arguments = arguments.chain([run, OsStr::new("--device"), OsStr::new(&devices)]);
        shell::command(arguments.map(OsStr::to_owned))
    }
}

/// How exactly a run is resumed on these devices.
pub(crate) fn resume_exactness(devices: &[OpenDevice]) -> &'static str {
    if devices.iter().all(|device| !device.gpu) {
        "note: an interrupted run resumes bit-exactly"
    } else {
        "note: an interrupted run resumes from its exact state, but bit-exactly only if autotuning, which measures time, \
         selects the same kernels again; on `cpu` it always resumes bit-exactly"
    }
}

/// A command that trains.
pub(crate) trait Trains: Configuration {
    /// Its name.
    const COMMAND: &'static str;
    /// The configuration of the other such command.
    type Other: Trains;
}

impl Trains for TrainConfig {
    const COMMAND: &'static str = "train";
    type Other = PretrainConfig;
}

impl Trains for PretrainConfig {
    const COMMAND: &'static str = "pretrain";
    type Other = TrainConfig;
}

/// The configuration of a run. A file without any key would count as a configuration of default values.
pub(crate) fn recorded_config<C: Trains>(run: &RunDirectory) -> Result<C, Failure> {
    let path = run.config_path();
    if std::fs::read_to_string(&path).is_ok_and(|text| text.trim().is_empty()) {
        return Err(Failure::failed(format!("`{}` is empty", path.display())).hint(hints::RESTORE_CONFIG));
    }
    run.config().map_err(|error| match run.config::<C::Other>() {
        Ok(_) => {
            let other = C::Other::COMMAND;
            Failure::usage(format!("`{}` is a run of `zegclip {other}`", run.path().display()))
                .hint(hints::other_command(other, run.path()))
        }
        Err(_) => error.into(),
    })
}

/// The configuration of a run that is resumed, with the values that may change.
pub(crate) fn resumed_config<C: Trains>(run: &RunDirectory, overrides: &[String]) -> Result<C, Failure> {
    let recorded: C = recorded_config(run)?;
    if overrides.is_empty() {
        return Ok(recorded);
    }
    let given = C::from_file(&run.config_path(), overrides)?;
    recorded
        .require_same(&given, &run.config_path())
        .map_err(Failure::usage)?;
    Ok(given)
}
