//! The mapping of one tensor's name.

/// What a tensor of the file becomes.
pub(super) enum Target {
    /// The tensor itself under another name.
    Named(String),
    /// Its transpose: linear layers store `[out, in]`, CLIP's projections are `[in, out]`.
    Transposed(String),
    /// The given third of a joint projection of queries, keys and values.
    Third(String, usize),
    /// A constant buffer.
    Dropped,
}
