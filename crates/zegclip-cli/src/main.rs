//! `zegclip`: zero-shot semantic segmentation from the command line.
//!
//! Results go to stdout, progress and messages to stderr. Exit code 0: all done; 1: something failed; 2: wrong usage.

mod arguments;
mod classes;
mod convert;
mod dataset;
mod demo;
mod devices;
mod eval;
mod evaluation_arguments;
mod evaluation_files;
mod failure;
mod inputs;
mod inspect;
mod interrupt;
mod notices;
mod output;
mod pretrain;
mod progress;
mod run_messages;
mod scenes;
mod score;
mod scored_dataset;
mod segment;
mod tokenize;
mod train;
mod training_display;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
use failure::Failure;

/// Reuses freed tensor memory.
#[global_allocator]
static ALLOCATOR: zegclip_kernels::KeepingAllocator = zegclip_kernels::KeepingAllocator;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    notices::install();
    let work = || training_display::closed_after(|| run(arguments));
    // What panicked has said so on stderr; nothing is used afterwards.
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Failure::failed(
            "internal error: the program panicked; please report this bug",
        ))
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // A broken pipe is success.
        Err(Failure::ClosedPipe) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            failure.exit_code()
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Demo(options) => demo::run(&options),
        Command::Segment(options) => segment::run(&options),
        Command::Eval(options) => eval::run(&options),
        Command::Score(options) => score::run(&options),
        Command::Dataset { command } => dataset::run(&command),
        Command::Pretrain(options) => pretrain::run(&options),
        Command::Train(options) => train::run(&options),
        Command::Scenes(options) => scenes::run(&options),
        Command::Inspect(options) => inspect::run(&options),
        Command::Convert(options) => convert::run(&options),
        Command::Tokenize(options) => tokenize::run(&options),
        Command::Devices(options) => devices::run(&options),
    }
}
