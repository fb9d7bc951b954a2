//! `zegclip train` and `zegclip pretrain`

use std::ffi::OsString;
use std::path::PathBuf;

use zegclip::DeviceName;

use crate::arguments::{DisplayArguments, PretrainArguments, TrainArguments};
use crate::failure::Failure;
use crate::hints;

const TRAIN_OUTPUT: &str = "zegclip-run";
const PRETRAIN_OUTPUT: &str = "zegclip-pretrain";

/// What is done with a run.
#[derive(Debug)]
pub(crate) enum Task<E> {
    Start {
        config: PathBuf,
        /// `KEY=VALUE`
        overrides: Vec<String>,
        /// Folder of the run.
        output: PathBuf,
    },
    Resume {
        run: PathBuf,
        /// `KEY=VALUE`
        overrides: Vec<String>,
    },
    Export {
        run: PathBuf,
        what: E,
    },
}

#[derive(Debug)]
pub(crate) struct TrainPlan {
    pub(crate) task: Task<(CheckpointName, Option<PathBuf>)>,
    pub(crate) devices: Vec<DeviceName>,
    pub(crate) no_mmap: bool,
    pub(crate) display: DisplayArguments,
}

#[derive(Debug)]
pub(crate) struct PretrainPlan {
    pub(crate) task: Task<PathBuf>,
    pub(crate) device: DeviceName,
    pub(crate) no_mmap: bool,
    pub(crate) display: DisplayArguments,
}

/// A checkpoint of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CheckpointName {
    Best,
    HalfWay,
    Latest,
    Iteration(u64),
    Folder(PathBuf),
}

impl From<OsString> for CheckpointName {
    fn from(name: OsString) -> Self {
        match name.to_str() {
            Some("best") => Self::Best,
            Some("half-way") => Self::HalfWay,
            Some("latest") => Self::Latest,
            text => text
                .and_then(|text| text.parse().ok())
                .map_or_else(|| Self::Folder(name.into()), Self::Iteration),
        }
    }
}

impl TrainPlan {
    pub(crate) fn new(arguments: TrainArguments) -> Result<Self, Failure> {
        let overrides = arguments.overrides;
        let task = match (arguments.config, arguments.resume, arguments.export) {
            (_, Some(run), Some(checkpoint)) => Task::Export {
                run,
                what: (checkpoint.into(), arguments.output),
            },
            (_, Some(_), None) if arguments.output.is_some() => {
                return Err(Failure::usage("a resumed run stays in its folder").hint(hints::OUTPUT_OF_RESUMED));
            }
            (_, Some(run), None) => Task::Resume { run, overrides },
            (Some(config), None, _) => Task::Start {
                config,
                overrides,
                output: arguments.output.unwrap_or_else(|| TRAIN_OUTPUT.into()),
            },
            (None, None, _) => return Err(no_run()),
        };
        Ok(Self {
            task,
            devices: arguments.device,
            no_mmap: arguments.no_mmap,
            display: arguments.display,
        })
    }
}

impl PretrainPlan {
    pub(crate) fn new(arguments: PretrainArguments) -> Result<Self, Failure> {
        let overrides = arguments.overrides;
        let task = match (arguments.config, arguments.resume, arguments.export) {
            (_, Some(run), Some(what)) => Task::Export { run, what },
            (_, Some(run), None) => Task::Resume { run, overrides },
            (Some(config), None, _) => Task::Start {
                config,
                overrides,
                output: arguments.output.unwrap_or_else(|| PRETRAIN_OUTPUT.into()),
            },
            (None, None, _) => return Err(no_run()),
        };
        Ok(Self {
            task,
            device: arguments.device,
            no_mmap: arguments.no_mmap,
            display: arguments.display,
        })
    }
}

fn no_run() -> Failure {
    Failure::usage("neither a configuration nor a run is named").hint(hints::NAME_RUN)
}
