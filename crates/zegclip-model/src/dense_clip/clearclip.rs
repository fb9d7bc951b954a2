//! ClearCLIP (Lan et al., "ClearCLIP: Decomposing CLIP Representations for Dense Vision-Language Inference", ECCV 2024; arXiv 2407.12442).

use super::last_block::{LastAttention, LastLayer};

impl LastLayer {
    /// Queries attend to queries, without residual and perceptron, which are tuned to the class token.
    pub fn clearclip() -> Self {
        Self {
            attention: LastAttention::QueryQuery,
            residual: false,
            feed_forward: false,
        }
    }
}
