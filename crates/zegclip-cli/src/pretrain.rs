//! `zegclip pretrain`

use std::path::Path;

use serde_json::json;
use zegclip::{DeviceName, OpenDevice};
use zegclip_foundation::text_of;
use zegclip_model::device;
use zegclip_train::pretrain::{ContrastiveTraining, PairSource, PretrainConfig};
use zegclip_train::{Configuration, Outcome, RunDirectory, TrainError};
use zegclip_weights::set_memory_mapping;

use crate::device_choice;
use crate::failure::Failure;
use crate::hints;
use crate::interrupt::{stop_on_signals, undo_on_signals};
use crate::output::{self, message};
use crate::plan::{PretrainPlan, Task};
use crate::run_messages::{ResumeCommand, recorded_config, resume_exactness, resumed_config};
use crate::train::check_export;
use crate::training_display;

pub(crate) fn run(plan: &PretrainPlan) -> Result<(), Failure> {
    set_memory_mapping(!plan.no_mmap);
    // Device and images are opened before a run directory is created. Of an export, numbers are only copied.
    let device = match &plan.task {
        Task::Export { .. } => device::open(DeviceName::Cpu)?,
        _ => device::open(plan.device)?,
    };
    let (run, config, source) = match &plan.task {
        Task::Start {
            config,
            overrides,
            output,
        } => {
            let config = PretrainConfig::from_file(config, overrides)?;
            let source = PairSource::open(&config)?;
            let config = config.with_tokens(&source)?;
            let run = RunDirectory::create(output, &config)?;
            let begun = run.clone();
            undo_on_signals(move || begun.discard_unstarted());
            (run, config, source)
        }
        Task::Resume { run, overrides } => {
            let run = RunDirectory::open(run)?;
            let config: PretrainConfig = resumed_config(&run, overrides)?;
            let source = PairSource::open(&config)?;
            (run, config, source)
        }
        Task::Export { run, what } => return export(run, what, &device, plan.display.json),
    };
    device_choice::report(plan.device, &device);
    message(resume_exactness(std::slice::from_ref(&device)));
    let resume = ResumeCommand {
        command: "pretrain",
        run: &run,
        devices: &[plan.device],
    };
    let training =
        ContrastiveTraining::new(config.clone(), source, run.clone(), &device.device).inspect_err(|error| {
            // Another process may have resumed it meanwhile.
            if matches!(plan.task, Task::Start { .. }) && !matches!(error, TrainError::RunInUse { .. }) {
                run.discard_unstarted();
            }
        })?;
    if let Task::Resume { overrides, .. } = &plan.task
        && !overrides.is_empty()
    {
        run.record_config(&config)?;
    }
    let interrupter = training.interrupter();
    stop_on_signals(&interrupter);
    let from = training.iteration();
    let renderer = training_display::renderer("pretrain", plan.display, from, &interrupter);
    let outcome = training.with_renderer(renderer).run();
    match outcome.map_err(|error| resume.failed(error))? {
        Outcome::Finished if plan.display.json => output::json(&json!({
            "model": text_of(run.model_path()),
            "iterations": config.iterations(),
            "report": text_of(run.report_path()),
        })),
        Outcome::Finished => output::line(run.model_path().display()),
        Outcome::Interrupted { iteration } => Err(resume.interrupted(iteration)),
    }
}

fn export(run: &Path, path: &Path, device: &OpenDevice, json: bool) -> Result<(), Failure> {
    let run = RunDirectory::open(run)?;
    let config: PretrainConfig = recorded_config(&run)?;
    check_export(path, hints::CHOOSE_EXPORTED_FILE)?;
    output::check_file(path)?;
    let source = PairSource::open(&config)?;
    let training = ContrastiveTraining::new(config, source, run, &device.device)?;
    training.write_model(path)?;
    if json {
        return output::json(&json!({ "model": text_of(path) }));
    }
    output::line(path.display())
}
