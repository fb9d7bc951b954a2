//! Losses of the paper's ablation, composed from burn's operators on upsampled masks: the one implementation of each on every
//! device.
//!
//! [`focal`] and [`dice`] are NEL for γ ≠ 2. The published γ = 2 has kernels in `zegclip-kernels`, and [`LossConfig::forward`] uses
//! those: a change here does not change published training. The parity tests compare both with the published code.
//!
//! [`LossConfig::forward`]: super::LossConfig::forward

mod binary_cross_entropy;
mod cross_entropy;
mod dice;
mod focal;

pub use binary_cross_entropy::binary_cross_entropy;
pub use cross_entropy::cross_entropy;
pub use dice::dice;
pub use focal::focal;
