//! Settings of scenes.

use std::ops::RangeInclusive;

use crate::error::SceneError;
use zegclip_data::Vocabulary;

/// Which scenes: no scene, and by default no artist, of one split is in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SceneSplit {
    /// To learn from.
    Train,
    /// To be scored on.
    Test,
}

/// The artists whose pictures are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Artists {
    /// Those that training may see: all but [`HELD_OUT_ARTIST`](crate::HELD_OUT_ARTIST).
    Known,
    /// Those that no training sees. Among the embedded pictures that is
    /// [`HELD_OUT_ARTIST`](crate::HELD_OUT_ARTIST); in a folder, all who are not embedded artists of training,
    /// and all artists if there is none.
    Unknown,
    /// All artists.
    All,
    /// The named artists.
    Named(Vec<String>),
}

/// Scenes to be scored on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestSplit {
    /// New scenes by the artists of training.
    KnownArtists,
    /// Scenes by an artist whose drawings no training saw.
    UnknownArtist,
}

impl TestSplit {
    /// Both.
    pub const ALL: [Self; 2] = [Self::KnownArtists, Self::UnknownArtist];

    /// `known_artists` or `unknown_artist`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KnownArtists => "known_artists",
            Self::UnknownArtist => "unknown_artist",
        }
    }

    /// The display name.
    pub const fn title(self) -> &'static str {
        match self {
            Self::KnownArtists => "known artists",
            Self::UnknownArtist => "unknown artist",
        }
    }

    /// The artists of the split.
    pub const fn artists(self) -> Artists {
        match self {
            Self::KnownArtists => Artists::Known,
            Self::UnknownArtist => Artists::Unknown,
        }
    }
}

/// How far pictures are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Augmentation {
    /// Size, turn, flip, light; colors as drawn, nearly.
    Mild,
    /// Also shear, bending, strong color shifts and imitations of other styles (flat, gray, outlined, shaded, comic):
    /// artists are few, and one who never drew in training shall be understood.
    Strong,
}

/// Settings of scenes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SceneSettings {
    /// Width and height of a scene in pixels, 32 to 1024.
    pub size: u32,
    /// Another seed, other scenes.
    pub seed: u64,
    /// Training or test scenes.
    pub split: SceneSplit,
    /// How many pictures a scene has, at most 6; a scene without any shows its ground alone. Fewer are placed where
    /// another one would hide too much.
    pub pictures: RangeInclusive<usize>,
    /// The longer side of a picture in pixels, at least 12. Textures are scaled alike, so that small scenes with few
    /// pictures look like cut from large ones. Many pictures in one scene are kept smaller than the upper end.
    pub picture_size: RangeInclusive<u32>,
    /// The artists whose pictures are used.
    pub artists: Artists,
    /// How far pictures are changed.
    pub augmentation: Augmentation,
    /// Whether the picture is encoded as JPEG and decoded again.
    pub jpeg: bool,
    /// What labels mean, if it is not for the pictures to say: only pictures of its names are drawn, and grounds that it
    /// does not name are ignored, like VOC's background.
    pub vocabulary: Option<Vocabulary>,
}

/// The most pictures in a scene.
pub(crate) const MAX_PICTURES: usize = 6;

impl SceneSettings {
    /// Training scenes of `size × size` pixels: one to six pictures by known artists, strongly changed.
    pub fn train(size: u32, seed: u64) -> Self {
        Self {
            size,
            seed,
            split: SceneSplit::Train,
            pictures: 1..=MAX_PICTURES,
            picture_size: default_picture_size(size),
            artists: Artists::Known,
            augmentation: Augmentation::Strong,
            jpeg: true,
            vocabulary: None,
        }
    }

    /// Test scenes of `size × size` pixels by `artists`: one to six pictures, mildly changed.
    pub fn test(size: u32, seed: u64, artists: Artists) -> Self {
        Self {
            split: SceneSplit::Test,
            artists,
            augmentation: Augmentation::Mild,
            ..Self::train(size, seed)
        }
    }

    pub(crate) fn check(&self) -> Result<(), SceneError> {
        let fail = |name, expected, given: String| Err(SceneError::Setting { name, expected, given });
        if !(32..=1024).contains(&self.size) {
            return fail("size", "32 to 1024 pixels", self.size.to_string());
        }
        let (fewest, most) = (*self.pictures.start(), *self.pictures.end());
        if fewest > most || most > MAX_PICTURES {
            return fail("pictures", "a range within 0 to 6", format!("{fewest} to {most}"));
        }
        let (smallest, largest) = (*self.picture_size.start(), *self.picture_size.end());
        if smallest < 12 || smallest > largest || largest > self.size {
            return fail(
                "picture_size",
                "a range of pixels from 12 to the size of the scene",
                format!("{smallest} to {largest}"),
            );
        }
        Ok(())
    }
}

/// From a quarter to seven tenths of the scene.
fn default_picture_size(size: u32) -> RangeInclusive<u32> {
    (size / 4).max(12)..=(size * 7 / 10).max(12)
}
