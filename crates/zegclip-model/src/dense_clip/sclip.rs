//! SCLIP (Wang et al., "Rethinking Self-Attention for Dense Vision-Language Inference", ECCV 2024; arXiv 2312.01597).

use super::last_block::{LastAttention, LastLayer};

impl LastLayer {
    /// Queries attend to queries and keys to keys, both at full weight; residual and perceptron are kept.
    pub fn sclip() -> Self {
        Self {
            attention: LastAttention::QueryQueryPlusKeyKey,
            residual: true,
            feed_forward: true,
        }
    }
}
