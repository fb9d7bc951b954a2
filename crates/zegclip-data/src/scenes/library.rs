//! Named pictures: the embedded ones, and those of a folder.
//!
//! Both have the same form: `pictures.json` lists names with group, synonyms and styles, `STYLE/NAME.png` (spaces as
//! underscores) are the pictures with transparency. A style is an artist.

use std::path::Path;

use image::RgbaImage;
use rayon::prelude::*;
use serde::Deserialize;

use super::error::SceneError;
use super::mipmap::Mipmap;
use super::settings::Artists;
use super::style::Kind;
use crate::ImageLimits;
use crate::image_file::{decode_rgba, read_bytes};
use crate::suggestion::hint;
use crate::toml_table::quoted;

/// The embedded artist whose drawings no training sees.
pub const HELD_OUT_ARTIST: &str = "twemoji";

/// `STYLE/NAME.png` and its bytes.
const EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/pictures.rs"));
const EMBEDDED_LIST: &str = include_str!("../../../../assets/pictures/pictures.json");
/// A picture is decoded to twice this side at most in a scene; a file may be larger, for little use.
const LIMITS: ImageLimits = ImageLimits {
    max_side: 2048,
    max_pixels: 2048 * 2048,
    max_bytes: 32 << 20,
};
/// Pictures are shrunk to this side when they are read: hundreds of them are kept.
const MAX_SIDE: u32 = 256;

/// A thing that has a name, and how it is drawn.
#[derive(Debug)]
pub(super) struct Concept {
    pub(super) name: String,
    pub(super) synonyms: Vec<String>,
    pub(super) kind: Kind,
    /// Each with the position of its artist.
    pub(super) pictures: Vec<(usize, Mipmap)>,
}

impl Concept {
    /// The name and its synonyms.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name).chain(&self.synonyms).map(String::as_str)
    }
}

/// The names and pictures that scenes are made of.
#[derive(Debug)]
pub(super) struct Library {
    pub(super) concepts: Vec<Concept>,
    /// Those who draw.
    pub(super) artists: Vec<String>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    synonyms: Vec<String>,
    styles: Vec<String>,
}

/// Where the files are.
enum Source<'a> {
    Embedded,
    Folder(&'a Path),
}

impl Library {
    /// The pictures that are compiled in, by these artists.
    pub(super) fn embedded(artists: &Artists) -> Result<Self, SceneError> {
        Self::read(&Source::Embedded, artists)
    }

    /// The pictures of a folder, by these artists.
    pub(super) fn from_dir(folder: &Path, artists: &Artists) -> Result<Self, SceneError> {
        Self::read(&Source::Folder(folder), artists)
    }

    fn read(source: &Source<'_>, artists: &Artists) -> Result<Self, SceneError> {
        let entries = source.entries()?;
        let artists = choose(artists, &styles(&entries), source)?;
        let concepts = entries.into_par_iter().map(|entry| {
            let drawn = artists
                .iter()
                .enumerate()
                .filter(|(_, artist)| entry.styles.contains(artist));
            let pictures = drawn.map(|(position, artist)| Ok((position, source.picture(artist, &entry.name)?)));
            Ok(Concept {
                pictures: pictures.collect::<Result<_, SceneError>>()?,
                kind: Kind::of_group(&entry.group),
                name: entry.name,
                synonyms: entry.synonyms,
            })
        });
        Ok(Self {
            concepts: concepts.collect::<Result<_, SceneError>>()?,
            artists,
        })
    }
}

impl Source<'_> {
    fn origin(&self) -> String {
        match self {
            Self::Embedded => "the embedded pictures".to_owned(),
            Self::Folder(folder) => format!("`{}`", folder.display()),
        }
    }

    fn entries(&self) -> Result<Vec<Entry>, SceneError> {
        let (text, origin) = match self {
            Self::Embedded => (EMBEDDED_LIST.to_owned(), "the embedded `pictures.json`".to_owned()),
            Self::Folder(folder) => {
                let path = folder.join("pictures.json");
                if !path.is_file() {
                    return Err(SceneError::NoList {
                        folder: folder.to_path_buf(),
                    });
                }
                (crate::toml_table::read_text(&path)?, format!("`{}`", path.display()))
            }
        };
        let mistake = |problem: String| SceneError::List {
            origin: origin.clone(),
            problem,
        };
        let entries = serde_json::from_str::<Vec<Entry>>(&text).map_err(|error| mistake(error.to_string()))?;
        if entries.iter().all(|entry| entry.styles.is_empty()) {
            return Err(mistake("no name in it has a style".to_owned()));
        }
        // A name becomes part of a path, so it must not lead out of the folder.
        let is_path = |text: &str| text.is_empty() || text.starts_with('.') || text.contains(['/', '\\', ':']);
        for entry in &entries {
            if let Some(bad) = std::iter::once(&entry.name)
                .chain(&entry.styles)
                .find(|text| is_path(text))
            {
                return Err(mistake(format!("`{bad}` cannot be a name of a picture or style")));
            }
        }
        Ok(entries)
    }

    fn picture(&self, artist: &str, name: &str) -> Result<Mipmap, SceneError> {
        let file = format!("{artist}/{}.png", name.replace(' ', "_"));
        let (picture, origin) = match self {
            Self::Embedded => {
                let found = EMBEDDED.binary_search_by_key(&file.as_str(), |(name, _)| name);
                let bytes = found.ok().and_then(|position| EMBEDDED.get(position));
                let bytes = bytes.map_or(&[][..], |(_, bytes)| bytes);
                let origin = format!("the embedded picture `{file}`");
                (decode_rgba(bytes, &origin, &LIMITS)?, origin)
            }
            Self::Folder(folder) => {
                let path = folder.join(&file);
                let origin = format!("`{}`", path.display());
                (decode_rgba(&read_bytes(&path, &LIMITS)?, &origin, &LIMITS)?, origin)
            }
        };
        Mipmap::new(&shrunk(picture)).ok_or(SceneError::Invisible { origin })
    }
}

fn shrunk(picture: RgbaImage) -> RgbaImage {
    let longest = picture.width().max(picture.height());
    if longest <= MAX_SIDE {
        return picture;
    }
    let scaled = |side: u32| (u64::from(side) * u64::from(MAX_SIDE) / u64::from(longest)).max(1) as u32;
    let (width, height) = (scaled(picture.width()), scaled(picture.height()));
    image::imageops::thumbnail(&picture, width, height)
}

/// All styles in the order in which they first stand.
fn styles(entries: &[Entry]) -> Vec<String> {
    let mut styles = Vec::<String>::new();
    for style in entries.iter().flat_map(|entry| &entry.styles) {
        if !styles.contains(style) {
            styles.push(style.clone());
        }
    }
    styles
}

fn choose(artists: &Artists, all: &[String], source: &Source<'_>) -> Result<Vec<String>, SceneError> {
    let only = |keep: &dyn Fn(&String) -> bool| all.iter().filter(|artist| keep(artist)).cloned().collect::<Vec<_>>();
    match artists {
        Artists::All => Ok(all.to_vec()),
        Artists::Known => {
            let known = only(&|artist| artist != HELD_OUT_ARTIST);
            if known.is_empty() {
                return Err(SceneError::NoArtist {
                    origin: source.origin(),
                    problem: format!(
                        "`{HELD_OUT_ARTIST}`, the only one, is held out of training; name the artist to use it all the same"
                    ),
                });
            }
            Ok(known)
        }
        Artists::Unknown => {
            let training = styles(&Source::Embedded.entries()?);
            let unknown = only(&|artist| artist == HELD_OUT_ARTIST || !training.contains(artist));
            Ok(if unknown.is_empty() { all.to_vec() } else { unknown })
        }
        Artists::Named(names) => {
            if names.is_empty() {
                return Err(SceneError::NoArtist {
                    origin: source.origin(),
                    problem: "none is named".to_owned(),
                });
            }
            for name in names {
                if !all.contains(name) {
                    return Err(SceneError::UnknownArtist {
                        name: name.clone(),
                        hint: hint(name, all.iter().map(String::as_str)),
                        origin: source.origin(),
                        known: quoted(&all.iter().map(String::as_str).collect::<Vec<_>>()),
                    });
                }
            }
            Ok(only(&|artist| names.contains(artist)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_training_artist_is_held_out() {
        let library = Library::embedded(&Artists::Known).unwrap();
        assert!(library.artists.len() >= 2, "{:?}", library.artists);
        assert!(!library.artists.iter().any(|artist| artist == HELD_OUT_ARTIST));
        assert!(library.concepts.iter().all(|concept| !concept.pictures.is_empty()));
    }

    #[test]
    fn the_unknown_artist_is_the_one_held_out() {
        let library = Library::embedded(&Artists::Unknown).unwrap();
        assert_eq!(library.artists, [HELD_OUT_ARTIST]);
        assert_eq!(library.concepts.len(), 147);
        assert!(library.concepts.iter().all(|concept| concept.pictures.len() == 1));
    }

    #[test]
    fn every_file_is_listed() {
        let entries = Source::Embedded.entries().unwrap();
        let listed = entries.iter().flat_map(|entry| {
            let name = entry.name.replace(' ', "_");
            entry.styles.iter().map(move |style| format!("{style}/{name}.png"))
        });
        let mut listed = listed.collect::<Vec<_>>();
        listed.sort();
        assert!(
            EMBEDDED
                .iter()
                .map(|(name, _)| *name)
                .eq(listed.iter().map(String::as_str))
        );
    }

    #[test]
    fn an_artist_is_found_by_name_or_told() {
        let named = |name: &str| Library::embedded(&Artists::Named(vec![name.to_owned()]));
        assert_eq!(named("noto").unwrap().artists, ["noto"]);
        let message = named("nota").unwrap_err().to_string();
        assert!(
            message.starts_with("there is no artist `nota` (did you mean `noto`?); the embedded pictures has"),
            "{message}"
        );
    }
}
