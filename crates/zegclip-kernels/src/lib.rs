//! Operators of ZegCLIP that burn lacks or has slowly.
//!
//! Each is one function on [`burn::tensor::Tensor`] that works on every device and has a gradient of its own under autodiff.
//! On the processor (burn-flex) they run kernels of this crate, `cpu`. On GPUs all but matrix products are kernels in CubeCL,
//! `cube`, since a composition passes over memory many times; matrix products are burn's there, which are tuned for each card at
//! first use. On the reference device (burn-ndarray) all are composed from burn's operators.
//!
//! This is the only crate of the workspace where `unsafe` appears, and there only to let several threads write one result,
//! not to zero memory that is overwritten, to prefetch, and in the allocator that programs may install.
#![cfg_attr(
    feature = "ndarray",
    allow(deprecated, reason = "burn 0.23 drops the reference device")
)]

mod attention;
mod bilinear;
mod cpu;
mod cube;
mod dropout;
mod flex;
mod keeping_allocator;
mod layer_norm;
mod linear;
mod mask_decoding;
mod mask_loss;
#[cfg(feature = "ndarray")]
mod ndarray;
mod optional;
mod quick_gelu;
mod worker;

pub use attention::{
    AttentionGradients, AttentionKernel, AttentionOperator, attention, attention_with_dropout, self_attention,
};
pub use bilinear::{Tap, bilinear_taps, bilinear_weights};
pub use cpu::{Activation, AttentionMask, Lots};
pub use dropout::{DropoutKernel, DropoutOperator, dropout, with_dropout_seed};
pub use keeping_allocator::KeepingAllocator;
pub use layer_norm::{LayerNormGradients, LayerNormKernel, LayerNormOperator, layer_norm};
pub use linear::{LinearKernel, LinearOperator, linear, linear_add};
pub use mask_decoding::{MaskDecodingOperator, MaskLayout, decode_masks};
pub use mask_loss::{LabelMaps, MaskLossKernel, MaskLossOperator, MaskLossResult, mask_losses};
pub use optional::{OptionalPair, OptionalTensor};
pub use quick_gelu::{QuickGeluKernel, QuickGeluOperator, quick_gelu};
pub use worker::on_worker;
