//! What training minimises (paper, section 3.4): non-exclusive losses of independent masks, and the baselines of its ablation.
//!
//! Every loss is a sum that still has to be divided by a normaliser of the whole batch. Sums add over parts of a batch, so
//! that accumulated gradients of small parts are those of the whole; [`LossTerms::normaliser`] adds up in the same way.

mod bce;
mod cross_entropy;
mod dice;
mod focal;
mod form;
mod nel;
mod targets;

pub use bce::binary_cross_entropy;
pub use cross_entropy::cross_entropy;
pub use dice::dice;
pub use focal::focal;
pub use form::{LossConfig, LossForm, LossTerms};
pub use nel::nel;
pub use targets::MaskTargets;
