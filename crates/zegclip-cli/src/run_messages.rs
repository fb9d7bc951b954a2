//! What `zegclip train` and `zegclip pretrain` say of a run that can be resumed.

use zegclip::{DeviceName, OpenDevice};
use zegclip_train::{Configuration, RunDirectory, TrainError};

use crate::failure::Failure;

/// The command that goes on with a run.
#[derive(Debug)]
pub(crate) struct Resuming<'a> {
    /// `train` or `pretrain`.
    pub(crate) command: &'static str,
    pub(crate) run: &'a RunDirectory,
    pub(crate) devices: &'a [DeviceName],
}

impl Resuming<'_> {
    /// A run that was interrupted.
    pub(crate) fn interrupted(&self, iteration: u64) -> Failure {
        Failure::failed(format!(
            "interrupted after iteration {iteration}, which is saved; go on with\n  {}",
            self.line()
        ))
    }

    /// An error of a run, with the way on where the run still has one.
    pub(crate) fn advise(&self, error: TrainError) -> Failure {
        let last = self
            .run
            .checkpoints()
            .ok()
            .and_then(|iterations| iterations.last().copied());
        match (&error, last) {
            (TrainError::Io { .. } | TrainError::Data(_) | TrainError::Weights(_), Some(iteration)) => {
                Failure::failed(format!(
                    "{error}; the state after iteration {iteration} is whole, go on from it with\n  {}",
                    self.line()
                ))
            }
            _ => Failure::failed(error),
        }
    }

    fn line(&self) -> String {
        let devices: Vec<String> = self.devices.iter().map(DeviceName::to_string).collect();
        format!(
            "zegclip {} --resume {} --device {}",
            self.command,
            self.run.path().display(),
            devices.join(",")
        )
    }
}

/// What a resumed run promises on these devices.
pub(crate) fn promise(devices: &[OpenDevice]) -> &'static str {
    if devices.iter().all(|device| !device.gpu) {
        "a resumed run goes on bit for bit"
    } else {
        "a resumed run restores every number, but goes on bit for bit only where autotuning chooses the same kernels again, \
         which it does by timing; on `cpu` it always does"
    }
}

/// The configuration of a run that is resumed, with values that may change beside `--resume`.
pub(crate) fn resumed_config<C: Configuration>(run: &RunDirectory, overrides: &[String]) -> Result<C, Failure> {
    let recorded: C = run.config().map_err(Failure::failed)?;
    if overrides.is_empty() {
        return Ok(recorded);
    }
    let given = C::from_file(&run.config_path(), overrides).map_err(Failure::usage)?;
    recorded
        .require_same(&given, &run.config_path())
        .map_err(Failure::usage)?;
    Ok(given)
}
