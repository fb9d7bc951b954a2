//! Values of a tensor that a model cannot compute with.

/// Values of a tensor that are not finite, or too large. `Display` says how many, and the first of them with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundValues {
    /// The canonical name of the tensor.
    pub key: String,
    /// Its name in the file.
    pub raw: String,
    /// The first of the values.
    pub first: f64,
    /// Index of the first value along each axis.
    pub place: Vec<usize>,
    /// Number of such values.
    pub count: usize,
    /// Elements of the tensor.
    pub elements: usize,
}

impl FoundValues {
    /// The name in the file, with the canonical one if that differs.
    pub fn name(&self) -> String {
        if self.raw == self.key {
            format!("`{}`", self.key)
        } else {
            format!("`{}` (`{}`)", self.raw, self.key)
        }
    }
}

impl std::fmt::Display for FoundValues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            first,
            place,
            count,
            elements,
            ..
        } = self;
        write!(f, "{count} of {elements}, the first is {first:?} at {place:?}")
    }
}
