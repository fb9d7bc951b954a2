//! Kernels for the processor: plain slices in, plain slices out, no tensor library.
//!
//! Each kernel is written once against [`pulp::Simd`] and compiled for every instruction set that the processor may have;
//! the best one is chosen at run time. Work is cut into tasks by the shapes alone, and no two tasks add to the same number,
//! so that results do not depend on how many threads there are.

mod activation;
mod attention;
mod attention_backward;
mod buffer;
mod column_sums;
mod elementwise;
mod exponential;
mod instruction_set;
mod layer_norm;
mod lots;
mod mask_loss;
mod matrix;
mod prefetch;
mod product;
mod tile;

pub use activation::Activation;
pub use attention::AttentionMask;
pub(crate) use attention::{Attended, Head, attention};
pub(crate) use attention_backward::{HeadBackward, Target, attention_backward};
pub(crate) use buffer::{OutputCells, filled_by};
pub(crate) use column_sums::column_sums;
pub(crate) use elementwise::{
    dropout, dropout_in_place, quick_gelu, quick_gelu_backward_in_place, quick_gelu_in_place,
};
pub(crate) use instruction_set::InstructionSet;
pub(crate) use layer_norm::{ParameterGradients, layer_norm, layer_norm_gradients, layer_norm_x_gradient};
pub use lots::Lots;
pub(crate) use lots::MULTIPLIERS;
pub(crate) use mask_loss::{MaskLossInput, mask_losses};
pub(crate) use matrix::Matrix;
pub(crate) use product::{Finish, multiply};

#[cfg(test)]
mod tests;
