//! Text features on disk: thousands of prompts take a text encoder minutes on a CPU.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use zegclip_data::{TextFeatures, remove_if_there};
use zegclip_foundation::{Fingerprint, create_folder, write_atomically};

/// Changes with whatever changes features for the same key.
const VERSION: u32 = 1;
/// The files of the folder do not become larger together; the oldest ones are removed.
const MAX_BYTES: u64 = 64 << 20;
/// There are not more of them.
const MAX_FILES: usize = 1024;
const TENSOR: &str = "text_features";
const EXTENSION: &str = "safetensors";

/// A folder of text features, each in a file of its own.
#[derive(Debug, Clone)]
pub(crate) struct TextFeatureCache {
    folder: PathBuf,
}

impl TextFeatureCache {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The features of a key, unless they are missing or damaged.
    pub(crate) fn read(&self, key: &str) -> Option<TextFeatures> {
        let path = self.path(key);
        if fs::metadata(&path).ok()?.len() > MAX_BYTES {
            return None;
        }
        let bytes = fs::read(&path).ok()?;
        let features = parse(key, &bytes);
        if features.is_none() {
            tracing::debug!("`{}` is not used: it is damaged or of another list", path.display());
        }
        features
    }

    /// Keeps the features of a key. A folder that cannot be written costs time, nothing else.
    pub(crate) fn write(&self, key: &str, features: &TextFeatures) {
        let path = self.path(key);
        let written = create_folder(&self.folder)
            .and_then(|()| write_atomically(&path, |file| file.write_all(&serialized(key, features)?)));
        match written {
            Ok(()) => self.remove_oldest(&path),
            Err(error) => tracing::debug!("text features are not kept in `{}`: {error}", path.display()),
        }
    }

    fn path(&self, key: &str) -> PathBuf {
        let Fingerprint { length, crc32 } = Fingerprint::of_bytes(key.as_bytes());
        self.folder.join(format!("{crc32:08x}-{length}.{EXTENSION}"))
    }

    /// Removes the oldest files until the others are within the limits; `newest` stays.
    fn remove_oldest(&self, newest: &Path) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .filter_map(Result::ok)
            .filter(|entry| {
                Path::new(&entry.file_name())
                    .extension()
                    .is_some_and(|extension| extension == EXTENSION)
            })
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .collect();
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, length, _)| length).sum();
        let mut count = files.len();
        for (_, length, path) in files {
            if bytes <= MAX_BYTES && count <= MAX_FILES {
                break;
            }
            if path != newest && remove_if_there(&path).is_ok() {
                bytes -= length;
                count -= 1;
            }
        }
    }
}

fn serialized(key: &str, features: &TextFeatures) -> std::io::Result<Vec<u8>> {
    let data: Vec<u8> = features.data.iter().flat_map(|value| value.to_le_bytes()).collect();
    let shape = vec![features.classes, features.width];
    let view = TensorView::new(Dtype::F32, shape, &data).map_err(std::io::Error::other)?;
    let stated = [
        ("version", VERSION.to_string()),
        ("key", key.to_owned()),
        ("crc32", Fingerprint::of_bytes(&data).crc32.to_string()),
    ];
    let stated = stated.map(|(name, value)| (name.to_owned(), value)).into();
    safetensors::serialize([(TENSOR, view)], Some(stated)).map_err(std::io::Error::other)
}

fn parse(key: &str, bytes: &[u8]) -> Option<TextFeatures> {
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    let stated = header.metadata().as_ref()?;
    let tensors = SafeTensors::deserialize(bytes).ok()?;
    let tensor = tensors.tensor(TENSOR).ok()?;
    let [classes, width] = *tensor.shape() else { return None };
    let is_stated = |name: &str, value: &str| stated.get(name).is_some_and(|found| found == value);
    let checksum = Fingerprint::of_bytes(tensor.data()).crc32.to_string();
    let is_sound = is_stated("version", &VERSION.to_string()) && is_stated("key", key) && is_stated("crc32", &checksum);
    if !is_sound || tensor.dtype() != Dtype::F32 {
        return None;
    }
    let values = tensor.data().chunks_exact(4);
    let data: Vec<f32> = values
        .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        .collect();
    let features = TextFeatures { classes, width, data };
    features.data.iter().all(|value| value.is_finite()).then_some(features)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(value: f32) -> TextFeatures {
        TextFeatures {
            classes: 2,
            width: 3,
            data: vec![value, 1.0, 2.0, 3.0, 4.0, 5.0],
        }
    }

    #[test]
    fn features_are_those_of_their_key() {
        let folder = tempfile::tempdir().unwrap();
        let cache = TextFeatureCache::new(folder.path().join("cache"));
        assert_eq!(cache.read("a"), None);
        cache.write("a", &features(0.1));
        cache.write("b", &features(0.2));
        assert_eq!(cache.read("a"), Some(features(0.1)));
        assert_eq!(cache.read("b"), Some(features(0.2)));
        fs::copy(cache.path("b"), cache.path("a")).unwrap();
        assert_eq!(cache.read("a"), None);
    }

    #[test]
    fn damaged_files_are_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let cache = TextFeatureCache::new(folder.path().to_owned());
        cache.write("a", &features(0.1));
        let whole = fs::read(cache.path("a")).unwrap();
        for position in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[position] ^= 0x10;
            fs::write(cache.path("a"), &damaged).unwrap();
            let read = cache.read("a");
            assert!(
                read.is_none() || read == Some(features(0.1)),
                "byte {position}: {read:?}"
            );
        }
        fs::write(cache.path("a"), &whole[..whole.len() - 1]).unwrap();
        assert_eq!(cache.read("a"), None);
        cache.write("a", &features(f32::NAN));
        assert_eq!(cache.read("a"), None);
    }

    #[test]
    fn a_folder_has_its_limits_and_may_be_unwritable() {
        let folder = tempfile::tempdir().unwrap();
        let cache = TextFeatureCache::new(folder.path().to_owned());
        for index in 0..MAX_FILES + 3 {
            fs::write(folder.path().join(format!("{index:08}-1.{EXTENSION}")), "old").unwrap();
        }
        fs::write(folder.path().join("other.txt"), "not of the cache").unwrap();
        cache.write("a", &features(0.1));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), MAX_FILES + 1);
        assert!(cache.read("a").is_some() && folder.path().join("other.txt").exists());
        let file = folder.path().join("other.txt");
        TextFeatureCache::new(file).write("a", &features(0.1));
    }
}
