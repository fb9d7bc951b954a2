//! What can be wrong with a folder of pictures or with settings.

use std::path::PathBuf;

use crate::DataError;

/// Why scenes cannot be composed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SceneError {
    /// A picture cannot be read, or the names make no vocabulary.
    #[error(transparent)]
    Data(#[from] DataError),

    /// A folder that is none of pictures.
    #[error(
        "`{}` holds no `pictures.json`; a folder of pictures has one, and a folder of PNGs for each style: `STYLE/NAME.png`",
        folder.display()
    )]
    NoList {
        /// The folder.
        folder: PathBuf,
    },

    /// A `pictures.json` that cannot be understood.
    #[error("{origin} is no list of pictures: {problem}")]
    List {
        /// The file.
        origin: String,
        /// What is wrong, with line and column where the text itself is.
        problem: String,
    },

    /// A name that is that of a ground, too.
    #[error("{origin}: `{name}` is a ground that scenes make themselves; give the picture another name")]
    GroundName {
        /// The file.
        origin: String,
        /// The name or synonym.
        name: String,
    },

    /// A picture of which nothing can be seen.
    #[error("{origin} shows nothing: every pixel is transparent")]
    Invisible {
        /// The picture.
        origin: String,
    },

    /// An artist that the folder does not have.
    #[error("there is no artist `{name}`{hint}; {origin} has {known}")]
    UnknownArtist {
        /// Who was asked for.
        name: String,
        /// The nearest artist.
        hint: String,
        /// Where the pictures come from.
        origin: String,
        /// All artists.
        known: String,
    },

    /// No artist is left to draw.
    #[error("{origin} has no artist for these scenes: {problem}")]
    NoArtist {
        /// Where the pictures come from.
        origin: String,
        /// Why.
        problem: String,
    },

    /// A vocabulary that names no picture.
    #[error(
        "no class of the vocabulary `{vocabulary}` has a picture; `zegclip scenes` without a vocabulary shows what has"
    )]
    NoThing {
        /// The vocabulary.
        vocabulary: String,
    },

    /// A folder that holds something already.
    #[error("`{}` exists and is not empty; give the name of a new folder", folder.display())]
    FolderExists {
        /// The folder.
        folder: PathBuf,
    },

    /// Somebody asked to stop before all scenes were made.
    #[error("stopped after {made} of {count} scenes; nothing was written")]
    Stopped {
        /// Scenes that were ready.
        made: u64,
        /// Scenes that were asked for.
        count: u64,
    },

    /// A setting with which no scene can be made.
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
