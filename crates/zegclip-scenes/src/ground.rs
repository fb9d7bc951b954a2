//! The kinds of ground that scenes have, and their names.

/// A kind of ground. Textures are generated, so that each scene has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ground {
    /// A meadow or lawn.
    Grass,
    /// A beach or desert.
    Sand,
    /// Water with waves.
    Sea,
    /// Day, morning or evening, without clouds that would be things of their own.
    Sky,
    /// Fresh snow.
    Snow,
    /// Bricks and mortar.
    BrickWall,
    /// Planks.
    WoodenFloor,
    /// Asphalt, often with lines.
    Road,
}

impl Ground {
    /// All grounds in the order of vocabularies.
    pub const ALL: [Self; 8] = [
        Self::Grass,
        Self::Sand,
        Self::Sea,
        Self::Sky,
        Self::Snow,
        Self::BrickWall,
        Self::WoodenFloor,
        Self::Road,
    ];

    /// What it is called in vocabularies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grass => "grass",
            Self::Sand => "sand",
            Self::Sea => "sea",
            Self::Sky => "sky",
            Self::Snow => "snow",
            Self::BrickWall => "brick wall",
            Self::WoodenFloor => "wooden floor",
            Self::Road => "road",
        }
    }

    /// Other names, which captions use, too.
    pub fn synonyms(self) -> &'static [&'static str] {
        match self {
            Self::Grass => &["lawn", "meadow"],
            Self::Sand => &["beach"],
            Self::Sea => &["ocean", "water"],
            Self::Sky | Self::Snow => &[],
            Self::BrickWall => &["bricks"],
            Self::WoodenFloor => &["planks"],
            Self::Road => &["street", "asphalt"],
        }
    }

    /// The name and its synonyms.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name()).chain(self.synonyms().iter().copied())
    }
}
