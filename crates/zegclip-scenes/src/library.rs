//! Named pictures: the embedded ones, and those of a folder.
//!
//! Both have the same form: `pictures.json` lists names with group, synonyms and styles, `STYLE/NAME.png` (spaces as
//! underscores) are the pictures with transparency. A style is an artist.

use std::path::Path;

use image::RgbaImage;
use rayon::prelude::*;
use serde::Deserialize;
use zegclip_data::{DataError, ImageLimits, decode_rgba_image, read_rgba_image};
use zegclip_foundation::nearest_name;

use crate::error::SceneError;
use crate::mipmap::Mipmap;
use crate::settings::Artists;
use crate::style::Kind;

/// The embedded artist whose drawings no training sees.
pub const HELD_OUT_ARTIST: &str = "twemoji";

/// `STYLE/NAME.png` and its bytes.
const EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/pictures.rs"));
const EMBEDDED_LIST: &str = include_str!("../assets/pictures/pictures.json");
/// Limits of a picture file.
const LIMITS: ImageLimits = ImageLimits {
    max_side: 2048,
    max_pixels: 2048 * 2048,
    max_bytes: 32 << 20,
};
/// Pictures are shrunk to this side when they are read, since hundreds of them are kept in memory.
const MAX_SIDE: u32 = 256;

/// A named thing and its pictures.
#[derive(Debug)]
pub(crate) struct Concept {
    pub(crate) name: String,
    pub(crate) synonyms: Vec<String>,
    pub(crate) kind: Kind,
    /// Each with the position of its artist.
    pub(crate) pictures: Vec<(usize, Mipmap)>,
}

impl Concept {
    /// The name and its synonyms.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name).chain(&self.synonyms).map(String::as_str)
    }
}

/// The names and pictures that scenes are made of.
#[derive(Debug)]
pub(crate) struct Library {
    pub(crate) concepts: Vec<Concept>,
    /// The artists whose pictures are used.
    pub(crate) artists: Vec<String>,
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

/// Where pictures are read from.
enum Source<'a> {
    Embedded,
    Folder(&'a Path),
}

impl Library {
    /// The pictures that are compiled in, by these artists.
    pub(crate) fn embedded(artists: &Artists) -> Result<Self, SceneError> {
        Self::read(&Source::Embedded, artists)
    }

    /// The pictures of a folder, by these artists.
    pub(crate) fn from_dir(folder: &Path, artists: &Artists) -> Result<Self, SceneError> {
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
        let (json, origin) = match self {
            Self::Embedded => (EMBEDDED_LIST.into(), "the embedded `pictures.json`".to_owned()),
            Self::Folder(folder) => {
                let path = folder.join("pictures.json");
                if !path.is_file() {
                    return Err(SceneError::NoList {
                        folder: folder.to_path_buf(),
                    });
                }
                (
                    std::fs::read(&path).map_err(DataError::io("read", &path))?,
                    format!("`{}`", path.display()),
                )
            }
        };
        let mistake = |problem: String| SceneError::List {
            origin: origin.clone(),
            problem,
        };
        let json = json.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&json);
        let entries = serde_json::from_slice::<Vec<Entry>>(json).map_err(|error| mistake(error.to_string()))?;
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
                let (_, bytes) = bytes.ok_or(SceneError::NoEmbeddedPictures)?;
                let origin = format!("the embedded picture `{file}`");
                (decode_rgba_image(bytes, &origin, &LIMITS)?, origin)
            }
            Self::Folder(folder) => {
                let path = folder.join(&file);
                let origin = format!("`{}`", path.display());
                (read_rgba_image(&path, &LIMITS)?, origin)
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

/// All styles in the order of their first occurrence.
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
                    problem: format!("`{HELD_OUT_ARTIST}`, the only one, is held out of training"),
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
                    problem: "the list of names is empty".to_owned(),
                });
            }
            for name in names {
                if !all.contains(name) {
                    return Err(SceneError::UnknownArtist {
                        name: name.clone(),
                        nearest: nearest_name(name, all.iter().map(String::as_str)).map(str::to_owned),
                        origin: source.origin(),
                        known: all.to_vec(),
                    });
                }
            }
            Ok(only(&|artist| names.contains(artist)))
        }
    }
}

#[cfg(all(test, feature = "pictures"))]
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
    fn an_artist_is_found_by_name_or_the_nearest_is_named() {
        let named = |name: &str| Library::embedded(&Artists::Named(vec![name.to_owned()]));
        assert_eq!(named("noto").unwrap().artists, ["noto"]);
        let message = named("nota").unwrap_err().to_string();
        assert!(
            message
                .starts_with("there is no artist `nota` in the embedded pictures (did you mean `noto`?); there are `"),
            "{message}"
        );
    }
}
