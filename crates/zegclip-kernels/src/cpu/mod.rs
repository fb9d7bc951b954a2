//! What the kernels for the CPU share: instruction sets, memory, matrices and tiles. No tensor library.
//!
//! Each kernel is written once against [`pulp::Simd`] and compiled for every instruction set that the CPU may have; the best
//! one is chosen at run time. Work is cut into tasks by the shapes alone, and no two tasks add to the same number, so that
//! results do not depend on the number of threads.

mod buffer;
mod chunks;
mod exponential;
mod instruction_set;
mod matrix;
mod prefetch;
pub(crate) mod tile;

pub(crate) use buffer::{OutputCells, OutputRectangle, Scratch, filled_by, filled_in_chunks};
pub(crate) use chunks::{CHUNK, in_chunks};
pub(crate) use exponential::{exp2, sigmoid};
pub(crate) use instruction_set::InstructionSet;
pub(crate) use matrix::{Matrix, interleave, pad};
