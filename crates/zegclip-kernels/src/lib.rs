//! Operators of ZegCLIP that burn lacks or has slowly.
//!
//! Each is one function on [`burn::tensor::Tensor`] that works on every device: on the processor (burn-flex) by kernels of
//! this crate, on other devices composed from burn's operators, and with a gradient of its own under autodiff.
//!
//! This is the only crate of the workspace where `unsafe` appears, and there only to let several threads write one result,
//! not to zero memory that is overwritten, to prefetch, and in the allocator that programs may install.

mod attention;
mod bilinear;
mod cpu;
mod flex;
mod keeping_allocator;
mod layer_norm;
mod linear;
mod mask_loss;
mod optional;
mod quick_gelu;

pub use attention::{AttentionGradients, AttentionKernel, AttentionOperator, attention, self_attention};
pub use bilinear::{Tap, bilinear_taps, bilinear_weights};
pub use cpu::Activation;
pub use keeping_allocator::KeepingAllocator;
pub use layer_norm::{LayerNormGradients, LayerNormKernel, LayerNormOperator, layer_norm};
pub use linear::{LinearKernel, LinearOperator, PackedLinear, PackedWeight, linear, linear_add};
pub use mask_loss::{LabelMaps, MaskLossKernel, MaskLossOperator, MaskLossResult, mask_losses};
pub use optional::{OptionalPair, OptionalTensor};
pub use quick_gelu::{QuickGeluKernel, QuickGeluOperator, quick_gelu};
