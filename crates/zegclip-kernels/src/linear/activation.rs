//! Activations that a linear layer can fuse.

/// The function that a linear layer applies to each element of its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Activation {
    /// The identity.
    #[default]
    None,
    /// `x · σ(1.702 x)`
    QuickGelu,
    /// `max(x, 0)`
    Relu,
}
