//! Scenes: named pictures composed on textured grounds, with a label for every pixel and captions.
//!
//! A whole world for CLIP's pre-training, zero-shot training and evaluation that needs no download. [`Scenes`] holds
//! the pictures; a [`Scene`] is a pure function of its settings and its number:
//!
//! ```
//! use zegclip_data::scenes::{SceneSettings, Scenes};
//!
//! let scenes = Scenes::embedded(SceneSettings::train(64, 7))?;
//! let scene = scenes.compose(0);
//! assert_eq!(scene.image.dimensions(), (64, 64));
//! assert_eq!(scene.labels.dimensions(), (64, 64));
//! println!("{}", scene.captions[0]); // a photo of a teddy bear and a cow on a road
//! # Ok::<(), zegclip_data::scenes::SceneError>(())
//! ```
//!
//! Splits are by number (training and test scenes come from different streams of random numbers) and by artist: one
//! artist, [`HELD_OUT_ARTIST`], draws for no training scene.

mod captions;
mod color;
mod composer;
mod english;
mod error;
mod export;
mod finish;
mod ground;
mod library;
mod mipmap;
mod noise;
mod pose;
mod scene;
mod settings;
mod sprite;
mod style;
mod texture;
mod vocabulary;

pub use composer::Scenes;
pub use error::SceneError;
pub use export::{CAPTIONS_FILE, DATASET_FILE, check_free};
pub use ground::Ground;
pub use library::HELD_OUT_ARTIST;
pub use scene::{PlacedPicture, Scene};
pub use settings::{Artists, Augmentation, SceneSettings, SceneSplit, TestSplit};
