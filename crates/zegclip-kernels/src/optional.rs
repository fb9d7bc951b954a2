//! Optional arguments of operators.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType};

/// An optional tensor.
#[derive(Debug, ExtensionType)]
pub enum OptionalTensor<B: Backend> {
    /// The tensor.
    Present(FloatTensor<B>),
    /// No tensor.
    Absent,
}

/// Two tensors or none.
#[derive(Debug, ExtensionType)]
pub enum OptionalPair<B: Backend> {
    /// Both tensors.
    Present(FloatTensor<B>, FloatTensor<B>),
    /// No tensors.
    Absent,
}

impl<B: Backend> OptionalTensor<B> {
    /// A tensor or none.
    pub fn new(tensor: Option<FloatTensor<B>>) -> Self {
        tensor.map_or(Self::Absent, Self::Present)
    }

    /// The tensor, if present.
    pub fn into_option(self) -> Option<FloatTensor<B>> {
        match self {
            Self::Present(tensor) => Some(tensor),
            Self::Absent => None,
        }
    }
}

impl<B: Backend> OptionalPair<B> {
    /// The tensors, if present.
    pub fn into_option(self) -> Option<(FloatTensor<B>, FloatTensor<B>)> {
        match self {
            Self::Present(first, second) => Some((first, second)),
            Self::Absent => None,
        }
    }
}
