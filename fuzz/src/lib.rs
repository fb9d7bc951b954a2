//! Fuzzing of everything that reads untrusted bytes: `cargo xtask fuzz`.
//!
//! The runner is our own. `cargo fuzz` needs a nightly compiler. `bolero` runs on a stable one, but finds and keeps what is
//! interesting only through libFuzzer or AFL, which its own command builds, and it knows no bound of memory that depends on
//! the input. What is needed is small:
//!
//! - inputs are changes (`mutate`) of valid files (`seeds`) and of the inputs in `corpus/TARGET/`, whose checksums and
//!   lengths are made right again (`repair`), so that they get past headers;
//! - an input that ends in another way than all before, or reaches other branches, is changed further. Branches are known in
//!   programs built by `cargo xtask fuzz`: LLVM's edge counters (`coverage`) need only the stable compiler;
//! - a panic, more than [`TIME_LIMIT`], more memory than [`Target::memory`] and 64 times the input (`allocator`), or the end of the process is a crash:
//!   its input is in `crashes/`, and the command that reproduces it is printed;
//! - the same seed and number of inputs give the same inputs, as long as branches are not counted: hash tables of the
//!   standard library differ in each process.
//!
//! Each target also runs as a test for about a second.

mod allocator;
mod coverage;
mod fuzzer;
mod mutate;
mod repair;
mod scratch;
mod seeds;
mod targets;

pub use fuzzer::{Budget, Crash, Fuzzer, Report, TIME_LIMIT, corpus_folder, crashes_folder};
pub use targets::{Reader, TARGETS, Target, find};

#[global_allocator]
static ALLOCATOR: allocator::CountingAllocator = allocator::CountingAllocator;
