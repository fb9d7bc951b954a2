//! The reference device: every operator composed from burn's, no kernel of this crate.
//!
//! burn 0.23 drops its backend. This file, the feature `ndarray` and its selectors at the operators are then removed.

use burn::backend::NdArray;

use crate::attention::AttentionKernel;
use crate::dropout::DropoutKernel;
use crate::layer_norm::LayerNormKernel;
use crate::linear::LinearKernel;
use crate::mask_decoding::MaskDecodingOperator;
use crate::mask_loss::MaskLossKernel;
use crate::quick_gelu::QuickGeluKernel;

impl AttentionKernel for NdArray {}
impl DropoutKernel for NdArray {}
impl LayerNormKernel for NdArray {}
impl LinearKernel for NdArray {}
impl MaskDecodingOperator for NdArray {}
impl MaskLossKernel for NdArray {}
impl QuickGeluKernel for NdArray {}
