//! Operators of ZegCLIP that burn lacks or computes slowly.
//!
//! Each operator is one function on [`burn::tensor::Tensor`] that works on every device and has its own gradient under autodiff.
//! Its file and folder hold all implementations:
//!
//! | file | what |
//! |---|---|
//! | `OPERATOR.rs` | the function, its dispatch by backend and its gradient |
//! | `OPERATOR/cpu.rs` | kernel for the CPU, on slices and without burn |
//! | `OPERATOR/cube.rs` | kernel for GPUs in CubeCL (feature `cube`) |
//! | `OPERATOR/composed.rs` | the same from burn's operators, for the reference device and types without a kernel |
//!
//! Matrix products on GPUs are burn's, which tunes them for each card at first use. `cpu/` and `cube/` are what kernels share.
//!
//! # Features
//! - `wgpu` (default): GPUs through Vulkan, Metal, Direct3D 12 or OpenGL
//! - `native-gpu`: SPIR-V and Metal compilers beside WGSL
//! - `cuda`: NVIDIA cards through CUDA
//! - `ndarray`: the reference device on the CPU
//!
//! Without `wgpu` and `cuda` no GPU library is built.
//!
//! # Safety
//! `unsafe` is needed for results that several threads write, for memory that is not zeroed before it is overwritten, for
//! prefetching, and for the allocator that programs may install.
#![cfg_attr(
    feature = "ndarray",
    allow(deprecated, reason = "burn 0.23 drops the reference device")
)]

mod attention;
mod bilinear;
mod cpu;
#[cfg(feature = "cube")]
mod cube;
mod dropout;
mod flex;
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
    AttentionGradients, AttentionKernel, AttentionMask, AttentionOperator, attention, attention_with_dropout,
    self_attention,
};
pub use bilinear::{Tap, bilinear_taps, bilinear_weights};
pub use dropout::{DropoutKernel, DropoutMask, DropoutOperator, dropout, with_dropout_seed};
pub use layer_norm::{LayerNormGradients, LayerNormKernel, LayerNormOperator, layer_norm};
pub use linear::{Activation, LinearKernel, LinearOperator, linear, linear_add};
pub use mask_decoding::{
    DecodedMasks, MaskActivation, MaskDecoding, MaskDecodingOperator, MaskLayout, NO_CLASS, NameDecoding, NamePlanes,
    NameSoftmax, WindowCosines, WindowMasks, decode_masks, decode_names, decode_on_device, decode_window_masks,
};
pub use mask_loss::{LabelMaps, MaskLossKernel, MaskLossOperator, MaskLossResult, mask_losses};
pub use optional::{OptionalPair, OptionalTensor};
pub use quick_gelu::{QuickGeluKernel, QuickGeluOperator, quick_gelu};
pub use worker::on_worker;
