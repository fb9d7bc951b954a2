//! What the containers have in common.

use serde_json::{Map, Value as Json};

use crate::view::View;

/// What any container holds once it is open: tensors under the file's own names, and what is said about them.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) kind: Content,
    pub(crate) tensors: Vec<(String, View)>,
    pub(crate) meta: Map<String, Json>,
}

/// The kind of container, where it decides how names are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    TorchScript,
    StateDict,
    Safetensors,
}
