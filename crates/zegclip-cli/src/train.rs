//! `zegclip train`

use std::path::{Path, PathBuf};

use serde_json::json;
use zegclip::{DeviceName, OpenDevice};
use zegclip_foundation::text_of;
use zegclip_model::device;
use zegclip_train::{
    Checkpoint, CheckpointExport, Configuration, Outcome, RunDirectory, SegmentationTraining, TrainConfig, TrainData,
    TrainError,
};
use zegclip_weights::set_memory_mapping;

use crate::assumptions;
use crate::device_choice;
use crate::failure::Failure;
use crate::hints;
use crate::interrupt::{stop_on_signals, undo_on_signals};
use crate::output::{self, message};
use crate::plan::{CheckpointName, Task, TrainPlan};
use crate::run_messages::{ResumeCommand, recorded_config, resume_exactness, resumed_config};
use crate::{training_display, weights};

pub(crate) fn run(plan: &TrainPlan) -> Result<(), Failure> {
    set_memory_mapping(!plan.no_mmap);
    // Devices and data set are opened before a run directory is created. Of an export, numbers are only copied.
    let devices = match &plan.task {
        Task::Export { .. } => open(&[DeviceName::Cpu])?,
        _ => open(&plan.devices)?,
    };
    let Some((first, further)) = devices.split_first() else {
        return Err(Failure::usage("`--device` names no device"));
    };
    let (run, config, data) = match &plan.task {
        Task::Start {
            config,
            overrides,
            output,
        } => {
            let mut config = TrainConfig::from_file(config, overrides)?;
            config.validate()?;
            let clip = config.model.clip.as_deref().map(weights::located).transpose()?;
            config.model.clip = clip;
            let data = TrainData::open(&config)?;
            let run = RunDirectory::create(output, &config)?;
            let begun = run.clone();
            undo_on_signals(move || begun.discard_unstarted());
            (run, config, data)
        }
        Task::Resume { run, overrides } => {
            let run = RunDirectory::open(run)?;
            let config: TrainConfig = resumed_config(&run, overrides)?;
            let data = TrainData::open(&config)?;
            (run, config, data)
        }
        Task::Export {
            run,
            what: (checkpoint, output),
        } => return export(run, checkpoint, output.clone(), first, plan.display.json),
    };
    for (name, device) in plan.devices.iter().zip(&devices) {
        device_choice::report(*name, device);
    }
    message(resume_exactness(&devices));
    let further: Vec<_> = further.iter().map(|device| device.device.clone()).collect();
    let resume = ResumeCommand {
        command: "train",
        run: &run,
        devices: &plan.devices,
    };
    let notes = data.notes().to_vec();
    let training = SegmentationTraining::new(config.clone(), data, run.clone(), &first.device)
        .and_then(|training| training.with_further_devices(&further))
        .inspect_err(|error| {
            // Another process may have resumed it meanwhile.
            if matches!(plan.task, Task::Start { .. }) && !matches!(error, TrainError::RunInUse { .. }) {
                run.discard_unstarted();
            }
        })?;
    assumptions::report(training.assumptions(), hints::state_before_training);
    if let Task::Resume { overrides, .. } = &plan.task
        && !overrides.is_empty()
    {
        run.record_config(&config)?;
    }
    let interrupter = training.interrupter();
    stop_on_signals(&interrupter);
    let (from, iterations) = (training.iteration(), config.iterations);
    let renderer = training_display::renderer("train", plan.display, from, &interrupter);
    let outcome = training.with_renderer(renderer).run();
    match outcome.map_err(|error| resume.failed(error))? {
        Outcome::Finished if plan.display.json => {
            let mut finished = json!({
                "model": text_of(run.model_path()),
                "iterations": iterations,
                "report": text_of(run.report_path()),
            });
            if let (Some(finished), false) = (finished.as_object_mut(), notes.is_empty()) {
                finished.insert("notes".to_owned(), json!(notes));
            }
            output::json(&finished)
        }
        Outcome::Finished => output::line(run.model_path().display()),
        Outcome::Interrupted { iteration } => Err(resume.interrupted(iteration)),
    }
}

fn export(
    run: &Path,
    checkpoint: &CheckpointName,
    output: Option<PathBuf>,
    device: &OpenDevice,
    json: bool,
) -> Result<(), Failure> {
    let run = RunDirectory::open(run)?;
    let config: TrainConfig = recorded_config(&run)?;
    let (name, path) = locate(&run, checkpoint)?;
    if !path.is_dir() {
        return Err(
            Failure::failed(format!("there is no checkpoint `{}`", path.display())).hint(hints::NAME_CHECKPOINT)
        );
    }
    if !Checkpoint::is_checkpoint(&path) {
        return Err(Failure::failed(format!("`{}` is not a checkpoint", path.display())).hint(hints::NAME_CHECKPOINT));
    }
    let output = output.unwrap_or_else(|| run.path().join(format!("{name}.safetensors")));
    check_export(&output, hints::CHOOSE_EXPORT)?;
    crate::output::check_file(&output)?;
    let export = CheckpointExport {
        config: &config,
        run: &run,
        device: &device.device,
    };
    export.write(&path, &output)?;
    if json {
        return output::json(&json!({ "model": text_of(output) }));
    }
    output::line(output.display())
}

/// Fails unless an export can be written to `path`.
pub(crate) fn check_export(path: &Path, hint: &'static str) -> Result<(), Failure> {
    let extension = path.extension().unwrap_or_default();
    if !extension.eq_ignore_ascii_case("safetensors") {
        return Err(
            Failure::usage(format!("`{}` does not end in `.safetensors`", path.display())).hint(hints::EXPORT_FORMAT),
        );
    }
    if path.exists() {
        return Err(Failure::usage(format!("`{}` already exists", path.display())).hint(hint));
    }
    Ok(())
}

/// Name and folder of a checkpoint.
fn locate(run: &RunDirectory, checkpoint: &CheckpointName) -> Result<(String, PathBuf), Failure> {
    let of_iteration = |iteration| (format!("iteration-{iteration}"), run.checkpoint_path(iteration));
    Ok(match checkpoint {
        CheckpointName::Best => ("best".to_owned(), run.best_path()),
        CheckpointName::HalfWay => ("half-way".to_owned(), run.half_way_path()),
        CheckpointName::Latest => {
            let newest = run.checkpoints()?.last().copied();
            let missing = || Failure::failed(format!("`{}` has no checkpoint yet", run.path().display()));
            of_iteration(newest.ok_or_else(missing)?)
        }
        CheckpointName::Iteration(iteration) => of_iteration(*iteration),
        CheckpointName::Folder(path) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, path.clone())
        }
    })
}

/// Opens the devices, which must differ.
fn open(names: &[DeviceName]) -> Result<Vec<OpenDevice>, Failure> {
    let mut devices: Vec<OpenDevice> = Vec::new();
    for name in names {
        let device = device::open(*name)?;
        if devices.iter().any(|other| other.device == device.device) {
            return Err(Failure::usage(format!(
                "device {} is named twice, but a device computes one shard of the batch",
                device.description
            ))
            .hint(hints::DEVICE_TWICE));
        }
        devices.push(device);
    }
    Ok(devices)
}
