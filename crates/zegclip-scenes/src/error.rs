//! What can be wrong with a folder of pictures or with settings.

use std::path::PathBuf;

use zegclip_data::DataError;

use zegclip_foundation::{did_you_mean, quoted};

/// Why scenes cannot be composed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SceneError {
    /// A picture that cannot be read, or names that do not make a vocabulary.
    #[error(transparent)]
    Data(#[from] DataError),

    /// A folder without the list of its pictures, `pictures.json`.
    #[error("`{}` contains no `pictures.json`", folder.display())]
    NoList {
        /// The folder.
        folder: PathBuf,
    },

    /// A `pictures.json` that does not parse, or without a usable name or style.
    #[error("{origin} is not a list of pictures: {problem}")]
    List {
        /// The file.
        origin: String,
        /// What is wrong, with line and column where the text itself is.
        problem: String,
    },

    /// A build without the embedded pictures (feature `pictures`).
    #[error("this build contains no pictures")]
    NoEmbeddedPictures,

    /// A picture with the name of a ground, which scenes generate themselves.
    #[error("{origin}: `{name}` is the name of a ground")]
    GroundName {
        /// The file.
        origin: String,
        /// The name or synonym.
        name: String,
    },

    /// A picture in which every pixel is transparent.
    #[error("{origin} shows nothing: every pixel is transparent")]
    Invisible {
        /// The picture.
        origin: String,
    },

    /// An artist without a picture.
    #[error("there is no artist `{name}` in {origin}{}; there are {}", did_you_mean(nearest.as_deref()), quoted(known))]
    UnknownArtist {
        /// The name given.
        name: String,
        /// The nearest artist.
        nearest: Option<String>,
        /// Where the pictures come from.
        origin: String,
        /// All artists.
        known: Vec<String>,
    },

    /// A choice of artists that leaves none.
    #[error("there is no artist for these scenes in {origin}: {problem}")]
    NoArtist {
        /// Where the pictures come from.
        origin: String,
        /// Why.
        problem: String,
    },

    /// A vocabulary without a class that has a picture.
    #[error("no class of the vocabulary `{vocabulary}` has a picture")]
    NoPicture {
        /// The vocabulary.
        vocabulary: String,
    },

    /// An output folder that is not empty.
    #[error("`{}` exists and is not empty", folder.display())]
    FolderExists {
        /// The folder.
        folder: PathBuf,
    },

    /// An export that was stopped before all scenes were composed.
    #[error("stopped after {made} of {count} scenes; nothing was written")]
    Stopped {
        /// Scenes composed so far.
        made: u64,
        /// Scenes requested.
        count: u64,
    },

    /// A setting out of range.
    #[error("the setting `{name}` of scenes must be {expected}, not {given}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        given: String,
    },
}
