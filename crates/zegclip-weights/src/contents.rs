//! The content of a container.

use serde_json::{Map, Value as Json};

use crate::Activation;
use crate::view::View;

/// Tensors under the file's own names, and plain values beside them.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) kind: Content,
    pub(crate) tensors: Vec<(String, View)>,
    pub(crate) meta: Map<String, Json>,
    /// The activation that the classes of a TorchScript archive show.
    pub(crate) activation: Option<Activation>,
}

/// The kind of container, on which the meaning of names depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    TorchScript,
    StateDict,
    Safetensors,
}
