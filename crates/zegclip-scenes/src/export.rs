//! Scenes as a data set on disk, for this program and any other.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;
use serde::Serialize;

use crate::composer::Scenes;
use crate::error::SceneError;
use crate::scene::Scene;
use crate::settings::{Artists, SceneSplit};
use zegclip_data::{DataError, encode_label_png, encode_png, write_atomically};
use zegclip_foundation::sync_folder;

/// The description of the data set within its folder.
pub const DATASET_FILE: &str = "dataset.toml";
/// The captions within its folder: a line of JSON for each image.
pub const CAPTIONS_FILE: &str = "captions.jsonl";
/// Scenes that are made between two looks at the stop flag.
const CHUNK: u64 = 64;

/// A line of `captions.jsonl`.
#[derive(Serialize)]
struct Line<'a> {
    image: String,
    labels: String,
    captions: &'a [String],
    /// What the captions name, once each; what `zegclip pretrain` reads beside image and captions.
    names: Vec<&'a str>,
    pictures: Vec<Picture<'a>>,
    grounds: Vec<&'a str>,
}

#[derive(Serialize)]
struct Picture<'a> {
    name: &'a str,
    artist: &'a str,
    center: [i32; 2],
    size: f32,
    visible: f32,
}

impl Scenes {
    /// Writes the first `count` scenes into a new folder: `photos/NUMBER.png`, `labels/NUMBER.png` (palette PNG, the index
    /// is the class, 255 where ignored), `captions.jsonl` and `dataset.toml`, which
    /// [`DatasetSpec`](zegclip_data::datasets::DatasetSpec) reads. The folder appears when it is complete. `made` is called with
    /// the number of scenes written so far.
    ///
    /// # Errors
    /// [`SceneError::FolderExists`] unless there is no such folder or an empty one, [`SceneError::Stopped`] when `stop` is
    /// set, [`SceneError::Data`] if something cannot be written.
    pub fn write_dataset(
        &self,
        folder: &Path,
        count: u64,
        stop: &AtomicBool,
        mut made: impl FnMut(u64),
    ) -> Result<(), SceneError> {
        check_free(folder)?;
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).map_err(DataError::io("make the folder", parent))?;
        let growing = tempfile::Builder::new()
            .prefix(".zegclip-scenes-")
            .tempdir_in(parent)
            .map_err(DataError::io("make a folder in", parent))?;
        let path = |name: &str| growing.path().join(name);
        for name in ["photos", "labels"] {
            std::fs::create_dir(path(name)).map_err(DataError::io("make the folder", path(name)))?;
        }
        let palette = self.vocabulary().palette();
        let digits = count.saturating_sub(1).to_string().len().max(5);
        let write = |index: u64| {
            let scene = self.compose(index);
            let (image, labels) = (
                format!("photos/{index:0digits$}.png"),
                format!("labels/{index:0digits$}.png"),
            );
            let save = |name: &str, bytes: Vec<u8>| {
                let write = |mut file: File| file.write_all(&bytes).and_then(|()| file.sync_all());
                File::create(path(name))
                    .and_then(write)
                    .map_err(DataError::io("write", path(name)))
            };
            save(&image, encode_png(&scene.image)?)?;
            save(&labels, encode_label_png(&scene.labels, &palette)?)?;
            let line = serde_json::to_string(&self.line(&scene, image, labels));
            line.map_err(|error| DataError::io("write", path(CAPTIONS_FILE))(error.into()))
        };
        let mut captions = Vec::new();
        for start in (0..count).step_by(CHUNK as usize) {
            if stop.load(Ordering::Relaxed) {
                return Err(SceneError::Stopped { made: start, count });
            }
            let end = count.min(start + CHUNK);
            let lines = (start..end)
                .into_par_iter()
                .map(write)
                .collect::<Result<Vec<_>, DataError>>()?;
            captions.extend(lines);
            made(end);
        }
        write_atomically(&path(CAPTIONS_FILE), |file| {
            captions.iter().try_for_each(|line| writeln!(file, "{line}"))
        })?;
        write_atomically(&path(DATASET_FILE), |file| {
            file.write_all(self.description(count).as_bytes())
        })?;
        readable(growing.path())?;
        for folder in [path("photos"), path("labels"), growing.path().to_owned()] {
            sync_folder(&folder);
        }
        // An empty folder gives way; one that was filled meanwhile does not.
        let grown = growing.keep();
        std::fs::rename(&grown, folder).map_err(|error| {
            // The next attempt makes another one.
            let _ = std::fs::remove_dir_all(&grown);
            DataError::io("make the folder", folder)(error)
        })?;
        sync_folder(parent);
        Ok(())
    }

    fn line<'a>(&'a self, scene: &'a Scene, image: String, labels: String) -> Line<'a> {
        let pictures = scene.pictures.iter().map(|picture| Picture {
            name: self
                .vocabulary()
                .class(picture.class)
                .map_or("", zegclip_data::Class::name),
            artist: &picture.artist,
            center: picture.center,
            size: picture.size,
            visible: picture.visible,
        });
        let things = scene.pictures.iter().map(|picture| picture.class);
        let grounds = scene
            .grounds
            .iter()
            .filter_map(|ground| self.vocabulary().find(ground.name()));
        let mut classes = things.chain(grounds).collect::<Vec<_>>();
        classes.sort_unstable();
        classes.dedup();
        let names = classes
            .into_iter()
            .filter_map(|class| Some(self.vocabulary().class(class)?.name()));
        let names = names.collect();
        Line {
            image,
            labels,
            captions: &scene.captions,
            names,
            pictures: pictures.collect(),
            grounds: scene.grounds.iter().map(|ground| ground.name()).collect(),
        }
    }

    /// The TOML of the data set.
    fn description(&self, count: u64) -> String {
        let settings = self.settings();
        let split = settings.split.name();
        let comment = format!(
            "# {count} scenes of {size}×{size} pixels composed by `zegclip scenes`: split {split}, seed {seed}, artists {artists}.\n",
            size = settings.size,
            seed = settings.seed,
            artists = self.artists().join(", "),
        );
        let files = format!("\n[splits.{split}]\nimages = \"photos/*.png\"\nlabels = \"labels/*.png\"\n");
        comment + self.vocabulary().clone().renamed("scenes").to_toml().trim_end() + "\n" + &files
    }
}

impl SceneSplit {
    /// `train` or `test`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

impl Artists {
    /// Reads `known`, `unknown`, `all`, or names separated by commas.
    pub fn parse(text: &str) -> Self {
        match text.trim() {
            "known" => Self::Known,
            "unknown" => Self::Unknown,
            "all" => Self::All,
            names => {
                let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
                Self::Named(names.map(str::to_owned).collect())
            }
        }
    }
}

/// Whether a data set can be written to this folder without touching anything that is there.
///
/// # Errors
/// [`SceneError::FolderExists`] if there is anything but an empty folder.
pub fn check_free(folder: &Path) -> Result<(), SceneError> {
    let is_free = match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => !folder.exists(),
    };
    if is_free {
        Ok(())
    } else {
        Err(SceneError::FolderExists {
            folder: folder.to_owned(),
        })
    }
}

/// Temporary folders are closed to others; a data set is like any other folder.
fn readable(folder: &Path) -> Result<(), DataError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let made = folder.join("photos");
        let permissions = std::fs::metadata(&made)
            .map_err(DataError::io("read", &made))?
            .permissions();
        let mode = std::fs::Permissions::from_mode(permissions.mode());
        std::fs::set_permissions(folder, mode).map_err(DataError::io("write", folder))?;
    }
    Ok(())
}
