//! Arguments of operators that may be absent.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType};

/// A tensor that an operator may do without.
#[derive(Debug, ExtensionType)]
pub enum OptionalTensor<B: Backend> {
    /// It is there.
    Present(FloatTensor<B>),
    /// It is not.
    Absent,
}

/// Two tensors that an operator may do without.
#[derive(Debug, ExtensionType)]
pub enum OptionalPair<B: Backend> {
    /// They are there.
    Present(FloatTensor<B>, FloatTensor<B>),
    /// They are not.
    Absent,
}

impl<B: Backend> OptionalTensor<B> {
    /// A tensor or none.
    pub fn new(tensor: Option<FloatTensor<B>>) -> Self {
        tensor.map_or(Self::Absent, Self::Present)
    }

    /// The tensor, if it is there.
    pub fn into_option(self) -> Option<FloatTensor<B>> {
        match self {
            Self::Present(tensor) => Some(tensor),
            Self::Absent => None,
        }
    }
}

impl<B: Backend> OptionalPair<B> {
    /// The tensors, if they are there.
    pub fn into_option(self) -> Option<(FloatTensor<B>, FloatTensor<B>)> {
        match self {
            Self::Present(first, second) => Some((first, second)),
            Self::Absent => None,
        }
    }
}
