//! Positions in a class list.

use crate::DataError;

/// Position of a class in a class list: a vocabulary's, or (in training) that of its seen classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct ClassIndex(u16);

impl ClassIndex {
    /// The longest class list: one value of `u16` is kept for ignored pixels.
    pub const MAX_CLASSES: usize = u16::MAX as usize;

    /// The class at `index`, or `None` for `u16::MAX`, which stands for ignored pixels.
    pub const fn new(index: u16) -> Option<Self> {
        if index == u16::MAX { None } else { Some(Self(index)) }
    }

    /// The class at `index`, or `None` beyond [`Self::MAX_CLASSES`].
    pub fn from_usize(index: usize) -> Option<Self> {
        u16::try_from(index).ok().and_then(Self::new)
    }

    /// The position as stored in [`LabelMap::as_raw`](crate::LabelMap::as_raw).
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The position, to index a list with.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl From<ClassIndex> for u16 {
    fn from(class: ClassIndex) -> Self {
        class.0
    }
}

impl TryFrom<u16> for ClassIndex {
    type Error = DataError;

    fn try_from(index: u16) -> Result<Self, DataError> {
        Self::new(index).ok_or(DataError::ClassOutOfRange {
            index: index.into(),
            classes: Self::MAX_CLASSES,
        })
    }
}

impl std::fmt::Display for ClassIndex {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}
