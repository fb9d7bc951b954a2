//! Which attention weights are 0, without burn.

use crate::dropout::DropoutMask;

/// Which attention weights are 0.
#[derive(Debug, Clone, Copy)]
pub struct AttentionMask {
    /// Weights of keys after the query.
    pub causal: bool,
    /// Weights that dropout selects by their position in `[batch, heads, queries, keys]`, with extra keys after the own ones.
    pub dropout: Option<DropoutMask>,
}
