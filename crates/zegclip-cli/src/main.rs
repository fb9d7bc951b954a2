//! `zegclip`: zero-shot semantic segmentation on the command line.
//!
//! Results go to stdout, progress and messages to stderr. Exit code 0: success; 1: failure; 2: wrong usage.

#![forbid(unsafe_code)]

mod arguments;
mod assumptions;
mod classes;
mod convert;
mod dataset;
#[cfg(feature = "demo")]
mod demo;
mod device_choice;
mod devices;
mod eval;
mod failure;
mod generate;
mod hints;
mod inputs;
mod inspect;
mod interrupt;
mod notices;
mod output;
mod plan;
mod pretrain;
mod progress;
mod run_messages;
mod scenes;
mod score;
mod score_lines;
mod scored_dataset;
mod segment;
mod shell;
mod threads;
mod tokenize;
mod train;
mod training_display;
#[cfg(feature = "hub")]
mod weights;
#[cfg(not(feature = "hub"))]
#[path = "weights_offline.rs"]
mod weights;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use arguments::Command;
use failure::Failure;
use plan::{EvalPlan, PretrainPlan, ScorePlan, SegmentPlan, TrainPlan};

/// Reuses freed tensor memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let listening = interrupt::install();
    let arguments = match arguments::parse(std::env::args_os().collect()) {
        Ok(arguments) => arguments,
        Err(failure) => {
            failure.report();
            return failure.exit_code();
        }
    };
    notices::install();
    threads::hide_refusals();
    let work = || {
        training_display::closed_after(|| {
            listening?;
            threads::start()?;
            run(arguments.command)
        })
    };
    // The panic's own message is on stderr already.
    let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(threads::refused()
            .unwrap_or_else(|| Failure::failed("internal error: the program panicked").hint(hints::REPORT_BUG)))
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            if let Failure::Signaled(_, signal) = failure {
                interrupt::end_silently(signal);
            }
            failure.exit_code()
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        #[cfg(feature = "demo")]
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Segment(arguments) => segment::run(&SegmentPlan::new(*arguments)?),
        Command::Train(arguments) => train::run(&TrainPlan::new(arguments)?),
        Command::Pretrain(arguments) => pretrain::run(&PretrainPlan::new(arguments)?),
        Command::Eval(arguments) => eval::run(&EvalPlan::new(*arguments)?),
        Command::Score(arguments) => score::run(&ScorePlan::new(arguments)?),
        Command::Dataset { command } => dataset::run(&command),
        Command::Scenes(arguments) => scenes::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Convert(arguments) => convert::run(&arguments),
        #[cfg(feature = "hub")]
        Command::Weights { command } => weights::run(&command),
        Command::Tokenize(arguments) => tokenize::run(&arguments),
        Command::Devices(arguments) => devices::run(&arguments),
        Command::Completions(arguments) => generate::completions(&arguments),
        Command::Man(arguments) => generate::man(&arguments),
    }
}
