//! The benchmarks of training-free dense methods.

use std::str::FromStr;

/// A data set with the class list that the literature scores on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Benchmark {
    /// PASCAL VOC 2012, 20 classes, background ignored.
    Voc20,
    /// PASCAL VOC 2012 with background.
    Voc21,
    /// PASCAL Context, 59 classes, background ignored.
    Context59,
    /// PASCAL Context with background.
    Context60,
    /// COCO, 80 objects and background.
    CocoObject,
    /// COCO-Stuff 164k, 171 classes.
    CocoStuff,
    /// ADE20K, 150 classes.
    Ade20k,
    /// Cityscapes, 19 classes.
    Cityscapes,
}

/// A name that is not a benchmark's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a benchmark")]
pub struct UnknownBenchmark {
    /// The name.
    pub name: String,
}

impl Benchmark {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Voc20,
        Self::Voc21,
        Self::Context59,
        Self::Context60,
        Self::CocoObject,
        Self::CocoStuff,
        Self::Ade20k,
        Self::Cityscapes,
    ];

    /// Its name, such as `voc21`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Voc20 => "voc20",
            Self::Voc21 => "voc21",
            Self::Context59 => "context59",
            Self::Context60 => "context60",
            Self::CocoObject => "coco-object",
            Self::CocoStuff => "coco-stuff",
            Self::Ade20k => "ade20k",
            Self::Cityscapes => "cityscapes",
        }
    }

    /// Whether its first class is the background.
    pub fn has_background(self) -> bool {
        matches!(self, Self::Voc21 | Self::Context60 | Self::CocoObject)
    }
}

impl std::fmt::Display for Benchmark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Benchmark {
    type Err = UnknownBenchmark;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|benchmark| benchmark.name() == name);
        found.ok_or_else(|| UnknownBenchmark { name: name.to_owned() })
    }
}
