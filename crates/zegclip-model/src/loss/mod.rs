//! What training minimizes (paper, section 3.4): non-exclusive losses of independent masks, and the baselines of its ablation.
//!
//! Each loss has one implementation per device:
//!
//! | loss | implementation |
//! |---|---|
//! | NEL with γ = 2, as published | the kernels of [`zegclip_kernels::mask_losses`], called by `nel.rs` |
//! | NEL with another γ, binary and softmax cross-entropy | [`ablation`], composed from burn's operators on upsampled masks |
//!
//! Every loss is a sum that has to be divided by a normalizer of the complete batch. Sums and [`LossTerms::normalizer`] are additive
//! over micro-batches, so that accumulated gradients are those of the complete batch.

pub mod ablation;
mod config;
mod nel;
mod targets;

pub use config::{LossConfig, LossForm, LossTerms};
pub use targets::MaskTargets;
