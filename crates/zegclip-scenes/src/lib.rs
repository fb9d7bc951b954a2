//! Composed scenes: named pictures on textured grounds, with a label for every pixel and captions.
//!
//! They are data for CLIP's pre-training, zero-shot training and evaluation without any download. [`Scenes`] contains
//! the decoded pictures; a [`Scene`] is a pure function of its settings and its number:
//!
//! ```
//! use zegclip_scenes::{SceneSettings, Scenes};
//!
//! let scenes = Scenes::embedded(SceneSettings::train(64, 7))?;
//! let scene = scenes.compose(0);
//! assert_eq!(scene.image.dimensions(), (64, 64));
//! assert_eq!(scene.labels.dimensions(), (64, 64));
//! println!("{}", scene.captions[0]); // a photo of a teddy bear and a cow on a road
//! # Ok::<(), zegclip_scenes::SceneError>(())
//! ```
//!
//! Splits differ by random stream (training and test scenes have no scene in common) and by artist: the pictures of
//! one artist, [`HELD_OUT_ARTIST`], are in no training scene. [`dataset_spec`] opens scenes as a data set.
//!
//! The feature `pictures` (default) compiles the pictures of `assets/pictures` in; without it, scenes are composed of
//! the pictures of a folder ([`Scenes::from_dir`]).

#![forbid(unsafe_code)]

mod backdrop;
mod captions;
mod color;
mod composer;
mod dataset;
mod english;
mod error;
mod export;
mod finish;
mod ground;
mod library;
mod mipmap;
mod noise;
mod pose;
mod render;
mod scene;
mod settings;
mod sprite;
mod style;
mod texture;
mod vocabulary;

pub use composer::Scenes;
pub use dataset::{dataset_names, dataset_spec};
pub use error::SceneError;
pub use export::{CAPTIONS_FILE, DATASET_FILE, check_free};
pub use ground::Ground;
pub use library::HELD_OUT_ARTIST;
pub use scene::{PlacedPicture, Scene};
pub use settings::{Artists, Augmentation, SceneSettings, SceneSplit, TestSplit};
