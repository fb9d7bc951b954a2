//! `zegclip`: zero-shot semantic segmentation from the command line.
//!
//! Results go to stdout, progress and messages to stderr. Exit code 0: all done; 1: something failed; 2: wrong usage.

mod arguments;
mod classes;
mod convert;
mod dashboard;
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
mod output;
mod pretrain;
mod process_memory;
mod progress;
mod run_messages;
mod scenes;
mod score;
mod scored_dataset;
mod segment;
mod tokenize;
mod train;
mod train_validation;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
use failure::Failure;

/// Tensors of like size come and go all the time.
#[global_allocator]
static ALLOCATOR: zegclip_kernels::KeepingAllocator = zegclip_kernels::KeepingAllocator;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
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
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough.
        Err(Failure::ClosedPipe) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            failure.exit_code()
        }
    }
}
