//! The caches of this machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zegclip_foundation::{cache_folder, environment, user_caches};

use crate::download::{Client, Download, Observer, sha256_of};
use crate::error::HubError;
use crate::hugging_face::{HuggingFace, Location};
use crate::name::WeightName;
use crate::published::{PUBLISHED, PublishedFile};

/// Where OpenAI publishes its files.
const CLIP_SERVER: &str = "https://openaipublic.azureedge.net/clip/models";
const HUGGING_FACE_SERVER: &str = "https://huggingface.co";
/// How long a silent server is awaited.
const STALL: Duration = Duration::from_secs(60);

/// Weights in the cache folders of this machine, and the servers that have the others.
#[derive(Debug, Clone)]
pub struct WeightStore {
    clip_folder: PathBuf,
    clip_server: String,
    hugging_face: HuggingFace,
    offline: bool,
    stall: Duration,
}

/// A file in a cache folder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredFile {
    /// Its name, as [`WeightStore::path`] takes it.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
}

/// What [`WeightStore::verify`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verification {
    /// The file has the digest that its publisher states.
    Correct,
    /// No digest is known: small files of Hugging Face, and files that were put into its cache by other programs.
    NoDigest,
}

impl WeightStore {
    /// The folders and servers that the environment states.
    ///
    /// | variable | default | |
    /// |---|---|---|
    /// | `ZEGCLIP_CACHE` | `$XDG_CACHE_HOME/zegclip` or `~/.cache/zegclip` | folder of OpenAI's files |
    /// | `ZEGCLIP_CLIP_SERVER` | OpenAI's | a mirror with the same paths |
    /// | `HF_HUB_CACHE`, `HF_HOME` | `~/.cache/huggingface/hub` | folder of Hugging Face's files |
    /// | `HF_ENDPOINT` | `https://huggingface.co` | a server with its interface |
    /// | `HF_TOKEN` | the file that `hf auth login` writes | for private repositories |
    /// | `ZEGCLIP_OFFLINE`, `HF_HUB_OFFLINE` | | `1`: no network |
    /// | `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY` | | proxies |
    ///
    /// # Errors
    /// [`HubError::NoCacheFolder`].
    pub fn from_environment() -> Result<Self, HubError> {
        Self::from_variables(&environment)
    }

    fn from_variables(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, HubError> {
        let text = |name: &str| variable(name)?.into_string().ok();
        let home = variable("HF_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(user_caches(variable)?.join("huggingface")));
        let cache = variable("HF_HUB_CACHE")
            .map(PathBuf::from)
            .or_else(|| home.as_ref().map(|home| home.join("hub")));
        let token = text("HF_TOKEN").or_else(|| std::fs::read_to_string(home?.join("token")).ok());
        let is_set = |name: &str| text(name).is_some_and(|value| !matches!(value.as_str(), "0" | "false" | "no"));
        Ok(Self {
            clip_folder: cache_folder(variable).ok_or(HubError::NoCacheFolder)?,
            clip_server: text("ZEGCLIP_CLIP_SERVER").unwrap_or_else(|| CLIP_SERVER.to_owned()),
            hugging_face: HuggingFace {
                cache: cache.ok_or(HubError::NoCacheFolder)?,
                endpoint: text("HF_ENDPOINT").unwrap_or_else(|| HUGGING_FACE_SERVER.to_owned()),
                token: token
                    .map(|token| token.trim().to_owned())
                    .filter(|token| !token.is_empty()),
            },
            offline: is_set("ZEGCLIP_OFFLINE") || is_set("HF_HUB_OFFLINE"),
            stall: STALL,
        })
    }

    /// Gives up a server that is silent for `stall` (60 s by default).
    #[must_use]
    pub fn stall_timeout(mut self, stall: Duration) -> Self {
        self.stall = stall;
        self
    }

    /// The cached file, without touching the network.
    pub fn path(&self, name: &WeightName) -> Option<PathBuf> {
        match name {
            WeightName::Clip(file) => Some(self.clip_path(file)).filter(|path| path.is_file()),
            WeightName::HuggingFace {
                repository,
                revision,
                file,
            } => self
                .hugging_face
                .cached(&Location { repository, revision }, file.as_deref()),
        }
    }

    /// Where a file would be downloaded from.
    pub fn address(&self, name: &WeightName) -> String {
        match name {
            WeightName::Clip(file) => file.address(&self.clip_server),
            WeightName::HuggingFace {
                repository,
                revision,
                file,
            } => self
                .hugging_face
                .address(&Location { repository, revision }, file.as_deref()),
        }
    }

    /// The cached file, or the downloaded one. A file appears in the cache when it is complete and, where its publisher states
    /// a digest, correct. Processes that want the same file wait for one of them.
    ///
    /// # Errors
    /// [`HubError::Offline`] if a download is forbidden; [`HubError::Interrupted`] if `observer` breaks; else those of servers and
    /// files.
    pub fn fetch(&self, name: &WeightName, observer: &mut Observer<'_>) -> Result<PathBuf, HubError> {
        if let Some(path) = self.path(name) {
            return Ok(path);
        }
        if self.offline {
            return Err(HubError::Offline {
                name: name.to_string(),
                address: self.address(name),
                path: self.destination(name),
            });
        }
        let client = Client::new(self.stall);
        match name {
            WeightName::Clip(file) => {
                let (address, target) = (file.address(&self.clip_server), self.clip_path(file));
                let download = Download {
                    address: &address,
                    target: &target,
                    sha256: Some(file.sha256),
                    length: None,
                    token: None,
                };
                client.download(&download, observer)?;
                Ok(target)
            }
            WeightName::HuggingFace {
                repository,
                revision,
                file,
            } => {
                let location = Location { repository, revision };
                self.hugging_face.fetch(&client, &location, file.as_deref(), observer)
            }
        }
    }

    /// All of OpenAI's files and all CLIP models of Hugging Face's cache that are on this machine.
    pub fn list(&self) -> Vec<StoredFile> {
        let mut files: Vec<StoredFile> = PUBLISHED
            .iter()
            .filter_map(|file| stored(format!("clip:{}", file.name), self.clip_path(file)))
            .collect();
        files.extend(
            self.hugging_face
                .list()
                .into_iter()
                .filter_map(|(name, path)| stored(name, path)),
        );
        files
    }

    /// Reads a cached file and compares its SHA-256 with the published one.
    ///
    /// # Errors
    /// [`HubError::Checksum`]; [`HubError::Io`]; [`HubError::Offline`] for a file that is not in the cache.
    pub fn verify(&self, name: &WeightName) -> Result<Verification, HubError> {
        let path = self.path(name).ok_or_else(|| HubError::Offline {
            name: name.to_string(),
            address: self.address(name),
            path: self.destination(name),
        })?;
        let expected = match name {
            WeightName::Clip(file) => Some(file.sha256.to_owned()),
            WeightName::HuggingFace { .. } => digest_in_name(&path),
        };
        let Some(expected) = expected else {
            return Ok(Verification::NoDigest);
        };
        let found = sha256_of(&path)?;
        if found != expected {
            return Err(HubError::Checksum {
                origin: format!("`{}`", path.display()),
                expected,
                found,
            });
        }
        Ok(Verification::Correct)
    }

    /// Where a file belongs.
    pub fn destination(&self, name: &WeightName) -> PathBuf {
        match name {
            WeightName::Clip(file) => self.clip_path(file),
            WeightName::HuggingFace { .. } => self.hugging_face.cache.clone(),
        }
    }

    fn clip_path(&self, file: &PublishedFile) -> PathBuf {
        self.clip_folder.join("clip").join(file.file)
    }
}

/// The digest that Hugging Face's cache has in the name of a large file.
fn digest_in_name(path: &Path) -> Option<String> {
    let blob = path.canonicalize().ok()?;
    let name = blob.file_name()?.to_str()?;
    (name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| name.to_owned())
}

fn stored(name: String, path: PathBuf) -> Option<StoredFile> {
    let bytes = path.metadata().ok().filter(std::fs::Metadata::is_file)?.len();
    Some(StoredFile { name, path, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(variables: &[(&str, &str)]) -> WeightStore {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        WeightStore::from_variables(&variable).unwrap()
    }

    #[test]
    fn the_environment_states_folders_and_servers() {
        let store = store(&[
            ("ZEGCLIP_CACHE", "/c"),
            ("HF_HOME", "/h"),
            ("HF_TOKEN", " t\n"),
            ("HF_ENDPOINT", "http://mirror/"),
            ("HF_HUB_OFFLINE", "1"),
        ]);
        let name: WeightName = "clip:ViT-B/16".parse().unwrap();
        assert_eq!(store.destination(&name), Path::new("/c/clip/ViT-B-16.pt"));
        assert_eq!(store.hugging_face.cache, Path::new("/h/hub"));
        assert_eq!(store.hugging_face.token.as_deref(), Some("t"));
        let name: WeightName = "hf:a/b@refs/pr/1:x.bin".parse().unwrap();
        assert_eq!(store.address(&name), "http://mirror/a/b/resolve/refs%2Fpr%2F1/x.bin");
        assert!(store.offline);
    }

    #[test]
    fn no_is_not_offline() {
        assert!(!store(&[("ZEGCLIP_CACHE", "/c"), ("HF_HOME", "/h"), ("ZEGCLIP_OFFLINE", "0")]).offline);
    }
}
