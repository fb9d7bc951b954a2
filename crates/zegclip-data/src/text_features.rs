//! Text features as data.

/// A text feature for each class, `[classes, width]` in rows.
#[derive(Clone, Debug, PartialEq)]
pub struct TextFeatures {
    /// Rows, one a class.
    pub classes: usize,
    /// Columns, the width of CLIP's joint space.
    pub width: usize,
    /// `classes × width` finite numbers.
    pub data: Vec<f32>,
}
